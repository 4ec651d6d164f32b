"""Who may send requests, how much they may send, and what a browser may do with the response.

The studio listens on this machine only. But pages of other sites run in the same browser and could send requests too.
Therefore a request must name this machine as its host (otherwise a site could point its own name at this machine), and
it must not come from the page of another site.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_UPLOAD_BYTES = 24 * 2**20
MAX_PHOTO_PIXELS = 40_000_000
MAX_ADDRESS_BYTES = 60_000  # path and query
UPLOAD_SECONDS = 30.0
METHODS = ("GET", "HEAD", "POST")
RESPONSE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "style-src-attr 'unsafe-inline'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}
TOO_LARGE = f"The photo is too large: the limit is {MAX_UPLOAD_BYTES // 2**20} MiB. Make it smaller."
OTHER_SITE = "This request comes from another site. Use the studio's own page."


class UploadTooLarge(Exception):
    """The body of a request exceeds the limit."""


class UploadTooSlow(Exception):
    """The body of a request did not arrive in time."""


class SecurityMiddleware:
    """Refuses forbidden requests and adds the security headers to every response. Plain ASGI, so nothing is buffered.

    Args:
        hosts: the values of the Host header that are accepted, such as 127.0.0.1:8400.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self.app, self.hosts = app, frozenset(hosts)
        self.origins = frozenset(f"http://{host}" for host in self.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":  # no websockets, because nothing here would check them
            refusal = self._refusal(scope)
            if refusal is None:
                await self.app(scope, LimitedReceive(receive), _with_security_headers(send))
            else:
                await _refuse(send, *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason if a request must be refused."""
        headers = Headers(scope=scope)
        hosts = [host.lower() for host in headers.getlist("host")]
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            return 403, f"The studio is at {', '.join(sorted(self.hosts))}. Open one of these addresses."
        if any(origin.lower() not in self.origins for origin in headers.getlist("origin")):
            return 403, OTHER_SITE
        opens_page = scope["path"] == "/" and headers.getlist("sec-fetch-dest") == ["document"]
        if not opens_page and {"cross-site", "same-site"} & set(headers.getlist("sec-fetch-site")):
            return 403, OTHER_SITE
        if scope["method"] not in METHODS:
            return 405, f"The method {scope['method']} is not supported."
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_ADDRESS_BYTES:
            return 414, "This address is too long. Choose fewer faces."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_UPLOAD_BYTES:
            return 413, TOO_LARGE
        return None


class LimitedReceive:
    """Passes on the messages of a request, and limits the size and the duration of its body."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._received_bytes = 0
        self._deadline: float | None = asyncio.get_running_loop().time() + UPLOAD_SECONDS

    async def __call__(self) -> Message:
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise UploadTooSlow from None
        self._received_bytes += len(message.get("body", b""))
        if self._received_bytes > MAX_UPLOAD_BYTES:
            raise UploadTooLarge
        if not message.get("more_body", False):
            self._deadline = None  # the body is complete; only the disconnection can follow, at any time
        return message


def _with_security_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_encoded(RESPONSE_HEADERS)]
        await send(message)

    return send_with_headers


async def _refuse(send: Send, status: int, reason: str) -> None:
    headers = [*_encoded(RESPONSE_HEADERS), (b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": reason}).encode()})


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), text.encode()) for name, text in headers.items()]

"""Which requests are accepted, how large and slow they may be, and what a browser may do with the response.

The studio listens on this machine only, but pages of other sites run in the same browser and could send requests to it.
Therefore a request must name this machine as its host, which prevents DNS rebinding. And it must not come from the page
of another site, which prevents cross-site requests.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from facesmith.studio.limits import MAX_UPLOAD_BYTES, MAX_UPLOAD_SECONDS, MAX_URL_BYTES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
TOO_LARGE_MESSAGE = f"The photo is too large: the limit is {MAX_UPLOAD_BYTES // 2**20} MiB. Make it smaller."
OTHER_SITE_MESSAGE = "This request comes from another site. Use the studio's own page."


class UploadTooLarge(Exception):
    """The body of a request exceeds the limit."""


class UploadTooSlow(Exception):
    """The body of a request did not arrive in time."""


class SecurityMiddleware:
    """Refuses forbidden requests, and adds the security headers to every response.

    It is plain ASGI rather than a Starlette `BaseHTTPMiddleware`, so that bodies are not buffered.

    Args:
        hosts: the values of the Host header that are accepted, such as 127.0.0.1:8400.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self.app, self.hosts = app, frozenset(hosts)
        self.origins = frozenset(f"http://{host}" for host in self.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":  # websockets are refused: the studio has none
            refusal = self._refusal(scope)
            if refusal is None:
                await self.app(scope, LimitedReceive(receive), _with_security_headers(send))
            else:
                await _refuse(send, *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and message if the request must be refused, otherwise None."""
        headers = Headers(scope=scope)
        hosts = [host.lower() for host in headers.getlist("host")]
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            return 403, f"The studio is at {' and '.join(sorted(self.origins))}. Open one of these URLs."
        if any(origin.lower() not in self.origins for origin in headers.getlist("origin")):
            return 403, OTHER_SITE_MESSAGE
        # A link on another site may open the page, but other sites may load nothing from here.
        opens_page = scope["path"] == "/" and headers.getlist("sec-fetch-dest") == ["document"]
        if not opens_page and {"cross-site", "same-site"} & set(headers.getlist("sec-fetch-site")):
            return 403, OTHER_SITE_MESSAGE
        if scope["method"] not in METHODS:
            return 405, f"The method {scope['method']} is not supported."
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URL_BYTES:
            return 414, "This URL is too long. Choose fewer faces."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_UPLOAD_BYTES:
            return 413, TOO_LARGE_MESSAGE
        return None


class LimitedReceive:
    """Wraps the `receive` of a request. Limits the size of the body and the time until it is complete."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._received_bytes = 0
        self._deadline: float | None = asyncio.get_running_loop().time() + MAX_UPLOAD_SECONDS

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
            self._deadline = None  # The body is complete. The next message is the disconnect, which may take any time.
        return message


def _with_security_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_encoded(RESPONSE_HEADERS)]
        await send(message)

    return send_with_headers


async def _refuse(send: Send, status: int, message: str) -> None:
    headers = [*_encoded(RESPONSE_HEADERS), (b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": message}).encode()})


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers in the form that ASGI needs."""
    return [(name.encode(), content.encode()) for name, content in headers.items()]

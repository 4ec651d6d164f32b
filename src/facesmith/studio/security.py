"""Which requests are accepted, how large and slow they may be, and what a browser may do with the response.

Pages of other sites run in the same browser and could send requests to the studio. Therefore a request must name the
studio as its host, which prevents DNS rebinding. And it must not come from the page of another site, which prevents
cross-site requests. If other machines can connect, it also needs a token (`access.py`).
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from facesmith.studio.access import HOST_NAME, WINDOW_SECONDS, Access, TokenCheck
from facesmith.studio.limits import MAX_UPLOAD_BYTES, MAX_UPLOAD_SECONDS, MAX_URL_BYTES
from facesmith.studio.refusal_page import refusal_page

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
    "permissions-policy": "camera=(self), microphone=(self), midi=(self), fullscreen=(self), geolocation=()",
}
TOO_LARGE_MESSAGE = f"The photo is too large: the limit is {MAX_UPLOAD_BYTES // 2**20} MiB. Make it smaller."
OTHER_SITE_MESSAGE = "This request comes from another site. Use the studio's own page."
TOKEN_MESSAGE = "This studio needs its token. Open the address that the terminal shows; it contains ?token=."
WAIT_MESSAGE = "Too many wrong tokens. Wait a minute, then open the address that the terminal shows."


class UploadTooLarge(Exception):
    """The body of a request exceeds the limit."""


class UploadTooSlow(Exception):
    """The body of a request did not arrive in time."""


@dataclass(frozen=True)
class Refusal:
    """The answer to a request that is not accepted.

    Attributes:
        message: one line, for the page or a program.
        advice: further paragraphs and commands for a person who opened the address in a browser.
    """

    status: int
    message: str
    advice: tuple[str, ...] = ()


class SecurityMiddleware:
    """Refuses forbidden requests, and adds the security headers to every response.

    It is plain ASGI rather than a Starlette `BaseHTTPMiddleware`, so that bodies are not buffered.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access
        self.tokens = TokenCheck(access)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":  # websockets are refused: the studio has none
            headers, send = Headers(scope=scope), _with_security_headers(send)
            path = scope["path"].removeprefix(self.access.root_path)
            refusal = self._refusal(scope, headers, path) or self._token_refusal(scope, headers)
            if refusal is not None:
                await _refuse(send, refusal, is_document=_is_document(scope, headers))
            elif not path:  # the page's own relative addresses need the slash
                await _redirect(send, f"{self.access.root_path}/", {})
            elif path == "/" and self.access.token and self.tokens.token_of(scope["query_string"]) is not None:
                # From now on a cookie replaces the token, which disappears from the browser's address.
                await _redirect(send, "./", {"set-cookie": self._cookie()})
            else:
                await self.app({**scope, "root_path": self.access.root_path}, LimitedReceive(receive), send)

    def _refusal(self, scope: Scope, headers: Headers, path: str) -> Refusal | None:
        """Return the refusal of a request that no token can make acceptable, otherwise None."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.access.accepts_host(hosts[0]):
            return self._wrong_host(hosts)
        same_origin = headers.getlist("sec-fetch-site") == ["same-origin"]
        origins = headers.getlist("origin")
        if not all(self.access.accepts_origin(origin, hosts[0], same_origin=same_origin) for origin in origins):
            return Refusal(403, OTHER_SITE_MESSAGE)
        # A link on another site may open the page, but other sites may load nothing from here.
        opens_page = path in ("", "/") and headers.getlist("sec-fetch-dest") == ["document"]
        if not opens_page and {"cross-site", "same-site"} & set(headers.getlist("sec-fetch-site")):
            return Refusal(403, OTHER_SITE_MESSAGE)
        if scope["method"] not in METHODS:
            return Refusal(405, f"The method {scope['method']} is not supported.")
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MAX_URL_BYTES:
            return Refusal(414, "This URL is too long. Choose fewer faces.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_UPLOAD_BYTES:
            return Refusal(413, TOO_LARGE_MESSAGE)
        return None

    def _token_refusal(self, scope: Scope, headers: Headers) -> Refusal | None:
        if not self.access.token:
            return None
        address = scope["client"][0] if scope.get("client") else ""
        status = self.tokens.refusal(headers, self.tokens.token_of(scope["query_string"]), address)
        if status is None:
            return None
        return Refusal(status, TOKEN_MESSAGE if status == 401 else WAIT_MESSAGE)

    def _wrong_host(self, hosts: list[str]) -> Refusal:
        urls = [f"http://{host}" for host in sorted(self.access.hosts | self.access.names)]
        port = next(iter(sorted(self.access.hosts))).rpartition(":")[2]
        name = hosts[0].lower().partition(":")[0] if len(hosts) == 1 else ""
        allow = f" --allow-host {name}" if HOST_NAME.fullmatch(name) else " --allow-host NAME"
        return Refusal(
            403,
            f"The studio is at {' and '.join(urls)}. Open one of these URLs.",
            (
                "Does it run on another machine? Then forward its port to this one, and open the first address here:",
                f"$ ssh -L {port}:localhost:{port} USER@MACHINE",
                "Or start the studio so that it accepts other machines, with a token that its terminal shows:",
                "$ facesmith studio --host 0.0.0.0",
                "Behind a proxy, also allow the name under which browsers reach it:",
                f"$ facesmith studio{allow}",
            ),
        )

    def _cookie(self) -> str:
        path = self.access.root_path or "/"
        return f"{self.access.cookie}={self.access.cookie_value()}; Path={path}; HttpOnly; SameSite=Lax"


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


def _is_document(scope: Scope, headers: Headers) -> bool:
    """Return whether a person has opened the address, rather than a page or a program."""
    dest = headers.get("sec-fetch-dest")
    return scope["method"] == "GET" and (dest == "document" or (dest is None and "html" in headers.get("accept", "")))


async def _refuse(send: Send, refusal: Refusal, *, is_document: bool) -> None:
    """Answer with a page for a person, otherwise with one line of JSON."""
    content_type, body = "application/json", json.dumps({"error": refusal.message}).encode()
    if is_document:
        content_type = "text/html; charset=utf-8"
        body = refusal_page("This studio can't be opened here", refusal.message, *refusal.advice)
    headers = {"content-type": content_type, "connection": "close", "cache-control": "no-store"}
    if refusal.status == 429:
        headers["retry-after"] = str(round(WINDOW_SECONDS))
    await send({"type": "http.response.start", "status": refusal.status, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": body})


async def _redirect(send: Send, location: str, headers: dict[str, str]) -> None:
    """Send the browser to another address, relative to the one that it has opened."""
    headers = headers | {"location": location, "cache-control": "no-store", "content-length": "0"}
    await send({"type": "http.response.start", "status": 303, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": b""})


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers in the form that ASGI needs."""
    return [(name.encode(), content.encode()) for name, content in headers.items()]

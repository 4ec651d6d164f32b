"""Who may ask, how much they may send, and what a browser may do with the answer.

The studio listens on this machine alone. Pages of other sites, which run in the same browser, must not use it either: a
request has to name this machine as its host (else a site could point its own name here), and must not come from another
site's page.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 24 * 2**20  # of a photo
MOST_PIXELS = 40_000_000
MOST_ADDRESS = 60_000  # of a path with its query
UPLOAD_SECONDS = 30.0
METHODS = ("GET", "HEAD", "POST")
POLICY = {
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


class TooLarge(Exception):
    """More was sent than is taken."""


class TooSlow(Exception):
    """It was not sent in time."""


class Guard:
    """Refuses what must not come in, and puts the policy on every answer. Pure ASGI, so that nothing is buffered.

    Args:
        hosts: what may stand in a request's Host header, such as 127.0.0.1:8400.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self.app, self.hosts = app, frozenset(hosts)
        self.origins = frozenset(f"http://{host}" for host in self.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # no websockets: they would need a door of their own
        refused = self._refused(scope)
        if refused is not None:
            await _answer(send, *refused)
            return
        await self.app(scope, _limited(receive), _with_policy(send))

    def _refused(self, scope: Scope) -> tuple[int, str] | None:
        """Status and reason, where a request must not come in."""
        headers: dict[bytes, list[str]] = {}
        for name, text in scope["headers"]:
            headers.setdefault(name.lower(), []).append(text.decode("latin-1").lower())
        if headers.get(b"host", []) not in [[host] for host in self.hosts]:
            return 403, f"This studio answers to {', '.join(sorted(self.hosts))} only. Open one of these."
        if any(origin not in self.origins for origin in headers.get(b"origin", [])):
            return 403, "Another site asked. The studio works from its own page only."
        navigates = scope["path"] == "/" and headers.get(b"sec-fetch-dest") == ["document"]
        if not navigates and any(site in ("cross-site", "same-site") for site in headers.get(b"sec-fetch-site", [])):
            return 403, "Another site asked. The studio works from its own page only."
        if scope["method"] not in METHODS:
            return 405, f"{scope['method']} is not known here."
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MOST_ADDRESS:
            return 414, "This address is too long. Take fewer faces."
        length = headers.get(b"content-length", ["0"])[0]
        if not length.isdecimal() or int(length) > MOST_BYTES:
            return 413, f"The photo is too large; {MOST_BYTES // 2**20} MiB are the most. Make it smaller."
        return None


def _limited(receive: Receive) -> Receive:
    """The same messages, up to a number of bytes and within a time."""
    taken, deadline = 0, 0.0

    async def limited() -> Message:
        nonlocal taken, deadline
        loop = asyncio.get_running_loop()
        if deadline == 0.0:
            deadline = loop.time() + UPLOAD_SECONDS
        if deadline < 0:  # all is here; what comes now is that the other side goes away
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, deadline - loop.time()))
        except TimeoutError:
            raise TooSlow from None
        taken += len(message.get("body", b""))
        if taken > MOST_BYTES:
            raise TooLarge
        if not message.get("more_body", False):
            deadline = -1.0
        return message

    return limited


def _with_policy(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *_encoded(POLICY)]
        await send(message)

    return sent


async def _answer(send: Send, status: int, reason: str) -> None:
    headers = [*_encoded(POLICY), (b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": reason}).encode()})


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), text.encode()) for name, text in headers.items()]

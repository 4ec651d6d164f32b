"""Waiting for a worker while the client is connected, and the cache headers of responses."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import Future
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse

T = TypeVar("T")
NO_STORE = {"cache-control": "no-store"}
FOREVER = "public, max-age=31536000, immutable"


class ClientDisconnected(Exception):
    """The client no longer waits for the response."""


async def result_of(future: Future[T], request: Request) -> T:
    """The result of a worker; if the client disconnects first, the work is cancelled.

    Raises:
        ClientDisconnected: the client disconnected.
    """
    result = asyncio.wrap_future(future)
    disconnected = asyncio.create_task(disconnection(request))
    try:
        await asyncio.wait((result, disconnected), return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise ClientDisconnected
        return result.result()
    finally:
        disconnected.cancel()
        result.cancel()


async def disconnection(request: Request) -> None:
    """Return when the client disconnects. Read the body of the request before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def etag_of(content: bytes) -> str:
    """An ETag for this content."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def address_etag(request: Request) -> str:
    """An ETag for content that depends on nothing but its address."""
    return etag_of(f"{request.url.path}?{request.url.query}".encode())


def not_modified(request: Request, headers: dict[str, str]) -> Response | None:
    """The response to a browser that already has the content with the ETag in these headers."""
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return None


def cached_forever(etag: str) -> dict[str, str]:
    """Headers of content that never changes."""
    return {"etag": etag, "cache-control": FOREVER}


def revalidated(etag: str) -> dict[str, str]:
    """Headers of content that may change; browsers ask each time whether it has."""
    return {"etag": etag, "cache-control": "no-cache"}


def uncached_json(content: Any) -> Response:
    """Values that may be different next time, as JSON."""
    return JSONResponse(content, headers=NO_STORE)

"""Wait for a worker thread while the client is connected, and make responses with their cache headers."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import Future
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from facesmith.studio.job_queue import Job
from facesmith.studio.render_queue import RenderCancelled

T = TypeVar("T")
NO_STORE = {"cache-control": "no-store"}
FOREVER = "private, max-age=31536000, immutable"  # not in caches that several users share


class ClientDisconnected(Exception):
    """The client no longer waits for the response."""


async def result_of(work: Future[T] | Job[T], request: Request) -> T:
    """Return the result of a worker thread. If the client disconnects first, cancel the work.

    Raises:
        ClientDisconnected: the client disconnected.
        RenderCancelled: the studio stops.
    """
    result = asyncio.wrap_future(work.future if isinstance(work, Job) else work)
    disconnected = asyncio.create_task(wait_for_disconnect(request))
    try:
        await asyncio.wait((result, disconnected), return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise ClientDisconnected
        if result.cancelled():
            raise RenderCancelled
        return result.result()
    finally:
        disconnected.cancel()
        work.cancel()  # no effect on finished work
        result.cancel()


async def wait_for_disconnect(request: Request) -> None:
    """Return when the client disconnects. Read the body of the request first, because this discards its messages."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def etag_of(content: bytes) -> str:
    """Return an ETag for this content."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def url_etag(request: Request) -> str:
    """Return an ETag for content that depends only on its URL."""
    return etag_of(f"{request.url.path}?{request.url.query}".encode())


def not_modified(request: Request, headers: dict[str, str]) -> Response | None:
    """Return a 304 response if the browser already has the content with the ETag in `headers`, otherwise None."""
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return None


def cached_forever(etag: str) -> dict[str, str]:
    """Return headers for content that never changes."""
    return {"etag": etag, "cache-control": FOREVER}


def revalidated(etag: str) -> dict[str, str]:
    """Return headers for content that may change: browsers store it, but ask each time whether it has changed."""
    return {"etag": etag, "cache-control": "no-cache"}


def uncached_json(content: Any) -> Response:
    """Return a JSON response that browsers must not cache."""
    return JSONResponse(content, headers=NO_STORE)

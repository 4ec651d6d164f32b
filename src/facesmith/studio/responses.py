"""What all addresses share: what they work with, how they wait, and how their answers may be kept."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from facesmith.model import Model
from facesmith.studio.open_models import Shelf
from facesmith.studio.query import one_of
from facesmith.studio.render_queue import Easel
from facesmith.studio.runs import Names
from facesmith.studio.workshop import Workshop

T = TypeVar("T")
FOR_EVER = "public, max-age=31536000, immutable"


class Gone(Exception):
    """Who asked is not there any more."""


class Unknown(Exception):
    """No such thing is open here."""


@dataclass
class Studio:
    """What the addresses work with.

    Attributes:
        runs: run folders by id.
        run_names: how they are called on the page, by id.
    """

    shelf: Shelf
    runs: Names = field(default_factory=dict)
    run_names: Mapping[str, str] = field(default_factory=dict)
    easel: Easel = field(default_factory=Easel)
    workshop: Workshop = field(default_factory=Workshop)

    def model(self, words: Mapping[str, str]) -> Model:
        """The model that a request names."""
        model = self.shelf.model(words.get("model", ""))
        if model is None:
            raise Unknown("This model is not open here any more. Reload the page to see which are.")
        return model

    def close(self) -> None:
        """End all threads."""
        self.easel.close()
        self.workshop.close()


def words_of(request: Request, known: Iterable[str], *, edits: bool = False) -> dict[str, str]:
    """A request's words by name, checked (`address.one_of`)."""
    return one_of(request.query_params.multi_items(), list(known), edits)


async def waited(request: Request, future: Future[T]) -> T:
    """The result, unless who asked goes away: then it is forgotten.

    Raises:
        Gone: who asked has gone.
    """
    result = asyncio.wrap_future(future)
    gone = asyncio.create_task(gone_from(request))
    try:
        await asyncio.wait((result, gone), return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise Gone
        return result.result()
    finally:
        gone.cancel()
        result.cancel()


async def gone_from(request: Request) -> None:
    """Waits until who asked has gone; the request's body has to be taken before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def tag_of(*parts: Any) -> str:
    """An ETag of what an answer follows from."""
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'


def has_it(request: Request, tag: str) -> Response | None:
    """The answer to a browser that has it already."""
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=kept(tag))
    return None


def kept(tag: str) -> dict[str, str]:
    """Headers of what never changes."""
    return {"etag": tag, "cache-control": FOR_EVER}


def fresh(content: Any) -> Response:
    """Plain values that may be others the next time."""
    return JSONResponse(content, headers={"cache-control": "no-store"})

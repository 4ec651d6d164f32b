"""Addresses that take a photo. It is held while it is worked on, and then forgotten."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from facesmith.errors import FacesmithError
from facesmith.studio import photos
from facesmith.studio.query import number
from facesmith.studio.render import latent
from facesmith.studio.render_queue import Wanted
from facesmith.studio.responses import Gone, Studio, gone_from, waited, words_of
from facesmith.studio.routes_render import FACE_WORDS, face_of, psi_of, shown

MOST_FACES = photos.MOST_FACES
NEVER_KEPT = {"cache-control": "no-store"}


def router(studio: Studio) -> APIRouter:
    """The addresses, on this studio's models."""
    routes = APIRouter()

    @routes.post("/api/detect")
    async def detect(request: Request) -> Response:
        words_of(request, ())
        raw = await request.body()
        found = await waited(request, studio.workshop.do(lambda: photos.find(raw)))
        return Response(json.dumps(found), media_type="application/json", headers=NEVER_KEPT)

    @routes.post("/api/invert")
    async def invert(request: Request) -> Response:
        words = words_of(request, ("model", "face"))
        model, which, raw = studio.model(words), _which(words), await request.body()
        told: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        loop, stopped = asyncio.get_running_loop(), threading.Event()

        def tell(step: dict[str, Any] | None) -> None:
            if stopped.is_set():
                raise Gone
            loop.call_soon_threadsafe(told.put_nowait, step)

        def work() -> None:
            try:
                photos.invert(model, raw, which, tell)
            except FacesmithError as error:
                tell({"error": str(error)})
            except Gone:
                return
            except Exception:
                tell({"error": "Something went wrong in the studio itself; its terminal says more."})
                raise
            finally:
                if not stopped.is_set():
                    tell(None)

        studio.workshop.do(work)
        return StreamingResponse(_lines(request, told, stopped), media_type="application/x-ndjson", headers=NEVER_KEPT)

    @routes.post("/api/paste.png")
    async def paste(request: Request) -> Response:
        known = (*FACE_WORDS, "face")
        words = words_of(request, known, edits=True)
        model, which, face, psi = studio.model(words), _which(words), face_of(words, known), psi_of(words)
        raw = await request.body()
        drawn = await waited(request, studio.easel.draw(Wanted(model, lambda: latent(model, face, psi), alone=False)))
        content = await waited(
            request, studio.workshop.do(lambda: photos.put_back(model, raw, which, drawn, shown(face, psi)))
        )
        return Response(content, media_type="image/png", headers=NEVER_KEPT)

    return routes


async def _lines(
    request: Request, told: asyncio.Queue[dict[str, Any] | None], stopped: threading.Event
) -> AsyncIterator[bytes]:
    """What is told, a line of JSON each; when nobody listens any more, the work is stopped."""
    gone = asyncio.create_task(gone_from(request))
    try:
        while True:
            step = asyncio.create_task(told.get())
            await asyncio.wait((step, gone), return_when=asyncio.FIRST_COMPLETED)
            if not step.done() or (found := step.result()) is None:
                step.cancel()
                return
            yield json.dumps(found).encode() + b"\n"
    finally:
        gone.cancel()
        stopped.set()


def _which(words: dict[str, str]) -> int:
    return int(number(words.get("face", "1"), "face", 1, MOST_FACES))

"""Addresses that take a photo. The photo stays in memory for one request and is never stored."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from facesmith.errors import FacesmithError
from facesmith.model import Model
from facesmith.studio import photo_inversion
from facesmith.studio.query import InvertParameters, Parameters, PasteParameters, requested_face
from facesmith.studio.render import face_latent
from facesmith.studio.render_queue import RenderJob
from facesmith.studio.responses import NO_STORE, ClientDisconnected, disconnection, result_of, uncached_json
from facesmith.studio.routes_render import face_provenance
from facesmith.studio.services import StudioState

router = APIRouter()
logger = logging.getLogger(__name__)
Message = dict[str, Any]


@router.post("/api/detect")
async def detect(request: Request, studio: StudioState, query: Annotated[Parameters, Query()]) -> Response:
    """The faces in a photo."""
    photo = await request.body()
    return uncached_json(await result_of(studio.background.submit(lambda: photo_inversion.detect(photo)), request))


@router.post("/api/invert")
async def invert(request: Request, studio: StudioState, query: Annotated[InvertParameters, Query()]) -> Response:
    """Find the latent of a face, and stream the progress as NDJSON: one line of JSON a message."""
    model, photo = studio.model(query.model), await request.body()
    messages = MessageStream()
    studio.background.submit(lambda: _invert(model, photo, query.face, messages))
    return StreamingResponse(messages.lines(request), media_type="application/x-ndjson", headers=NO_STORE)


@router.post("/api/paste.png")
async def paste(request: Request, studio: StudioState, query: Annotated[PasteParameters, Query()]) -> Response:
    """The photo with a generated face in place of one of its faces."""
    model, face, photo = studio.model(query.model), requested_face(query), await request.body()
    job = RenderJob(model, lambda: face_latent(model, face, query.psi))
    pixels = await result_of(studio.render_queue.submit(job), request)
    provenance = face_provenance(face, query.psi)
    pasted = studio.background.submit(lambda: photo_inversion.paste_face(model, photo, query.face, pixels, provenance))
    return Response(await result_of(pasted, request), media_type="image/png", headers=NO_STORE)


class MessageStream:
    """Messages from a background thread to the response of a request. Create it in the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self._closed = threading.Event()

    def send(self, message: Message | None) -> None:
        """Called by the thread; None is the end.

        Raises:
            ClientDisconnected: nobody reads the messages any more, so the thread should stop.
        """
        if self._closed.is_set():
            raise ClientDisconnected
        self._loop.call_soon_threadsafe(self._messages.put_nowait, message)

    async def lines(self, request: Request) -> AsyncIterator[bytes]:
        """The messages, one line of JSON each, until the end or until the client disconnects."""
        disconnected = asyncio.create_task(disconnection(request))
        try:
            while True:
                next_message = asyncio.create_task(self._messages.get())
                await asyncio.wait((next_message, disconnected), return_when=asyncio.FIRST_COMPLETED)
                if not next_message.done() or (message := next_message.result()) is None:
                    next_message.cancel()
                    return
                yield json.dumps(message).encode() + b"\n"
        finally:
            disconnected.cancel()
            self._closed.set()


def _invert(model: Model, photo: bytes, face_number: int, messages: MessageStream) -> None:
    """Invert a face in a background thread. No one reads the result of the thread, so errors become messages."""
    with suppress(ClientDisconnected):
        try:
            photo_inversion.invert(model, photo, face_number, messages.send)
        except FacesmithError as error:
            messages.send({"error": str(error)})
        except ClientDisconnected:
            return
        except Exception:
            logger.exception("Inverting a photo failed. This is a bug in Facesmith.")
            messages.send({"error": "Something went wrong in the studio itself. The terminal shows the details."})
        messages.send(None)

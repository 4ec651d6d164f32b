"""Endpoints for photos. A photo stays in memory for one request and is never stored."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from facesmith.errors import FacesmithError
from facesmith.model import Model
from facesmith.studio import photo_inversion
from facesmith.studio.query import InvertParameters, Parameters, PasteParameters, requested_face
from facesmith.studio.render import face_latent, face_provenance
from facesmith.studio.render_queue import RenderJob
from facesmith.studio.responses import NO_STORE, ClientDisconnected, result_of, uncached_json, wait_for_disconnect
from facesmith.studio.services import StudioDep

router = APIRouter()
logger = logging.getLogger(__name__)
ProgressMessage = dict[str, Any]


@router.post("/api/detect")
async def detect(request: Request, studio: StudioDep, query: Annotated[Parameters, Query()]) -> Response:
    """The faces in a photo."""
    photo = await request.body()
    faces = studio.background.submit(lambda: photo_inversion.detect_faces(photo))
    return uncached_json(await result_of(faces, request))


@router.post("/api/invert")
async def stream_inversion(
    request: Request, studio: StudioDep, query: Annotated[InvertParameters, Query()]
) -> Response:
    """Find the latent of a face, and stream the progress as NDJSON (one message of JSON per line)."""
    model, photo = studio.model(query.model), await request.body()
    messages = MessageStream()
    studio.background.submit(lambda: _send_inversion(model, photo, query.face, messages))
    return StreamingResponse(messages.lines(request), media_type="application/x-ndjson", headers=NO_STORE)


@router.post("/api/paste.png")
async def paste(request: Request, studio: StudioDep, query: Annotated[PasteParameters, Query()]) -> Response:
    """Replace one face of a photo by a generated face."""
    model, face, photo = studio.model(query.model), requested_face(query), await request.body()
    job = RenderJob(model, lambda: face_latent(model, face, query.psi))
    pixels = await result_of(studio.render_queue.submit(job), request)
    provenance = face_provenance(face, query.psi)
    pasted = studio.background.submit(lambda: photo_inversion.paste_face(model, photo, query.face, pixels, provenance))
    return Response(await result_of(pasted, request), media_type="image/png", headers=NO_STORE)


class MessageStream:
    """Passes messages from a background thread to a response. Create it in the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[ProgressMessage | None] = asyncio.Queue()
        self._closed = threading.Event()

    def send(self, message: ProgressMessage | None) -> None:
        """Send a message, or None at the end. Called by the background thread.

        Raises:
            ClientDisconnected: the response has ended, so the thread should stop.
        """
        if self._closed.is_set():
            raise ClientDisconnected
        self._loop.call_soon_threadsafe(self._messages.put_nowait, message)

    async def lines(self, request: Request) -> AsyncIterator[bytes]:
        """Yield each message as a line of JSON, until the end or until the client disconnects."""
        disconnected = asyncio.create_task(wait_for_disconnect(request))
        try:
            while True:
                next_message = asyncio.create_task(self._messages.get())
                await asyncio.wait((next_message, disconnected), return_when=asyncio.FIRST_COMPLETED)
                # Stop if the client has disconnected, or after the last message.
                if not next_message.done() or (message := next_message.result()) is None:
                    next_message.cancel()
                    return
                yield json.dumps(message).encode() + b"\n"
        finally:
            disconnected.cancel()
            self._closed.set()


def _send_inversion(model: Model, photo: bytes, face_number: int, messages: MessageStream) -> None:
    """Invert a face in a background thread. Its result is never read, so errors are sent as messages."""
    try:
        try:
            photo_inversion.invert_face(model, photo, face_number, messages.send)
        except FacesmithError as error:
            messages.send({"error": str(error)})
        except ClientDisconnected:
            raise
        except Exception:
            logger.exception("Inverting a photo failed. This is a bug in Facesmith.")
            messages.send({"error": "Something went wrong in the studio itself. The terminal shows the details."})
        messages.send(None)
    except ClientDisconnected:
        pass  # raised by every `messages.send` after the client has disconnected

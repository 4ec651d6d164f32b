"""Endpoints for photos. A photo stays in memory until its request is answered, and is never stored."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from facesmith.errors import FacesmithError
from facesmith.model import Model
from facesmith.studio import photo_inversion
from facesmith.studio.job_queue import Job, JobQueue
from facesmith.studio.query import InvertParameters, Parameters, PasteParameters, requested_face
from facesmith.studio.render import face_latent, face_provenance
from facesmith.studio.render_queue import RenderCancelled, RenderJob, RenderQueue
from facesmith.studio.responses import NO_STORE, ClientDisconnected, result_of, uncached_json, wait_for_disconnect
from facesmith.studio.services import ClientDep, StudioDep, submit_upload

STATUS_SECONDS = 1.0  # between two messages about the place in the queue
logger = logging.getLogger(__name__)
ProgressMessage = dict[str, Any]


class PhotosOff(Exception):
    """The studio was started with --no-photos."""


async def refuse_if_off(studio: StudioDep) -> None:
    """Raise PhotosOff if this studio accepts no photos."""
    if not studio.photos:
        raise PhotosOff


router = APIRouter(dependencies=[Depends(refuse_if_off)])


@router.post("/api/detect")
async def detect(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[Parameters, Query()]
) -> Response:
    """The faces in a photo."""
    job = await submit_upload(
        request, studio, studio.quick_jobs, lambda photo, _: photo_inversion.detect_faces(photo), client, "photo"
    )
    return uncached_json(await result_of(job, request))


@router.post("/api/invert")
async def stream_inversion(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[InvertParameters, Query()]
) -> Response:
    """Find the latent of a face, and stream the progress as NDJSON (one message of JSON per line).

    While the photo waits, each message says how many jobs are ahead of it, and the seconds left.
    """
    model, messages = await studio.model(query.model), MessageStream()

    def invert(photo: bytes, job: Job[None]) -> None:
        _send_inversion(model, photo, query.face, job, studio.render_queue, messages.send)

    job = await submit_upload(request, studio, studio.long_jobs, invert, client, "inversion")
    lines = messages.lines(request, studio.long_jobs, job)
    return StreamingResponse(lines, media_type="application/x-ndjson", headers=NO_STORE)


@router.post("/api/paste.png")
async def paste(
    request: Request, studio: StudioDep, client: ClientDep, query: Annotated[PasteParameters, Query()]
) -> Response:
    """Replace one face of a photo by a generated face."""
    model, face = await studio.model(query.model), requested_face(query)
    rendering = RenderJob(model, lambda: face_latent(model, face, query.psi), client=client)
    pixels = await asyncio.wrap_future(studio.render_queue.submit(rendering))  # the body is read after it
    provenance = face_provenance(face, query.psi)
    job = await submit_upload(
        request,
        studio,
        studio.quick_jobs,
        lambda photo, _: photo_inversion.paste_face(model, photo, query.face, pixels, provenance),
        client,
        "photo",
    )
    return Response(await result_of(job, request), media_type="image/png", headers=NO_STORE)


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

    async def lines(self, request: Request, queue: JobQueue, job: Job[None]) -> AsyncIterator[bytes]:
        """Yield each message as a line of JSON, until the end or until the client disconnects.

        While the job waits, also yield its place in the queue.
        """
        disconnected = asyncio.create_task(wait_for_disconnect(request))
        next_message = asyncio.create_task(self._messages.get())
        try:
            while not disconnected.done() and not job.future.cancelled():
                if job.started is None:
                    status = queue.job_status(job)
                    yield _line({"ahead": status["ahead"], "seconds_left": status["seconds_left"]})
                await asyncio.wait(
                    (next_message, disconnected), timeout=STATUS_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if next_message.done():
                    message = next_message.result()
                    if message is None:
                        return
                    next_message = asyncio.create_task(self._messages.get())
                    yield _line(message)
        finally:
            self._closed.set()
            job.cancel()
            for task in (disconnected, next_message):
                task.cancel()


def _line(message: ProgressMessage) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _send_inversion(
    model: Model,
    photo: bytes,
    face_number: int,
    job: Job[None],
    queue: RenderQueue,
    send: Callable[[ProgressMessage | None], None],
) -> None:
    """Invert a face in a background thread. Its result is never read, so errors are sent as messages."""
    try:
        try:
            photo_inversion.invert_face(model, photo, face_number, job, queue, send)
        except FacesmithError as error:
            send({"error": str(error)})
        except ClientDisconnected:
            raise
        except RenderCancelled:
            send({"error": "The studio was stopped."})
        except Exception:
            logger.exception("Inverting a photo failed. This is a bug in Facesmith.")
            send({"error": "Something went wrong in the studio itself. The terminal shows the details."})
        send(None)
    except ClientDisconnected:
        pass  # raised by every `send` after the client has disconnected

"""What all routes share: the open models, the run folders, the worker threads, and who the client is."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from facesmith.model import Model
from facesmith.studio.job_queue import Job, JobQueue
from facesmith.studio.limits import MAX_UPLOAD_BYTES, MAX_WAITING_UPLOAD_BYTES
from facesmith.studio.open_models import OpenModels
from facesmith.studio.osc_input import OscInput
from facesmith.studio.render_queue import UNKNOWN_CLIENT, Busy, RenderQueue
from facesmith.watermark.marking import DEFAULT_MARKING, Marking

T = TypeVar("T")
CLIENT_HEADER = "x-client"
CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


class NotOpen(Exception):
    """The requested model or run is not open."""


class UploadIsForm(Exception):
    """The body of a request is a form that contains a photo, rather than the photo itself."""


class UploadMemory:
    """Limits the bytes of all uploads that are in memory."""

    def __init__(self, limit: int = MAX_WAITING_UPLOAD_BYTES) -> None:
        self._free, self._lock = limit, threading.Lock()

    def reserve(self, size: int) -> None:
        """Reserve this many bytes.

        Raises:
            Busy: too many uploads are in memory.
        """
        with self._lock:
            if size > self._free:
                raise Busy
            self._free -= size

    def release(self, size: int) -> None:
        """Release this many reserved bytes."""
        with self._lock:
            self._free += size


@dataclass
class Studio:
    """The state of the application, shared by all clients.

    Attributes:
        runs: run folders by id.
        run_names: the name of each run on the page, by id.
        photos: whether photos are accepted.
        osc: receives OSC messages, if requested.
        marking: the marks of all pictures and films.
        stopping: the studio stops.
        quick_jobs: jobs of about a second: finding faces, reading runs.
        long_jobs: films, downloads of several faces, inversions.
    """

    models: OpenModels
    runs: Mapping[str, Path] = field(default_factory=dict)
    run_names: Mapping[str, str] = field(default_factory=dict)
    photos: bool = True
    osc: OscInput | None = None
    marking: Marking = DEFAULT_MARKING
    stopping: threading.Event = field(default_factory=threading.Event)
    uploads: UploadMemory = field(default_factory=UploadMemory)
    render_queue: RenderQueue = field(default_factory=RenderQueue)
    quick_jobs: JobQueue = field(default_factory=JobQueue)
    long_jobs: JobQueue = field(default_factory=JobQueue)

    async def model(self, model_id: str) -> Model:
        """Return the model with this id. It is opened first, if that did not happen yet.

        Raises:
            NotOpen: there is none.
        """
        model = self.models.get(model_id)
        if model is None:
            await asyncio.to_thread(self.models.refresh)
            model = self.models.get(model_id)
        if model is None:
            raise NotOpen("This model is no longer open. Reload the page to see the open ones.")
        return model

    def run(self, run_id: str) -> Path:
        """Return the run folder with this id.

        Raises:
            NotOpen: there is none.
        """
        if run_id not in self.runs:
            raise NotOpen("This run is not open. Reload the page to see the open ones.")
        return self.runs[run_id]

    def stop(self) -> None:
        """Cancel all work, so that the responses that wait for it end."""
        self.stopping.set()
        self.quick_jobs.stop()
        self.long_jobs.stop()
        self.render_queue.stop()

    def close(self) -> None:
        """Cancel all work, and wait until all threads have ended."""
        self.stop()
        if self.osc is not None:
            self.osc.close()
        self.render_queue.close()
        self.quick_jobs.close()
        self.long_jobs.close()


async def studio_of(request: Request) -> Studio:
    """Return the state of the application that received the request."""
    studio: Studio = request.app.state.studio
    return studio


async def client_of(request: Request) -> str:
    """Return an id of the client: the one that the page sends, or the address. It decides whose turn it is."""
    header = request.headers.get(CLIENT_HEADER, "")
    if CLIENT_ID.fullmatch(header):
        return header
    return request.client.host if request.client else UNKNOWN_CLIENT


ClientDep = Annotated[str, Depends(client_of)]
StudioDep = Annotated[Studio, Depends(studio_of)]


async def submit_upload(
    request: Request,
    studio: Studio,
    queue: JobQueue,
    work: Callable[[bytes, Job[T]], T],
    client: str,
    kind: str,
) -> Job[T]:
    """Read the body of a request, and queue the work on it.

    Args:
        work: called with the body and the job.

    Raises:
        UploadIsForm: the body is a form.
        Busy: the queue is full, or too many uploads are in memory.
    """
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise UploadIsForm
    length = request.headers.get("content-length")
    size = MAX_UPLOAD_BYTES if length is None else int(length)  # the length has been checked by the middleware
    studio.uploads.reserve(size)
    try:
        content = await request.body()
        job = queue.submit(lambda job: work(content, job), client, kind)
    except BaseException:
        studio.uploads.release(size)
        raise
    job.future.add_done_callback(lambda _: studio.uploads.release(size))
    return job

"""The worker threads: one renders faces in batches; a few others make films, process photos and read files.

A full queue raises Busy. The pixels of a face do not depend on the other faces in its batch (`io.seeds.BATCH_SIZE`), so
a batch may contain faces of several requests.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from facesmith.gan.contracts import Generator
from facesmith.io.images import Pixels, to_uint8
from facesmith.io.seeds import BATCH_SIZE
from facesmith.latent.synthesis import synthesize
from facesmith.model import Model
from facesmith.studio.limits import MAX_QUEUED_FACES, MAX_QUEUED_JOBS

T = TypeVar("T")
BACKGROUND_THREADS = 2


class Busy(Exception):
    """The queue is full. The client should try again in a moment."""


@dataclass
class RenderJob:
    """A face to render.

    Attributes:
        latent: returns `w`, `[1, w_dim]` or `[1, num_ws, w_dim]`; called in the render thread.
        live: render the face alone and before the others, for a slider that is being dragged.
        pixels: the future result, `[H, W, C]`.
    """

    model: Model
    latent: Callable[[], Tensor]
    live: bool = False
    pixels: Future[Pixels] = field(default_factory=Future)


class RenderQueue:
    """A thread that renders faces in batches. `close` stops it."""

    def __init__(self, limit: int = MAX_QUEUED_FACES) -> None:
        self.limit = limit
        self._live_jobs: deque[RenderJob] = deque()
        self._batched_jobs: deque[RenderJob] = deque()
        self._condition = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="render", daemon=True)
        self._thread.start()

    def submit(self, job: RenderJob) -> Future[Pixels]:
        """Queue a face, and return its future pixels. Cancel the future to remove a face that is still waiting.

        Raises:
            Busy: the queue is full.
        """
        with self._condition:
            if len(self) >= self.limit:
                self._live_jobs = _not_cancelled(self._live_jobs)
                self._batched_jobs = _not_cancelled(self._batched_jobs)
            if len(self) >= self.limit or self._closed:
                raise Busy
            (self._live_jobs if job.live else self._batched_jobs).append(job)
            self._condition.notify()
        return job.pixels

    def close(self) -> None:
        """Cancel the waiting faces, and stop after the current batch."""
        with self._condition:
            self._closed = True
            for job in (*self._live_jobs, *self._batched_jobs):
                job.pixels.cancel()
            self._condition.notify()
        self._thread.join()

    def __len__(self) -> int:
        return len(self._live_jobs) + len(self._batched_jobs)

    def _run(self) -> None:
        last_was_live = False
        while batch := self._next_batch(last_was_live):
            last_was_live = batch[0].live
            _render([job for job in batch if job.pixels.set_running_or_notify_cancel()])

    def _next_batch(self, last_was_live: bool) -> list[RenderJob]:
        """Wait for faces, and remove a batch of one model from the queue; empty after `close`."""
        with self._condition:
            self._condition.wait_for(lambda: len(self) or self._closed)
            if self._closed:
                return []
            # Live faces go first, but not twice in a row while other faces wait.
            if self._live_jobs and not (last_was_live and self._batched_jobs):
                return [self._live_jobs.popleft()]
            batch: list[RenderJob] = []
            rest: deque[RenderJob] = deque()
            for job in self._batched_jobs:
                fits = len(batch) < BATCH_SIZE and (not batch or job.model is batch[0].model)
                (batch if fits else rest).append(job)
            self._batched_jobs = rest
            return batch


@torch.inference_mode()
def _render(jobs: list[RenderJob]) -> None:
    """Render faces of one model, and store each result, or error, in its future."""
    with_latents: list[tuple[RenderJob, Tensor]] = []
    for job in jobs:
        try:
            with_latents.append((job, job.latent()))
        except Exception as error:  # noqa: BLE001 - raised where the result is read; the thread must go on
            job.pixels.set_exception(error)
    for ndim in {w.ndim for _, w in with_latents}:  # one `w` for all layers, or one for each layer
        group = [(job, w) for job, w in with_latents if w.ndim == ndim]
        G, live = group[0][0].model.G, group[0][0].live
        w = torch.cat([w for _, w in group])
        try:
            faces = _render_unpadded(G, w) if live else synthesize(G, w)
        except Exception as error:  # noqa: BLE001
            for job, _ in group:
                job.pixels.set_exception(error)
            continue
        for (job, _), face in zip(group, faces, strict=True):
            job.pixels.set_result(face)


def _render_unpadded(G: Generator, w: Tensor) -> Pixels:
    """Render latents without padding them to a full batch, which is ten times as fast for a single face.

    Because of rounding, a few of 100,000 values differ from those of `synthesize`, by one level of 255.
    """
    return to_uint8(G.synthesis(w.to(G.w_avg.device))).cpu().numpy()


def _not_cancelled(jobs: deque[RenderJob]) -> deque[RenderJob]:
    """Return the jobs that nobody has cancelled."""
    return deque(job for job in jobs if not job.pixels.cancelled())


class BackgroundJobs:
    """A few threads for films, photos and files. `close` stops them."""

    def __init__(self, threads: int = BACKGROUND_THREADS, limit: int = MAX_QUEUED_JOBS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="background")
        self._free_places = threading.BoundedSemaphore(threads + limit)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Run a function in the background, and return its future result.

        Raises:
            Busy: the queue is full.
        """
        if not self._free_places.acquire(blocking=False):
            raise Busy
        future = self._pool.submit(work)
        future.add_done_callback(lambda _: self._free_places.release())
        return future

    def close(self) -> None:
        """Cancel the waiting jobs, and stop after the current ones."""
        self._pool.shutdown(cancel_futures=True)

"""The workers: one thread renders faces in batches, a few others do the rest. They refuse work when too much waits.

The pixels of a face do not depend on the other faces in its batch (`io.seeds.BATCH_SIZE`). So faces are batched as they
arrive, and a picture still depends on its address alone.
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

T = TypeVar("T")
QUEUE_LIMIT = 240  # faces that wait
WORKERS = 2
WAITING_LIMIT = 6  # background jobs that wait


class Busy(Exception):
    """Too much is waiting; the client should retry in a moment."""


@dataclass
class RenderJob:
    """A face to render.

    Attributes:
        latent: computes `w` `[1, w_dim]` or `[1, num_ws, w_dim]`; called in the render thread.
        live: render the face alone, before those that wait; for a slider that is being dragged.
        pixels: the result, `[H, W, C]`.
    """

    model: Model
    latent: Callable[[], Tensor]
    live: bool = False
    pixels: Future[Pixels] = field(default_factory=Future)


class RenderQueue:
    """One thread that renders faces in batches; `close` stops it."""

    def __init__(self, limit: int = QUEUE_LIMIT) -> None:
        self.limit = limit
        self._live: deque[RenderJob] = deque()
        self._batched: deque[RenderJob] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="render", daemon=True)
        self._thread.start()

    def submit(self, job: RenderJob) -> Future[Pixels]:
        """Queue a face. Cancelling the future removes it, unless rendering has started.

        Raises:
            Busy: too many faces wait.
        """
        with self._changed:
            if len(self) >= self.limit:
                self._live, self._batched = _not_cancelled(self._live), _not_cancelled(self._batched)
            if len(self) >= self.limit or self._closed:
                raise Busy
            (self._live if job.live else self._batched).append(job)
            self._changed.notify()
        return job.pixels

    def close(self) -> None:
        """Cancel the waiting faces, and stop after the current batch."""
        with self._changed:
            self._closed = True
            for job in (*self._live, *self._batched):
                job.pixels.cancel()
            self._changed.notify()
        self._thread.join()

    def __len__(self) -> int:
        return len(self._live) + len(self._batched)

    def _run(self) -> None:
        last_was_live = False
        while batch := self._next_batch(last_was_live):
            last_was_live = batch[0].live
            _render([job for job in batch if job.pixels.set_running_or_notify_cancel()])

    def _next_batch(self, last_was_live: bool) -> list[RenderJob]:
        """The next faces to render, all of one model; empty after `close`."""
        with self._changed:
            self._changed.wait_for(lambda: len(self) or self._closed)
            if self._closed:
                return []
            # Live faces go first, but not twice in a row while others wait.
            if self._live and not (last_was_live and self._batched):
                return [self._live.popleft()]
            batch: list[RenderJob] = []
            rest: deque[RenderJob] = deque()
            for job in self._batched:
                fits = len(batch) < BATCH_SIZE and (not batch or job.model is batch[0].model)
                (batch if fits else rest).append(job)
            self._batched = rest
            return batch


@torch.inference_mode()
def _render(jobs: list[RenderJob]) -> None:
    """Render faces of one model, and hand each result, or error, to its future."""
    with_latents: list[tuple[RenderJob, Tensor]] = []
    for job in jobs:
        try:
            with_latents.append((job, job.latent()))
        except Exception as error:  # noqa: BLE001 - whoever waits for the face raises it; the thread must go on
            job.pixels.set_exception(error)
    for ndim in {w.ndim for _, w in with_latents}:  # one latent for all layers, or one for each
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
    """The faces of a few latents, without padding them to a full batch: ten times as fast.

    Rounding may differ from `synthesize`, by one level in a few of 100,000 values.
    """
    return to_uint8(G.synthesis(w.to(G.w_avg.device))).cpu().numpy()


def _not_cancelled(jobs: deque[RenderJob]) -> deque[RenderJob]:
    return deque(job for job in jobs if not job.pixels.cancelled())


class BackgroundJobs:
    """A few threads for films, photos and files; `close` stops them."""

    def __init__(self, workers: int = WORKERS, waiting_limit: int = WAITING_LIMIT) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="background")
        self._free = threading.BoundedSemaphore(workers + waiting_limit)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Run a function in the background.

        Raises:
            Busy: too many jobs wait.
        """
        if not self._free.acquire(blocking=False):
            raise Busy
        future = self._pool.submit(work)
        future.add_done_callback(lambda _: self._free.release())
        return future

    def close(self) -> None:
        """Cancel the waiting jobs, and stop after the current ones."""
        self._pool.shutdown(cancel_futures=True)

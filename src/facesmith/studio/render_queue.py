"""The render thread, and the order in which everything that runs a network takes turns.

Three kinds of work share the processor. Live faces, for sliders that are being dragged, go first. Batches of faces, for
walls and downloads, alternate with background work: films and inversions, which run in other threads and wait here for
each of their turns. A turn is short: one batch, or one step of an inversion. So a slider waits for one turn at most.

The pixels of a face do not depend on the other faces in its batch (`io.seeds.BATCH_SIZE`), so a batch may contain faces
of several clients. Clients take turns, too.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

import torch
from torch import Tensor

from facesmith.gan.contracts import Generator
from facesmith.io.seeds import BATCH_SIZE
from facesmith.latent.synthesis import synthesize
from facesmith.model import Model
from facesmith.pictures.images import Pixels, to_uint8
from facesmith.studio.fair_queue import FairQueue
from facesmith.studio.limits import MAX_QUEUED_FACES, MAX_QUEUED_FACES_PER_CLIENT

LIVE_SECONDS = 0.1  # live faces may take this long in a row while other work waits, which must not starve
UNKNOWN_CLIENT = ""


class Busy(Exception):
    """The queue is full. The client should try again in a moment."""


class RenderCancelled(Exception):
    """The work was cancelled: the client has disconnected, or the studio stops."""


class Kind(Enum):
    """The kinds of work that take turns."""

    LIVE = "live"
    BATCH = "batch"
    BACKGROUND = "background"


@dataclass
class RenderJob:
    """A face to render.

    Attributes:
        latent: returns `w`, `[1, w_dim]` or `[1, num_ws, w_dim]`; called in the render thread.
        live: render the face alone and before the others, for a slider that is being dragged.
        client: whose turn it takes.
        pixels: the future result, `[H, W, C]`.
    """

    model: Model
    latent: Callable[[], Tensor]
    live: bool = False
    client: str = UNKNOWN_CLIENT
    pixels: Future[Pixels] = field(default_factory=Future)


class BackgroundTurn:
    """The right of a background thread to compute, until the next `renew`."""

    def __init__(self, queue: RenderQueue) -> None:
        self._queue = queue

    def renew(self) -> None:
        """Let the others take their turns, and wait for the next one.

        Raises:
            RenderCancelled: the studio stops.
        """
        self._queue.end_background_turn()
        self._queue.wait_for_background_turn(self)


class RenderQueue:
    """A thread that renders faces, and gives turns to background threads. `close` stops it."""

    def __init__(self, limit: int = MAX_QUEUED_FACES, client_limit: int = MAX_QUEUED_FACES_PER_CLIENT) -> None:
        self.limit, self.client_limit = limit, client_limit
        self._live_jobs: FairQueue[RenderJob] = FairQueue()
        self._batched_jobs: FairQueue[RenderJob] = FairQueue()
        self._background: deque[BackgroundTurn] = deque()
        self._condition = threading.Condition()
        self._computing = self._closed = False
        self._live_seconds = 0.0  # since other work had a turn
        self._last_other = Kind.BACKGROUND
        self._thread = threading.Thread(target=self._run, name="render", daemon=True)
        self._thread.start()

    def submit(self, job: RenderJob) -> Future[Pixels]:
        """Queue a face, and return its future pixels. Cancel the future to remove a face that is still waiting.

        Raises:
            Busy: the queue is full, or the client has too many faces in it.
        """
        with self._condition:
            if self._is_full(job.client):
                for queue in (self._live_jobs, self._batched_jobs):
                    queue.remove(lambda waiting: waiting.pixels.cancelled())
            if self._is_full(job.client) or self._closed:
                raise Busy
            (self._live_jobs if job.live else self._batched_jobs).append(job.client, job)
            self._condition.notify_all()
        return job.pixels

    @contextmanager
    def background_turn(self) -> Iterator[BackgroundTurn]:
        """Wait for a turn of a background thread. Keep it short, or call `renew` often.

        Raises:
            RenderCancelled: the studio stops.
        """
        turn = BackgroundTurn(self)
        self.wait_for_background_turn(turn)
        try:
            yield turn
        finally:
            self.end_background_turn()

    def wait_for_background_turn(self, turn: BackgroundTurn) -> None:
        """Return when it is this turn's time."""
        with self._condition:
            self._background.append(turn)
            self._condition.notify_all()
            self._condition.wait_for(
                lambda: self._closed or (self._background[0] is turn and self._next_kind() is Kind.BACKGROUND)
            )
            self._background.remove(turn)
            self._computing = not self._closed
            if self._closed:
                raise RenderCancelled

    def end_background_turn(self) -> None:
        """End the current turn of a background thread, so that others can take theirs."""
        self._end_turn(Kind.BACKGROUND, 0.0)

    def stop(self) -> None:
        """Cancel the waiting faces. No further turns begin."""
        with self._condition:
            self._closed = True
            for job in (*self._live_jobs, *self._batched_jobs):
                job.pixels.cancel()
            self._condition.notify_all()

    def close(self) -> None:
        """Cancel the waiting faces, and wait until the thread has ended."""
        self.stop()
        self._thread.join()

    def __len__(self) -> int:
        return len(self._live_jobs) + len(self._batched_jobs)

    def _is_full(self, client: str) -> bool:
        waiting = self._live_jobs.count(client) + self._batched_jobs.count(client)
        return len(self) >= self.limit or waiting >= self.client_limit

    def _run(self) -> None:
        while batch := self._next_batch():
            start = time.monotonic()
            _render([job for job in batch if job.pixels.set_running_or_notify_cancel()])
            self._end_turn(Kind.LIVE if batch[0].live else Kind.BATCH, time.monotonic() - start)

    def _next_batch(self) -> list[RenderJob]:
        """Wait for faces and for a turn, and remove a batch of one model from the queue; empty after `close`."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._next_kind() in (Kind.LIVE, Kind.BATCH))
            if self._closed:
                return []
            live = self._next_kind() is Kind.LIVE
            queue, size = (self._live_jobs, 1) if live else (self._batched_jobs, BATCH_SIZE)
            batch: list[RenderJob] = []
            while len(batch) < size and (job := queue.pop(lambda job: not batch or job.model is batch[0].model)):
                batch.append(job)
            self._computing = True
            return batch

    def _end_turn(self, kind: Kind, seconds: float) -> None:
        with self._condition:
            self._computing = False
            if kind is Kind.LIVE:
                self._live_seconds += seconds
            else:
                self._live_seconds, self._last_other = 0.0, kind
            self._condition.notify_all()

    def _next_kind(self) -> Kind | None:
        """Return what takes the next turn; None while a turn lasts, or if nothing waits."""
        if self._computing:
            return None
        others = [Kind.BATCH] * bool(self._batched_jobs) + [Kind.BACKGROUND] * bool(self._background)
        if self._live_jobs and (not others or self._live_seconds < LIVE_SECONDS):
            return Kind.LIVE
        return next((kind for kind in others if kind is not self._last_other), others[0] if others else None)


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

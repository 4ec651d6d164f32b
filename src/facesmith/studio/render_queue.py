"""Draws faces as they are asked for: those that wait are drawn together, and too many are told that it is busy.

A face is the same, to the bit, whatever is drawn beside it (`io.seeds.BATCH_SIZE`), so what waits may be put together
as it comes, and the picture still depends on its address alone.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch
from torch import Tensor

from facesmith.io.images import Pixels
from facesmith.io.seeds import BATCH_SIZE
from facesmith.latent.synthesis import synthesize
from facesmith.model import Model
from facesmith.studio.render import draw_alone

MOST_WAITING = 240


class Busy(Exception):
    """Too much is waiting; to be asked again in a moment."""


@dataclass
class Wanted:
    """A face that someone waits for.

    Attributes:
        latent: gives `w` `[1, w_dim]` or `[1, num_ws, w_dim]`; called where the face is drawn.
        alone: draw it by itself, at once, for a slider that is being dragged.
    """

    model: Model
    latent: Callable[[], Tensor]
    alone: bool
    drawn: Future[Pixels] = field(default_factory=Future)


class Easel:
    """One thread that draws; ended by `close`."""

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self.most_waiting = most_waiting
        self._alone: deque[Wanted] = deque()
        self._together: deque[Wanted] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="easel", daemon=True)
        self._thread.start()

    def draw(self, wanted: Wanted) -> Future[Pixels]:
        """Have a face `[H, W, C]` drawn. Cancelling the future forgets it, if it isn't being drawn yet.

        Raises:
            Busy: too many wait.
        """
        with self._changed:
            if self._count() >= self.most_waiting:
                self._alone, self._together = _wanted_still(self._alone), _wanted_still(self._together)
            if self._count() >= self.most_waiting or self._closed:
                raise Busy
            (self._alone if wanted.alone else self._together).append(wanted)
            self._changed.notify()
        return wanted.drawn

    def close(self) -> None:
        """Stop when what is being drawn is drawn; what waits is cancelled."""
        with self._changed:
            self._closed = True
            for each in (*self._alone, *self._together):
                each.drawn.cancel()
            self._changed.notify()
        self._thread.join()

    def _count(self) -> int:
        return len(self._alone) + len(self._together)

    def _work(self) -> None:
        was_alone = False
        while some := self._next(was_alone):
            was_alone = some[0].alone
            self._draw([each for each in some if each.drawn.set_running_or_notify_cancel()])

    def _next(self, was_alone: bool) -> list[Wanted]:
        """What to draw now, of one model; empty when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._count() or self._closed)
            if self._closed:
                return []
            # Sliders first, but not twice in a row while others wait.
            if self._alone and not (was_alone and self._together):
                return [self._alone.popleft()]
            some: list[Wanted] = []
            others: deque[Wanted] = deque()
            for each in self._together:
                fits = len(some) < BATCH_SIZE and (not some or each.model is some[0].model)
                (some if fits else others).append(each)
            self._together = others
            return some

    @torch.inference_mode()
    def _draw(self, some: list[Wanted]) -> None:
        """Draw what is of one model, and give it to those who wait."""
        latents: list[tuple[Wanted, Tensor]] = []
        for each in some:
            try:
                latents.append((each, each.latent()))
            except Exception as error:  # noqa: BLE001 - it belongs to who waits, and the thread must live on
                each.drawn.set_exception(error)
        for layers in {w.ndim for _, w in latents}:  # one latent for all layers, or one for each
            ready = [(each, w) for each, w in latents if w.ndim == layers]
            G, alone = ready[0][0].model.G, ready[0][0].alone
            w = torch.cat([w for _, w in ready])
            try:
                faces = draw_alone(G, w) if alone else synthesize(G, w)
            except Exception as error:  # noqa: BLE001
                for each, _ in ready:
                    each.drawn.set_exception(error)
                continue
            for (each, _), face in zip(ready, faces, strict=True):
                each.drawn.set_result(face)


def _wanted_still(waiting: deque[Wanted]) -> deque[Wanted]:
    return deque(each for each in waiting if not each.drawn.cancelled())

"""Longer work (films, photos) on few threads, with a bound on how much waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from facesmith.studio.render_queue import Busy

T = TypeVar("T")
WORKERS, MOST_WAITING = 2, 6


class Workshop:
    """A pool that refuses work when too much waits already; ended by `close`."""

    def __init__(self, workers: int = WORKERS, most_waiting: int = MOST_WAITING) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="workshop")
        self._free = threading.BoundedSemaphore(workers + most_waiting)

    def do(self, work: Callable[[], T]) -> Future[T]:
        """Have work done.

        Raises:
            Busy: too much waits.
        """
        if not self._free.acquire(blocking=False):
            raise Busy
        future = self._pool.submit(work)
        future.add_done_callback(lambda _: self._free.release())
        return future

    def close(self) -> None:
        """Forget what waits, and stop when what is being done is done."""
        self._pool.shutdown(cancel_futures=True)

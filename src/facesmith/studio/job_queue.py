"""Threads for films, photos and files, with a queue in which clients take turns and that reports its progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from facesmith.studio.fair_queue import FairQueue
from facesmith.studio.limits import MAX_JOBS_PER_CLIENT, MAX_QUEUED_JOBS
from facesmith.studio.render_queue import UNKNOWN_CLIENT, Busy

T = TypeVar("T")
THREADS = 2
MIN_PROGRESS = 0.05  # below it, the time left can't be estimated from the progress
RECENT_WEIGHT = 0.3  # of the last job in the typical duration of its kind


@dataclass(eq=False)
class Job(Generic[T]):
    """Work for a background thread.

    Attributes:
        work: called with the job itself, in the background thread.
        kind: what it is, such as "film", for the user and for the estimate of the time left.
        started: when it began, in seconds of `time.monotonic`; None while it waits.
        progress: the share that is done, 0-1, as the work reports it.
        cancelled: the work should stop.
    """

    work: Callable[[Job[T]], T]
    kind: str
    client: str
    future: Future[T] = field(default_factory=Future)
    started: float | None = None
    progress: float = 0.0
    cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Remove the job from the queue, or ask its work to stop. A finished job stays as it is."""
        if not self.future.done():
            self.cancelled.set()
            self.future.cancel()  # if the work has not started


class JobQueue:
    """A few threads with a queue. `close` stops them."""

    def __init__(
        self, threads: int = THREADS, limit: int = MAX_QUEUED_JOBS, client_limit: int = MAX_JOBS_PER_CLIENT
    ) -> None:
        self.limit, self.client_limit = limit, client_limit
        self._waiting: FairQueue[Job[Any]] = FairQueue()
        self._running: list[Job[Any]] = []
        self._typical_seconds: dict[str, float] = {}  # by kind
        self._condition = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._run, name=f"jobs-{i}", daemon=True) for i in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[Job[T]], T], client: str = UNKNOWN_CLIENT, kind: str = "file") -> Job[T]:
        """Queue some work.

        Raises:
            Busy: the queue is full, or the client has too many jobs in it.
        """
        job = Job(work, kind, client)
        with self._condition:
            self._waiting.remove(lambda waiting: waiting.future.cancelled())
            if len(self._waiting) >= self.limit or self._waiting.count(client) >= self.client_limit or self._closed:
                raise Busy
            self._waiting.append(client, job)
            self._condition.notify()
        return job

    def status(self, client: str) -> dict[str, Any]:
        """Return what a client waits for: its jobs, the next ones first, and the number of all waiting jobs."""
        with self._condition:
            waiting = self._order()
            running = [job for job in self._running if job.client == client]
            jobs = [self._values(job, waiting) for job in (*running, *waiting) if job.client == client]
        return {"jobs": jobs, "waiting": len(waiting)}

    def job_status(self, job: Job[Any]) -> dict[str, Any]:
        """Return `kind`, `progress`, the number of jobs `ahead`, and the `seconds_left`, None if not known yet."""
        with self._condition:
            return self._values(job, self._order())

    def stop(self) -> None:
        """Cancel all jobs. Their threads end soon."""
        with self._condition:
            self._closed = True
            for job in (*self._waiting, *self._running):
                job.cancel()
            self._condition.notify_all()

    def close(self) -> None:
        """Cancel all jobs, and wait until the threads have ended."""
        self.stop()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while job := self._next_job():
            try:
                job.future.set_result(job.work(job))
            except BaseException as error:  # noqa: BLE001 - raised where the result is read; the thread must go on
                job.future.set_exception(error)
            finally:
                self._finish(job)

    def _next_job(self) -> Job[Any] | None:
        """Wait for a job, and remove it from the queue; None after `close`."""
        with self._condition:
            while True:
                self._condition.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return None
                job = self._waiting.pop()
                if job is not None and job.future.set_running_or_notify_cancel():
                    job.started = time.monotonic()
                    self._running.append(job)
                    return job

    def _finish(self, job: Job[Any]) -> None:
        assert job.started is not None
        with self._condition:
            self._running.remove(job)
            if not job.cancelled.is_set():
                seconds = time.monotonic() - job.started
                typical = self._typical_seconds.get(job.kind, seconds)
                self._typical_seconds[job.kind] = typical + RECENT_WEIGHT * (seconds - typical)

    def _order(self) -> list[Job[Any]]:
        """Return the waiting jobs, the next one first."""
        return [job for job in self._waiting if not job.future.cancelled()]

    def _values(self, job: Job[Any], waiting: list[Job[Any]]) -> dict[str, Any]:
        ahead = waiting[: waiting.index(job)] if job in waiting else []
        is_waiting = job.started is None
        seconds = self._seconds_until_start(ahead) + self._seconds_of(job) if is_waiting else self._seconds_of(job)
        return {
            "kind": job.kind,
            "ahead": len(ahead) + len(self._running) if is_waiting else 0,
            "progress": None if is_waiting else round(job.progress, 3),
            "seconds_left": None if seconds != seconds else round(seconds),  # NaN: not known yet
        }

    def _seconds_until_start(self, ahead: list[Job[Any]]) -> float:
        return sum(map(self._seconds_of, (*ahead, *self._running))) / len(self._threads)

    def _seconds_of(self, job: Job[Any]) -> float:
        """Return an estimate of how long a job still takes once it has started; NaN if it is not known yet."""
        if job.started is None:
            return self._typical_seconds.get(job.kind, self._seconds_of_running(job.kind))
        seconds = time.monotonic() - job.started
        if job.progress > MIN_PROGRESS:
            return seconds / job.progress - seconds
        return max(0.0, self._typical_seconds.get(job.kind, float("nan")) - seconds)

    def _seconds_of_running(self, kind: str) -> float:
        """Return the estimated duration of a running job of this kind, before the first one has finished."""
        durations = [
            (time.monotonic() - job.started) / job.progress
            for job in self._running
            if job.kind == kind and job.started is not None and job.progress > MIN_PROGRESS
        ]
        return max(durations, default=float("nan"))

"""`--engine local`: worker processes of this machine, each of which extracts one shard after another.

If a worker's process ends, its slice starts over in another one. `shard_notes.py` limits how often.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import islice
from typing import Any

from facesmith.errors import FacesmithError
from facesmith.photos.extract_shard import PhotoSlice, Running, ShardJob
from facesmith.photos.shard_notes import MAX_START_DEATHS, note_file, read_note

POLL_SECONDS = 0.5
# Without -P, Python would look for modules in the current folder first: a user's random.py would replace its own.
WORKER = [sys.executable, "-P", "-m", "facesmith.photos.shard_worker"]


def run_local(job: ShardJob, slices: Iterator[PhotoSlice], workers: int) -> Running:
    """Extract shards in processes of this machine."""
    processes = _Processes(job)
    pool = ThreadPoolExecutor(workers)
    running: dict[Future[None], int] = {}
    try:
        while True:
            for part in islice(slices, workers - len(running)):
                running[pool.submit(processes.extract, part)] = part.number
            yield frozenset(running.values())
            if not running:
                return
            for done in wait(running, POLL_SECONDS, FIRST_COMPLETED).done:
                del running[done]
                done.result()
    finally:
        processes.close()
        pool.shutdown(cancel_futures=True)


class _Processes:
    """One worker process for each thread that calls `extract`."""

    def __init__(self, job: ShardJob) -> None:
        self._job, self._own, self._lock = job, threading.local(), threading.Lock()
        self._all: list[subprocess.Popen[bytes]] = []
        self._closed = False

    def extract(self, part: PhotoSlice) -> None:
        """Extract a shard, in as many processes as it takes.

        Raises:
            FacesmithError: as `extract_shard`.
            OSError: the output can't be written.
        """
        early_deaths = 0
        while not self._closed:
            process = getattr(self._own, "process", None) or self._start()
            try:
                answer = self._ask(process, part)
            except (EOFError, OSError, pickle.UnpicklingError):  # the process has ended
                self._own.process = None
                process.kill()
                process.wait()
                early_deaths += read_note(note_file(self._job.out, part.number)) is None
                if early_deaths == MAX_START_DEATHS and not self._closed:
                    command = " ".join(WORKER)
                    raise FacesmithError(
                        f"A worker process ends as soon as it starts. To see why, run: {command}"
                    ) from None
                continue
            if answer is not None:
                raise answer
            return

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise FacesmithError("The extraction was stopped.")
            # Its own session, so that Ctrl-C reaches this process alone.
            process = subprocess.Popen(WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
            self._all.append(process)
        self._own.process = process
        with suppress(OSError):  # if it has ended already, the answer is missing
            self._send(process, self._job)
        return process

    def _ask(self, process: subprocess.Popen[bytes], part: PhotoSlice) -> Exception | None:
        self._send(process, part)
        assert process.stdout is not None
        answer: Exception | None = pickle.load(process.stdout)
        return answer

    @staticmethod
    def _send(process: subprocess.Popen[bytes], value: Any) -> None:
        assert process.stdin is not None
        pickle.dump(value, process.stdin)
        process.stdin.flush()

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            self._closed = True
        for process in self._all:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):  # what was not sent yet
                    if pipe is not None:
                        pipe.close()

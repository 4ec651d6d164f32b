"""The pace of a run: how many threads it trains with, and how many images its minutes are worth.

Both depend on what else the machine does, so they are decided again at every checkpoint. Decisions are stored with the
state: a run that is killed and resumed takes the same steps as before, until its next checkpoint.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import psutil

from facesmith.training.state import TrainState

MIN_CHANGE = 0.02  # of the requested time; a smaller error of the predicted end is left alone
MIN_SECONDS = 10.0  # between two measurements of the speed; in less time, pauses for saving distort it
MIN_GAIN = 1.05  # of another number of threads; less is within the noise

MeasureThreads = Callable[[list[int]], Mapping[int, float]]  # numbers of threads -> images per second for each


def replanned_budget(state: TrainState, minutes: float, seconds: float, images_per_second: float) -> int | None:
    """The number of images after which a run ends on time, or None if the current budget is close enough.

    Args:
        minutes: the requested time.
        seconds: spent on training so far.
        images_per_second: speed since the last decision, pauses for saving included.
    """
    if not images_per_second > 0:
        return None
    left = 60 * minutes - seconds
    predicted = (state.budget - state.seen) / images_per_second
    if abs(predicted - left) < MIN_CHANGE * 60 * minutes:
        return None
    return state.seen + max(0, round(left * images_per_second))


def candidate_threads(allowed: int) -> list[int]:
    """Numbers of threads to measure: all that are allowed, half of them, and so on down to 1."""
    return sorted({max(1, allowed >> halvings) for halvings in range(allowed.bit_length())})


def best_threads(images_per_second: Mapping[int, float], current: int | None = None) -> int:
    """The fastest number of threads; the current one, if no other is clearly faster."""
    best = max(images_per_second, key=lambda threads: images_per_second[threads])
    if current is None or images_per_second[best] >= MIN_GAIN * images_per_second[current]:
        return best
    return current


class FreeCores:
    """Measures how many of the cores that this process may use are left to it by other processes."""

    def __init__(self) -> None:
        self._before = _cpu_seconds()

    def since_last_call(self) -> float:
        """Average over the time since the last call, from 0 to the number of cores."""
        before, now = self._before, _cpu_seconds()
        self._before = now
        elapsed = now.clock - before.clock
        if elapsed <= 0:
            return float(now.cores)
        others = (now.all_processes - before.all_processes) - (now.this_process - before.this_process)
        return min(max(now.cores - others / elapsed, 0.0), float(now.cores))


@dataclass(frozen=True)
class _CpuSeconds:
    cores: int
    all_processes: float
    this_process: float
    clock: float


def _cpu_seconds() -> _CpuSeconds:
    """Processor seconds so far, on the cores that this process may use."""
    cores = psutil.cpu_times(percpu=True)
    if hasattr(os, "sched_getaffinity"):
        cores = [cores[number] for number in os.sched_getaffinity(0) if number < len(cores)]
    names = ("user", "nice", "system", "irq", "softirq", "steal")  # "user" contains guests
    busy = sum(getattr(core, name, 0.0) for core in cores for name in names)
    own = psutil.Process().cpu_times()
    return _CpuSeconds(len(cores), busy, own.user + own.system, time.monotonic())


@dataclass
class Pace:
    """Decides at every checkpoint how many threads a run gets and, for a budget in minutes, how many images.

    Attributes:
        threads: the number of CPU threads.
        max_threads: the largest number that may be chosen; None if it is fixed.
        minutes: the requested time, or None for a budget in images.
        seconds: spent on training when the speed was last measured.
        seen: images seen at that time.
    """

    threads: int
    max_threads: int | None
    minutes: float | None
    seconds: float = 0.0
    seen: int = 0
    free_cores: FreeCores = field(default_factory=FreeCores)
    _last_suggestion: int = 0
    _rejected: int = 0  # the suggestion that turned out to be no faster

    def adjust(self, state: TrainState, seconds: float, measure: MeasureThreads) -> list[str]:
        """Decide again; changes `threads` and the state's budget.

        Args:
            seconds: spent on training so far.
            measure: called when the machine has become busy or idle.

        Returns:
            What has changed, to be printed.
        """
        changes: list[str] = []
        interval = seconds - self.seconds
        images_per_second = (state.seen - self.seen) / max(interval, 1e-9)
        is_measured = self.minutes is None or interval >= min(MIN_SECONDS, self.minutes)  # at most a sixtieth of a run
        if suggestion := self._suggested_threads():
            speeds = measure(sorted({self.threads, suggestion}))
            threads = best_threads(speeds, self.threads)
            self._rejected = suggestion if threads == self.threads else 0
            if threads != self.threads:
                why = "other programs use the machine" if threads < self.threads else "more cores are free"
                changes.append(f"CPU threads: {threads} instead of {self.threads}, because {why}")
                self.threads, images_per_second, is_measured = threads, speeds[threads], True
        if not is_measured:
            return changes
        if self.minutes is not None and state.seen < state.budget:
            budget = replanned_budget(state, self.minutes, seconds, images_per_second)
            if budget is not None:
                changes.append(
                    f"budget: {budget / 1000:.1f} kimg instead of {state.budget / 1000:.1f}, "
                    f"to end after {self.minutes:g} min"
                )
                state.change_budget(budget)
        self.seconds, self.seen = seconds, state.seen
        return changes

    def _suggested_threads(self) -> int:
        """Another number of threads that suits the machine, worth measuring; 0 if there is none.

        The same number must have been free between the last two checkpoints and since the last one.
        """
        if self.max_threads is None or self.max_threads == 1:
            return 0
        suggestion = min(max(round(self.free_cores.since_last_call()), 1), self.max_threads)
        is_stable, self._last_suggestion = suggestion == self._last_suggestion, suggestion
        if suggestion != self._rejected:
            self._rejected = 0
        return suggestion if is_stable and suggestion not in (self.threads, self._rejected) else 0

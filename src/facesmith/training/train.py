"""faces -> a trained generator: the training loop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console

from facesmith.errors import Diverged, TrainingStopped
from facesmith.modelfiles.run_folder import MODEL
from facesmith.training.diagnosis import Problem, diagnose
from facesmith.training.plan import TrainOptions
from facesmith.training.run import open_run
from facesmith.training.step import train_step

STOP_SIGNALS = [
    signal.SIGINT,
    signal.SIGTERM,
    *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []),
]  # not on Windows


@dataclass(frozen=True)
class TrainReport:
    """How a training ended.

    Attributes:
        out: the run folder.
        seen: images seen.
        finished: False where the user stopped it before the end of the budget.
    """

    out: Path
    seen: int
    finished: bool


def train(options: TrainOptions, console: Console) -> TrainReport:
    """Train to the end of the budget. Resumes a run where the run folder contains one of the same plan.

    Raises:
        FacesmithError: the data, the options or the run folder can't be used.
        Diverged: a loss or gradient is not finite, and there is no healthy state to roll back to.
        TrainingStopped: the diagnosis found a problem and `on_trouble` is "stop", or rollbacks did not help.
    """
    with open_run(options, console) as run, _stop_requests() as stop:
        state, monitor = run.state, run.monitor

        # A run that was finished before may still be rolled back, if --on-trouble rollback is new.
        if run.is_finished:
            if not (run.out / MODEL).exists():
                run.save()
            problems = diagnose(monitor.lines, state.budget)
            if problems and options.on_trouble == "rollback":
                run.roll_back(*_described(problems))

        while not run.is_finished:
            seen_before = state.seen

            # Step. A loss that is not finite leaves the weights as they were.
            try:
                terms = train_step(state)
            except Diverged as error:
                if options.on_trouble != "rollback" or not run.roll_back("divergence", f"{error.cause}."):
                    raise
                monitor.print(f"diagnosis: {error.cause}")
                continue

            # Log.
            monitor.log_step(terms)

            # Validate, and keep the best model so far.
            if run.validates_after(seen_before):
                run.validate()

            # Save and diagnose: regularly, at the end, and before stopping. The event is read once, since it may be
            # set between two reads, and a user who stops a run must find it saved.
            is_stopping = stop.is_set()
            if not (is_stopping or run.saves_after(seen_before)):
                continue
            problems = run.save()

            # Stop, because the user asked for it.
            if is_stopping:
                break

            # Stop or roll back, because something is wrong. After the end there is nothing left to stop.
            if problems and options.on_trouble == "stop" and not run.is_finished:
                _, description = _described(problems)
                raise TrainingStopped(f"Stopped and saved at {state.seen / 1000:.1f} kimg. {description}")
            if problems and options.on_trouble == "rollback":
                run.roll_back(*_described(problems))

        return TrainReport(run.out, state.seen, run.is_finished)


def _described(problems: list[Problem]) -> tuple[str, str]:
    """The names of problems, and their symptoms with advice."""
    return ", ".join(problem.name for problem in problems), " ".join(map(str, problems))


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """An event that asks to finish the step, save and stop. A second Ctrl-C ends at once.

    Ctrl-C, SIGTERM and SIGHUP (a closed terminal, a lost connection) set it.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        yield stop
        return

    def request(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    handlers = {number: signal.signal(number, request) for number in STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

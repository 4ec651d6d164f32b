"""faces -> a trained generator: the training loop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from rich.console import Console

from facesmith.device import pick_device
from facesmith.errors import NonFiniteLoss, TrainingStopped
from facesmith.io.stopping import handling_stop_signals
from facesmith.training.diagnosis import Problem, needing_rollback
from facesmith.training.open_run import open_run
from facesmith.training.plan import TrainOptions
from facesmith.training.processes import is_restart, joined_processes
from facesmith.training.step import train_step


@dataclass(frozen=True)
class TrainReport:
    """How a run ended.

    Attributes:
        out: the run folder.
        seen: images seen.
        finished: False if the user stopped the run before the end of its budget.
        rank: the number of this process, if torchrun started several; the first, 0, wrote the run folder.
    """

    out: Path
    seen: int
    finished: bool
    rank: int = 0


def train(options: TrainOptions, console: Console) -> TrainReport:
    """Train to the end of the budget; resumes the run if the run folder contains one with the same options.

    Raises:
        FacesmithError: the data, the options or the run folder can't be used.
        NonFiniteLoss: `on_trouble` is not "rollback", or there is no healthy checkpoint yet.
        TrainingStopped: the diagnosis found a problem and `on_trouble` is "stop", or rollbacks did not help.
    """
    if is_restart():  # the first start has already deleted the old run
        options = replace(options, force=False)
    with (
        joined_processes(pick_device(options.device)) as processes,
        open_run(options, processes, processes.console(console)) as run,
        _stop_requests() as stop,
    ):
        state = run.state

        # A finished run continues only with --on-trouble rollback, if its last checkpoint has a problem.
        if run.is_finished:
            if not run.has_model():
                run.save()
            if options.on_trouble == "rollback" and (problems := needing_rollback(run.diagnose())):
                run.roll_back(problems)

        while not run.is_finished:
            seen_before = state.seen

            # Step. If a loss is not finite, its player is not updated; earlier players of the step were.
            try:
                terms = train_step(state)
            except NonFiniteLoss as error:
                if options.on_trouble != "rollback":
                    raise
                run.print(f"diagnosis: {error.cause}.")
                if not run.roll_back([Problem("non-finite loss", f"{error.cause}.", "Use a lower learning rate.")]):
                    raise
                continue

            # Log. The stop request is read only here: if it came between two reads, the run would stop without being
            # saved.
            is_stopping = run.log_step(terms, stop.is_set())
            if run.are_images_due:
                run.log_images()

            # Validate, and keep the best model so far.
            if run.is_validation_due(seen_before):
                run.validate()

            # Save: regularly, at the end, and before stopping.
            epoch = run.epoch_to_keep(seen_before)
            if not (is_stopping or epoch is not None or run.is_save_due(seen_before)):
                continue
            run.save(epoch)

            # Stop, because the user requested it.
            if is_stopping:
                break

            # Diagnose. After the end of the budget there is nothing left to stop, but a rollback continues the run.
            problems = run.diagnose()
            if problems and options.on_trouble == "stop" and not run.is_finished:
                raise TrainingStopped(
                    f"Stopped and saved at {state.seen / 1000:.1f} kimg. {' '.join(map(str, problems))}"
                )
            if options.on_trouble == "rollback" and (reversible := needing_rollback(problems)):
                run.roll_back(reversible)

        if run.is_finished:
            run.print_unexamined()
        return TrainReport(run.out, state.seen, run.is_finished, processes.rank)


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """An event that asks to finish the step, save and stop: see `io.stopping`. A second Ctrl-C ends at once."""
    stop = threading.Event()

    def request(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    with handling_stop_signals(request):
        yield stop

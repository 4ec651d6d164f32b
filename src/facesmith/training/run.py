"""A run: validate, save, diagnose, roll back.

A run folder contains `run.json` (the plan), `state.pt`, `model.safetensors`, and what `monitor.py` writes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facesmith import __version__
from facesmith.errors import TrainingStopped
from facesmith.faces import Faces
from facesmith.modelfiles import checkpoint
from facesmith.modelfiles.checkpoint import load_state, save_model
from facesmith.modelfiles.run_folder import BEST, HEALTHY_STATE, MODEL, NETWORKS, PLAN, SNAPSHOTS, STATE
from facesmith.photos import split
from facesmith.training.averages import inference_networks
from facesmith.training.diagnosis import Problem, diagnose, is_healthy, unexamined
from facesmith.training.monitor import Monitor
from facesmith.training.pace import Pace
from facesmith.training.plan import Plan, TrainOptions, write_plan
from facesmith.training.processes import ALONE, Processes
from facesmith.training.speed import measure_threads
from facesmith.training.state import TrainState, load_state_dict, share_state, state_dict
from facesmith.training.validation import KID, SECONDS, Validation, best_kid, validate

EPOCH_PREFIX = "epoch"  # of the names of kept networks
MAX_ROLLBACKS = 4  # each halves the learning rates; the fifth stops the run


@dataclass
class Run:
    """Everything that belongs to one run.

    Attributes:
        out: the run folder. Only the first process reads and writes it.
        monitor: in the first process.
        validation: in the first process, if validation during training was requested.
    """

    out: Path
    options: TrainOptions
    plan: Plan
    faces: Faces
    state: TrainState
    pace: Pace
    processes: Processes = ALONE
    _monitor: Monitor | None = None
    validation: Validation | None = None

    @property
    def monitor(self) -> Monitor:
        assert self._monitor is not None
        return self._monitor

    @property
    def is_finished(self) -> bool:
        return self.state.seen >= self.state.budget

    @property
    def epoch_images(self) -> int:
        """Images in one epoch, in all processes together, as the budget counts epochs."""
        return self.state.recipe.epoch_images(len(self.faces.part("train")))

    def is_validation_due(self, seen_before: int) -> bool:
        """Whether to validate after the step that began at `seen_before` images."""
        return bool(self.plan.validation) and self._has_crossed(int(self.plan.validation["every"]), seen_before)

    @property
    def are_images_due(self) -> bool:
        """Whether to write images to TensorBoard after this step: after the first one and every N-th from there."""
        every = self.options.images_every
        return every is not None and (self.state.step - 1) % every == 0

    def log_images(self) -> None:
        """Write samples and real faces of the current batch to TensorBoard."""
        self.processes.on_first(lambda: self.monitor.log_images(inference_networks(self.state)))

    def is_save_due(self, seen_before: int) -> bool:
        """Whether to save after the step that began at `seen_before` images."""
        return self._has_crossed(self.plan.save_every, seen_before)

    def _has_crossed(self, every: int, seen_before: int) -> bool:
        """Whether a step crossed a multiple of `every` images, or the end; a resumed run gives the same answer."""
        return self.is_finished or self.state.seen // every > seen_before // every

    def epoch_to_keep(self, seen_before: int) -> int | None:
        """The epoch that ended in the step which began at `seen_before` images, if its networks are to be kept.

        With `keep_epochs` N, these are the epochs 1, N + 1, 2 N + 1, ...
        """
        every, images = self.options.keep_epochs, self.epoch_images
        epoch = self.state.seen // images
        has_ended = epoch > seen_before // images
        return epoch if every is not None and has_ended and (epoch - 1) % every == 0 else None

    def has_model(self) -> bool:
        """Whether the run folder contains a model."""
        return self.processes.on_first(lambda: (self.out / MODEL).exists())

    def print(self, message: str) -> None:
        """Print a message, in the first process."""
        if self._monitor is not None:
            self._monitor.print(message)

    def log_step(self, terms: Mapping[str, Tensor], is_stop_requested: bool) -> bool:
        """Log the terms of a step, averaged over the processes. Returns whether any is to stop."""
        terms, is_stopping = self.processes.average_terms(terms, is_stop_requested)
        if self._monitor is not None:
            self._monitor.log_step(terms)
        return is_stopping

    def print_unexamined(self) -> None:
        """Print what the diagnosis could not examine."""
        if self._monitor is not None and (missing := unexamined(self._monitor.lines)):
            self._monitor.print(f"diagnosis: not examined: {', '.join(missing)}.")

    def validate(self) -> None:
        """Measure the generator on the validation split, and keep the model if it is the best so far."""
        self.processes.on_first(self._validate)

    def _validate(self) -> None:
        assert self.validation is not None
        start = time.monotonic()
        nets = inference_networks(self.state)
        scores = validate(nets["G"], self.validation)
        is_best = scores[KID] < best_kid(self.monitor.lines)
        if is_best:
            save_model(self.out / BEST, dict(nets.items()), self._header())
        self.monitor.log_validation(scores | {SECONDS: round(time.monotonic() - start, 2)}, is_best=is_best)

    def save(self, kept_epoch: int | None = None) -> None:
        """Adjust the pace, then write a checkpoint: model, snapshot, log and contact sheets, and the state last.

        The networks of `kept_epoch` are kept.

        If the process is killed before the state is written, the run resumes from the previous checkpoint. The monitor
        then removes newer log lines and sheets; the other files are overwritten.
        """
        self.processes.on_first(lambda: self._save(kept_epoch))
        state = self.state
        state.budget, state.replanned_at, self.pace.threads = self.processes.from_first(
            (state.budget, state.replanned_at, self.pace.threads)
        )
        torch.set_num_threads(self.pace.threads)

    def _save(self, kept_epoch: int | None) -> None:
        self._adjust_pace()
        nets = inference_networks(self.state)
        self._save_model(nets)
        self._save_snapshot(nets)
        if kept_epoch is not None:
            self._save_networks(nets, f"{EPOCH_PREFIX}{kept_epoch:04d}")
        self.monitor.log_checkpoint(nets)
        self.save_state()
        if self.options.on_trouble == "rollback" and is_healthy(self.monitor.lines, self.state.budget):
            self.save_state(HEALTHY_STATE)

    def _adjust_pace(self) -> None:
        """Let the pace decide, follow it, and print what has changed."""
        plan, device = self.plan, torch.device(self.plan.device)

        def measure(candidates: list[int]) -> dict[int, float]:
            return measure_threads(self.state.recipe, device, plan.precision, self.faces.own_pixels, candidates)

        for change in self.pace.adjust(self.state, self.monitor.seconds, measure):
            self.monitor.print(f"{self.state.seen / 1000:8.1f} kimg  {change}")
        torch.set_num_threads(self.pace.threads)
        if self.state.budget != plan.budget:
            self.plan = replace(plan, budget=self.state.budget)
            write_plan(self.out / PLAN, self.plan)

    def diagnose(self) -> list[Problem]:
        """The problems at the newest checkpoint."""
        return self.processes.on_first(lambda: diagnose(self.monitor.lines, self.state.budget))

    def roll_back(self, problems: Sequence[Problem]) -> bool:
        """Return to the last healthy checkpoint with halved learning rates.

        Newer log lines, sheets and snapshots are removed. The best model is kept.

        Returns:
            False if there is no healthy checkpoint; then nothing has changed.

        Raises:
            TrainingStopped: there were more than MAX_ROLLBACKS. The run is left at the healthy checkpoint.
        """
        is_rolled_back = self.processes.on_first(lambda: self._roll_back(problems))
        if is_rolled_back:
            share_state(self.state, self.processes)
        return is_rolled_back

    def _roll_back(self, problems: Sequence[Problem]) -> bool:
        if not (self.out / HEALTHY_STATE).exists():
            self.monitor.print_once("diagnosis: cannot roll back, because there is no healthy checkpoint yet.")
            return False
        state, names = self.state, ", ".join(problem.name for problem in problems)
        seen_before, rollbacks = state.seen, state.rollbacks + 1
        restore(state, load_state(self.out / HEALTHY_STATE), self.plan)
        state.rollbacks = rollbacks
        self.save_state()  # first: if the process is killed from here on, the run resumes from this state
        self.monitor.log_rollback(names, seen_before)
        self._save_model(inference_networks(state))
        folders = (self.out / SNAPSHOTS, self.out / NETWORKS)
        for snapshot in [file for folder in folders for file in folder.glob("*.safetensors")]:
            number = snapshot.stem.removeprefix(EPOCH_PREFIX)
            images = 1 if snapshot.stem.isdecimal() else self.epoch_images
            if number.isdecimal() and int(number) * images > state.seen:
                snapshot.unlink()
        self.monitor.print(
            f"diagnosis: {names} at {seen_before / 1000:.1f} kimg. Rolled back to {state.seen / 1000:.1f} kimg, "
            f"learning rates multiplied by {0.5**rollbacks:g}."
        )
        if rollbacks > MAX_ROLLBACKS:
            raise TrainingStopped(
                f"Training is still unstable after {rollbacks - 1} rollbacks. {' '.join(map(str, problems))} Run and "
                f"model were restored to {state.seen / 1000:.1f} kimg, the last healthy checkpoint. To resume from "
                f"there, run {self.options.same_command}; learning rates are then multiplied by {0.5**rollbacks:g}."
            )
        return True

    def save_state(self, name: str = STATE) -> None:
        """Write everything that resuming needs."""
        own = {
            "seconds": self.monitor.seconds,
            "threads": self.pace.threads,
            "budget_request": self.plan.budget_request,
        }
        checkpoint.save_state(self.out / name, {**state_dict(self.state), **own})

    def _save_model(self, nets: nn.ModuleDict) -> None:
        save_model(self.out / MODEL, dict(nets.items()), self._header())

    def _save_snapshot(self, nets: nn.ModuleDict) -> None:
        """Save the model and all networks under their number of images; delete the oldest beyond `--snapshots`."""
        if self.options.snapshots:
            for file in self._save_networks(nets, f"{self.state.seen:09d}"):
                snapshots = sorted(each for each in file.parent.glob("*.safetensors") if each.stem.isdecimal())
                for old in snapshots[: -self.options.snapshots]:
                    old.unlink()

    def _save_networks(self, nets: nn.ModuleDict, name: str) -> list[Path]:
        """Save the model in one folder and all networks in another, under this name; return both files."""
        files = []
        for folder, saved in ((SNAPSHOTS, nets), (NETWORKS, self.state.nets)):
            file = self.out / folder / f"{name}.safetensors"
            save_model(file, dict(saved.items()), self._header())
            files.append(file)
        return files

    def _header(self) -> dict[str, Any]:
        """The header of a model file."""
        plan = self.plan
        header = {
            "recipe": plan.recipe,
            "hyperparameters": plan.hyperparameters,
            "seen": self.state.seen,
            "seed": plan.seed,
            "mirror": plan.mirror,
            "fingerprint": plan.fingerprint,
            "split": split.describe(self.faces.parts),
            "alignment": self.faces.alignment,
            "version": __version__,
        }
        return header | ({"finetuned_from": plan.finetuned_from["hash"]} if plan.finetuned_from else {})


def restore(state: TrainState, saved: dict[str, Any], plan: Plan) -> None:
    """Restore a saved state, in place. If --extend has changed the budget since, progress is that of the new one."""
    load_state_dict(state, saved)
    if saved["budget_request"] != plan.budget_request:
        state.budget, state.replanned_at = plan.budget, (0, 0.0)

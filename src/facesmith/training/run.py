"""A run: open or resume it, validate, save, diagnose, roll back.

A run folder contains `run.json` (the plan), `state.pt`, `model.safetensors`, and what `monitor.py` writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import nn

from facesmith import __version__
from facesmith.attributes.conditioning import condition_attributes, with_labels
from facesmith.device import PRECISIONS, check_precision, pick_device
from facesmith.errors import BadData, BadModel, OutputExists, RunBusy, TrainingStopped
from facesmith.faces import Faces, open_faces
from facesmith.gan.recipe import Recipe, condition_of, make_recipe
from facesmith.io.lock import locked
from facesmith.metrics.features import open_extractor
from facesmith.modelfiles import checkpoint
from facesmith.modelfiles.checkpoint import load_state, save_model
from facesmith.modelfiles.run_folder import BEST, HEALTHY_STATE, LOCK, MODEL, NETWORKS, PLAN, SNAPSHOTS, STATE
from facesmith.photos import split
from facesmith.training.averages import inference_networks
from facesmith.training.choose_recipe import adapt_to_few_faces, choose_recipe, few_faces_notice
from facesmith.training.diagnosis import Problem, diagnose, is_healthy
from facesmith.training.finetune import PretrainedModel, load_pretrained
from facesmith.training.make_plan import make_plan, training_stream
from facesmith.training.monitor import MAX_HELD_OUT, Monitor
from facesmith.training.pace import Pace
from facesmith.training.plan import Plan, TrainOptions, check_options, stored_plan, write_plan
from facesmith.training.speed import measure_threads
from facesmith.training.state import TrainState, load_state_dict, new_state, state_dict
from facesmith.training.validation import EXTRACTOR, KID, SECONDS, Validation, best_kid, prepare_validation, validate

MAX_ROLLBACKS = 4  # each halves the learning rates; the fifth stops the run


@dataclass
class Run:
    """Everything that belongs to one run.

    Attributes:
        out: the run folder.
        validation: None unless validation during training was requested.
    """

    out: Path
    options: TrainOptions
    plan: Plan
    faces: Faces
    state: TrainState
    pace: Pace
    monitor: Monitor
    validation: Validation | None

    @property
    def is_finished(self) -> bool:
        return self.state.seen >= self.state.budget

    def is_validation_due(self, seen_before: int) -> bool:
        """Whether to validate after the step that began at `seen_before` images."""
        return self.validation is not None and self._has_crossed(int(self.plan.validation["every"]), seen_before)

    @property
    def are_images_due(self) -> bool:
        """Whether to write images to TensorBoard after this step."""
        every = self.options.images_every
        return every is not None and self.state.step % every == 0

    def log_images(self) -> None:
        """Write samples and real faces of the current batch to TensorBoard."""
        self.monitor.log_images(inference_networks(self.state))

    def is_save_due(self, seen_before: int) -> bool:
        """Whether to save after the step that began at `seen_before` images."""
        return self._has_crossed(self.plan.save_every, seen_before)

    def _has_crossed(self, every: int, seen_before: int) -> bool:
        """Whether a step crossed a multiple of `every` images, or the end; a resumed run gives the same answer."""
        return self.is_finished or self.state.seen // every > seen_before // every

    def validate(self) -> None:
        """Measure the generator on the validation split, and keep the model if it is the best so far."""
        assert self.validation is not None
        start = time.monotonic()
        nets = inference_networks(self.state)
        scores = validate(nets["G"], self.validation)
        is_best = scores[KID] < best_kid(self.monitor.lines)
        if is_best:
            save_model(self.out / BEST, dict(nets.items()), self._header())
        self.monitor.log_validation(scores | {SECONDS: round(time.monotonic() - start, 2)}, is_best=is_best)

    def save(self) -> None:
        """Adjust the pace, then write a checkpoint: model, snapshot, log and contact sheets, and the state last.

        If the process is killed before the state is written, the run resumes from the previous checkpoint. The monitor
        then removes newer log lines and sheets; the other files are overwritten.
        """
        self._adjust_pace()
        nets = inference_networks(self.state)
        self._save_model(nets)
        self._save_snapshot(nets)
        self.monitor.log_checkpoint(nets)
        self.save_state()
        if self.options.on_trouble == "rollback" and is_healthy(self.monitor.lines, self.state.budget):
            self.save_state(HEALTHY_STATE)

    def _adjust_pace(self) -> None:
        """Let the pace decide, follow it, and print what has changed."""
        plan, device = self.plan, torch.device(self.plan.device)

        def measure(candidates: list[int]) -> dict[int, float]:
            return measure_threads(self.state.recipe, device, plan.precision, self.faces.pixels, candidates)

        for change in self.pace.adjust(self.state, self.monitor.seconds, measure):
            self.monitor.print(f"{self.state.seen / 1000:8.1f} kimg  {change}")
        torch.set_num_threads(self.pace.threads)
        if self.state.budget != plan.budget:
            self.plan = replace(plan, budget=self.state.budget)
            write_plan(self.out / PLAN, self.plan)

    def diagnose(self) -> list[Problem]:
        """The problems at the newest checkpoint."""
        return diagnose(self.monitor.lines, self.state.budget)

    def roll_back(self, problems: Sequence[Problem]) -> bool:
        """Return to the last healthy checkpoint with halved learning rates.

        Newer log lines, sheets and snapshots are removed. The best model is kept.

        Returns:
            False if there is no healthy checkpoint; then nothing has changed.

        Raises:
            TrainingStopped: there were more than MAX_ROLLBACKS. The run is left at the healthy checkpoint.
        """
        if not (self.out / HEALTHY_STATE).exists():
            self.monitor.print_once("diagnosis: cannot roll back, because there is no healthy checkpoint yet.")
            return False
        state, names = self.state, ", ".join(problem.name for problem in problems)
        seen_before, rollbacks = state.seen, state.rollbacks + 1
        _restore(state, load_state(self.out / HEALTHY_STATE), self.plan)
        state.rollbacks = rollbacks
        self.save_state()  # first: if the process is killed from here on, the run resumes from this state
        self.monitor.log_rollback(names, seen_before)
        self._save_model(inference_networks(state))
        folders = (self.out / SNAPSHOTS, self.out / NETWORKS)
        for snapshot in [file for folder in folders for file in folder.glob("*.safetensors")]:
            if snapshot.stem.isdecimal() and int(snapshot.stem) > state.seen:
                snapshot.unlink()
        self.monitor.print(
            f"diagnosis: {names} at {seen_before / 1000:.1f} kimg. Rolled back to {state.seen / 1000:.1f} kimg, "
            f"learning rates multiplied by {0.5**rollbacks:g}."
        )
        if rollbacks > MAX_ROLLBACKS:
            raise TrainingStopped(
                f"Training is still unstable after {rollbacks - 1} rollbacks. {' '.join(map(str, problems))} Run and "
                f"model were restored to {state.seen / 1000:.1f} kimg, the last healthy checkpoint. The same command "
                f"resumes from there, with learning rates multiplied by {0.5**rollbacks:g}."
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
            for folder, saved in ((SNAPSHOTS, nets), (NETWORKS, self.state.nets)):
                file = self.out / folder / f"{self.state.seen:09d}.safetensors"
                save_model(file, dict(saved.items()), self._header())
                for old in sorted(file.parent.glob("*.safetensors"))[: -self.options.snapshots]:
                    old.unlink()

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


@contextmanager
def open_run(options: TrainOptions, console: Console) -> Iterator[Run]:
    """Create a run, or resume the one in the run folder, and keep the folder locked.

    Raises:
        FacesmithError: the data, the options or the run folder can't be used.
    """
    # Fail early, before anything is written.
    check_options(options)
    check_precision(options.precision)
    pick_device(options.device)
    stored = stored_plan(options.out, options.force)
    recipe, pretrained = choose_recipe(options, stored)
    recipe, faces = _open_faces(options, recipe, stored, console)
    if pretrained is not None and stored is None:
        recipe = adapt_to_few_faces(recipe, pretrained, options, len(faces.part("train")), console)
    if pretrained is None and stored is None and (notice := few_faces_notice(len(faces.part("train")))):
        console.print(f"notice: {notice}", highlight=False)
    if options.out.exists() and not options.out.is_dir():
        raise OutputExists(f"{options.out} is a file. Choose another --out.")
    options.out.mkdir(parents=True, exist_ok=True)
    with locked(options.out / LOCK, _busy(options.out)):
        plan = make_plan(options, recipe, faces, pretrained, console)
        state, pace = _open_state(plan, recipe, faces, pretrained, options.out)
        torch.set_num_threads(pace.threads)
        if state.seen:
            status = "finished" if state.seen >= state.budget else f"resuming at {state.seen / 1000:.1f} kimg"
            console.print(f"{options.out}: {plan.recipe}, {state.budget / 1000:g} kimg, {status}", highlight=False)
        validation = None
        if plan.validation:
            samples = int(plan.validation["samples"])
            validation = prepare_validation(faces, open_extractor(EXTRACTOR), samples, console)
        with _open_monitor(options.out, state, faces, pace.seconds, console) as monitor:
            run = Run(options.out, options, plan, faces, state, pace, monitor, validation)
            if not (options.out / STATE).exists():
                run.save_state()  # from here on the run can be resumed, even if it is killed during its first save
            yield run


def _open_faces(options: TrainOptions, recipe: Recipe, stored: Plan | None, console: Console) -> tuple[Recipe, Faces]:
    """The data, with labels if the recipe is conditional; prints its notices.

    Args:
        stored: the plan of a run to resume.

    Returns:
        the recipe too. If it conditions on a column of classes, then now on each of them.
    """
    try:
        faces = open_faces(options.data, recipe.resolution, recipe.channels, limit=options.limit, console=console)
    except BadData as error:
        if stored is None or stored.data == str(options.data):
            raise
        raise BadData(f"{error} The faces of this run were at {stored.data}; pass their new path as --data.") from None
    requested = condition_of(recipe)
    if (condition := condition_attributes(faces, requested)) != requested:
        recipe = make_recipe(recipe.name, recipe.hyperparameters() | {"condition": condition})
    faces = with_labels(faces, condition)
    for notice in faces.notices:
        console.print(f"notice: {notice}", markup=False, highlight=False)
    if len(faces.part("train")) == 0:
        raise BadData(
            f"{options.data} has only {len(faces.names)} faces, and none of them is in the training split. Give more."
        )
    return recipe, faces


def _open_state(
    plan: Plan, recipe: Recipe, faces: Faces, pretrained: PretrainedModel | None, out: Path
) -> tuple[TrainState, Pace]:
    """The run's state and its pace, new or as saved."""
    stream = training_stream(plan, faces)
    precision, device = PRECISIONS[plan.precision], torch.device(plan.device)
    state = new_state(recipe, stream, seed=plan.seed, budget=plan.budget, precision=precision, device=device)
    state.warmup = plan.finetuned_from["warmup"] if plan.finetuned_from else 0.0
    pace = Pace(plan.threads, plan.max_threads, plan.budget_request.get("minutes"))
    if not (out / STATE).exists():
        if pretrained is not None:
            load_pretrained(state, pretrained)
        return state, pace
    saved = load_state(out / STATE)
    try:
        _restore(state, saved, plan)
        pace.seconds, pace.seen = float(saved["seconds"]), state.seen
        if plan.max_threads is not None:
            pace.threads = min(saved["threads"], plan.max_threads)
        counters = (state.step, state.seen, stream.position, state.budget, pace.threads - 1)
        if not all(type(n) is int and n >= 0 for n in counters):
            raise ValueError("a counter is not a whole number of at least 0")
    except (LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise BadModel(f"{out / STATE} does not fit its plan ({str(error)[:120]}). Start over with --force.") from None
    return state, pace


def _restore(state: TrainState, saved: dict[str, Any], plan: Plan) -> None:
    """Restore a saved state, in place. If --extend has changed the budget since, progress is that of the new one."""
    load_state_dict(state, saved)
    if saved["budget_request"] != plan.budget_request:
        state.budget, state.replanned_at = plan.budget, (0, 0.0)


def _open_monitor(out: Path, state: TrainState, faces: Faces, seconds: float, console: Console) -> Monitor:
    """A monitor with real faces of the validation split to score."""
    rows = faces.part("validation")[:MAX_HELD_OUT]
    labels = None if faces.labels is None else faces.labels[rows]
    return Monitor(out, state, seconds, console, np.asarray(faces.pixels[rows]), labels)


def _busy(out: Path) -> RunBusy:
    return RunBusy(f"Another process trains in {out}. Wait for it, stop it, or choose another --out.")

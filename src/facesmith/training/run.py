"""A run: the folder, plan, data, state and monitor of one training, and what can be done to them between two steps.

A run folder contains `run.json` (the plan), `state.pt`, `model.safetensors`, and what `monitor.py` writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import torch
from rich.console import Console
from torch import nn

from facesmith import __version__
from facesmith.attributes.conditioning import with_labels
from facesmith.device import PRECISIONS, check_precision, pick_device
from facesmith.errors import BadData, BadModel, OutputExists, RunBusy, TrainingStopped
from facesmith.faces import Faces, open_faces
from facesmith.gan.recipe import DEFAULT_RECIPE, Recipe, condition_of, make_recipe
from facesmith.metrics.features import open_extractor
from facesmith.modelfiles import checkpoint
from facesmith.modelfiles.checkpoint import load_state, read_header, save_model
from facesmith.modelfiles.run_folder import BEST, HEALTHY_STATE, LOCK, MODEL, SNAPSHOTS, STATE
from facesmith.photos import split
from facesmith.training.averages import inference_networks
from facesmith.training.diagnosis import Problem, is_healthy
from facesmith.training.finetune import (
    Origin,
    check_same_shapes,
    hyperparameters_for_few_faces,
    load_origin,
    open_origin,
)
from facesmith.training.make_plan import make_plan, training_stream
from facesmith.training.monitor import MAX_HELD_OUT, TENSORBOARD_IMAGES, Monitor
from facesmith.training.plan import Plan, TrainOptions, check_options, stored_plan
from facesmith.training.state import TrainState, load_state_dict, new_state, state_dict
from facesmith.training.validation import (
    EXTRACTOR,
    KID,
    SECONDS,
    Validation,
    best_kid,
    prepare_validation,
    validate,
)

MAX_ROLLBACKS = 4  # the learning rates are then a sixteenth


@dataclass
class Run:
    """Everything that belongs to one training.

    Attributes:
        validation: None unless evaluations during training were requested.
    """

    out: Path
    options: TrainOptions
    plan: Plan
    faces: Faces
    state: TrainState
    monitor: Monitor
    validation: Validation | None

    @property
    def is_finished(self) -> bool:
        return self.state.seen >= self.state.budget

    def validates_after(self, seen_before: int) -> bool:
        """Whether a validation follows the step that began at `seen_before` images."""
        return self.validation is not None and self._has_passed(int(self.plan.validation["every"]), seen_before)

    def saves_after(self, seen_before: int) -> bool:
        """Whether a save follows the step that began at `seen_before` images."""
        return self._has_passed(self.plan.save_every, seen_before)

    def _has_passed(self, every: int, seen_before: int) -> bool:
        """Whether a step reached the end or a multiple of `every` images: at the same step, if interrupted or not."""
        return self.is_finished or self.state.seen // every > seen_before // every

    def validate(self) -> None:
        """Evaluate the generator on the validation split, and keep the model if it is the best so far."""
        assert self.validation is not None
        start = time.monotonic()
        nets = inference_networks(self.state)
        scores = validate(nets["G"], self.validation)
        is_best = scores[KID] < best_kid(self.monitor.lines)
        if is_best:
            save_model(self.out / BEST, dict(nets.items()), self._header())
        self.monitor.log_validation(scores | {SECONDS: round(time.monotonic() - start, 2)}, is_best=is_best)

    def save(self) -> list[Problem]:
        """Write model, log, sheets and state, and return the problems that the diagnosis finds.

        The state is written last, so that everything it refers to exists.
        """
        nets = inference_networks(self.state)
        self._save_model(nets)
        self._save_snapshot(nets)
        problems = self.monitor.log_save(nets)
        self.save_state()
        if self.options.on_trouble == "rollback" and is_healthy(self.monitor.lines, self.state.budget):
            self.save_state(HEALTHY_STATE)
        return problems

    def roll_back(self, problems: str, description: str) -> bool:
        """Return to the last healthy state with halved learning rates, and remove everything newer.

        Args:
            problems: their names, for the log.
            description: what was measured, for the error message.

        Returns:
            False where there is no healthy state; then nothing has changed.

        Raises:
            TrainingStopped: this was one rollback too many. The run is left at the healthy state.
        """
        state = self.state
        if not (self.out / HEALTHY_STATE).exists():
            self.monitor.print_once("diagnosis: cannot roll back, because no healthy state has been saved yet.")
            return False
        seen_before, budget, rollbacks = state.seen, state.budget, state.rollbacks + 1
        load_state_dict(state, load_state(self.out / HEALTHY_STATE))
        state.budget, state.rollbacks = budget, rollbacks  # --extend may have changed the budget since
        self.save_state()  # first: if the process is killed from here on, the next start continues from it
        self.monitor.log_rollback(problems, seen_before)
        self._save_model(inference_networks(state))
        for snapshot in (self.out / SNAPSHOTS).glob("*.safetensors"):
            if snapshot.stem.isdecimal() and int(snapshot.stem) > state.seen:
                snapshot.unlink()
        self.monitor.print(
            f"diagnosis: {problems} at {seen_before / 1000:.1f} kimg. Rolled back to {state.seen / 1000:.1f} kimg, "
            f"learning rates multiplied by {0.5**rollbacks:g}."
        )
        if rollbacks > MAX_ROLLBACKS:
            raise TrainingStopped(
                f"Training is still unstable after {rollbacks - 1} rollbacks. {description} Run and model were "
                f"restored to {state.seen / 1000:.1f} kimg, the last healthy save. The same command resumes from "
                f"there, with learning rates multiplied by {0.5**rollbacks:g}."
            )
        return True

    def _save_model(self, nets: nn.ModuleDict) -> None:
        save_model(self.out / MODEL, dict(nets.items()), self._header())

    def _save_snapshot(self, nets: nn.ModuleDict) -> None:
        """Save the model under its number of images too, and delete the oldest beyond `--snapshots`."""
        if self.options.snapshots:
            folder = self.out / SNAPSHOTS
            save_model(folder / f"{self.state.seen:09d}.safetensors", dict(nets.items()), self._header())
            for old in sorted(folder.glob("*.safetensors"))[: -self.options.snapshots]:
                old.unlink()

    def save_state(self, name: str = STATE) -> None:
        """Write everything that resuming needs."""
        checkpoint.save_state(self.out / name, {**state_dict(self.state), "seconds": self.monitor.seconds})

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
    """Create a run, or resume the one in the run folder, and lock the folder meanwhile.

    Raises:
        FacesmithError: the data, the options or the run folder can't be used.
    """
    check_options(options)
    check_precision(options.precision)
    pick_device(options.device)
    stored = stored_plan(options.out, options.force)
    origin = _open_origin(options, stored)
    recipe = _choose_recipe(options, origin, stored)
    faces = _open_faces(options, recipe, console)
    if origin is not None and stored is None:
        recipe = _adapt_to_few_faces(recipe, origin, options, len(faces.part("train")), console)
    if options.out.exists() and not options.out.is_dir():
        raise OutputExists(f"{options.out} is a file. Choose another --out.")
    options.out.mkdir(parents=True, exist_ok=True)
    with _locked(options.out):
        plan = make_plan(options, recipe, faces, origin, console)
        torch.set_num_threads(plan.threads)
        state, seconds = _open_state(plan, recipe, faces, origin, options.out)
        if state.seen:
            status = "finished" if state.seen >= state.budget else f"resuming at {state.seen / 1000:.1f} kimg"
            console.print(f"{options.out}: {plan.recipe}, {plan.budget / 1000:g} kimg, {status}", highlight=False)
        validation = None
        if plan.validation:
            samples = int(plan.validation["samples"])
            validation = prepare_validation(faces, open_extractor(EXTRACTOR), samples, console)
        real = np.asarray(faces.pixels[faces.part("train")[:TENSORBOARD_IMAGES]])
        rows = faces.part("validation")[:MAX_HELD_OUT]
        held_out, labels = np.asarray(faces.pixels[rows]), None if faces.labels is None else faces.labels[rows]
        with Monitor(options.out, state, real, seconds, console, held_out, labels) as monitor:
            run = Run(options.out, options, plan, faces, state, monitor, validation)
            if not (options.out / STATE).exists():
                run.save_state()  # from here on the run can be resumed, even if it is killed during its first save
            yield run


def recipe_name(recipe: str | None, finetune_from: Path | None, out: Path, *, force: bool = False) -> str:
    """The name of the recipe to train by: the requested one, that of the model to fine-tune, or the default.

    Args:
        out: the run folder. A run that is resumed no longer needs the model it started from.

    Raises:
        BadModel: there is no such model, or the run's plan is damaged.
    """
    if recipe is not None or finetune_from is None:
        return recipe or DEFAULT_RECIPE
    stored = stored_plan(out, force)
    if stored is not None and stored.finetuned_from:
        return stored.recipe
    return str(read_header(finetune_from)["recipe"])


def _open_origin(options: TrainOptions, stored: Plan | None) -> Origin | None:
    """The model to fine-tune; None where there is none, or the run has its own state and the model may be gone."""
    if options.finetune_from is None:
        return None
    is_same = stored is not None and stored.finetuned_from.get("model") == str(options.finetune_from)
    if is_same and (options.out / STATE).exists():
        return None
    return open_origin(options.finetune_from, options.recipe)


def _choose_recipe(options: TrainOptions, origin: Origin | None, stored: Plan | None) -> Recipe:
    """The requested recipe, or that of the model to fine-tune with its hyperparameters, or the default."""
    if options.finetune_from is not None:
        if stored is not None and stored.finetuned_from and options.recipe in (None, stored.recipe):
            return make_recipe(stored.recipe, {**stored.hyperparameters, **options.hyperparameters})
        if origin is not None:
            model_recipe = origin.model.recipe
            values = model_recipe.hyperparameters() | dict(options.hyperparameters)
            recipe = make_recipe(model_recipe.name, values)
            check_same_shapes(origin, recipe)
            return recipe
    return make_recipe(options.recipe or DEFAULT_RECIPE, options.hyperparameters)


def _open_faces(options: TrainOptions, recipe: Recipe, console: Console) -> Faces:
    """The data, with labels where the recipe is conditional; prints its notices."""
    faces = open_faces(options.data, recipe.resolution, recipe.channels, limit=options.limit, console=console)
    faces = with_labels(faces, condition_of(recipe))
    for notice in faces.notices:
        console.print(f"notice: {notice}", markup=False, highlight=False)
    if len(faces.part("train")) == 0:
        raise BadData(
            f"{options.data} has only {len(faces.names)} faces, and none of them is in the training split. Give more."
        )
    return faces


def _adapt_to_few_faces(recipe: Recipe, origin: Origin, options: TrainOptions, faces: int, console: Console) -> Recipe:
    """The recipe for fine-tuning on this many faces; prints what is used and what is changed."""
    if "D" in origin.model.recipe.networks():
        found = "with its discriminator"
        if origin.warmup:
            found = "with a new discriminator; the generator's learning rate is warmed up"
        console.print(f"fine-tuning {options.finetune_from} {found}", highlight=False, markup=False)
    changes = hyperparameters_for_few_faces(recipe, faces, options.hyperparameters)
    if not changes:
        return recipe
    settings = " ".join(f"{name}={number:g}" for name, number in changes.items())
    console.print(f"only {faces} training faces, so to limit overfitting: {settings}", highlight=False)
    return make_recipe(recipe.name, recipe.hyperparameters() | changes)


def _open_state(plan: Plan, recipe: Recipe, faces: Faces, origin: Origin | None, out: Path) -> tuple[TrainState, float]:
    """The run's state, new or as saved, and the seconds spent on training so far."""
    stream = training_stream(plan, faces)
    precision, device = PRECISIONS[plan.precision], torch.device(plan.device)
    state = new_state(recipe, stream, seed=plan.seed, budget=plan.budget, precision=precision, device=device)
    state.warmup = plan.finetuned_from["warmup"] if plan.finetuned_from else 0.0
    if not (out / STATE).exists():
        if origin is not None:
            load_origin(state, origin)
        return state, 0.0
    saved = load_state(out / STATE)
    try:
        load_state_dict(state, saved)
        seconds = float(saved["seconds"])
        if not all(type(n) is int and n >= 0 for n in (state.step, state.seen, stream.position)):
            raise ValueError("a counter is not a number")
    except (LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise BadModel(f"{out / STATE} does not fit its plan ({str(error)[:120]}). Start over with --force.") from None
    state.budget = plan.budget  # --extend may have changed it
    return state, seconds


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Lock the run folder; the operating system unlocks it even if the process is killed."""
    try:
        with filelock.FileLock(out / LOCK, timeout=0):
            yield
    except filelock.Timeout:
        raise RunBusy(f"Another process trains in {out}. Wait for it, stop it, or choose another --out.") from None

"""faces -> a run: hold the run folder, train by its plan, save, and stop when asked.

A run folder holds `run.json` (the plan), `state.pt`, `model.safetensors`, and what `monitor.py` writes.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import filelock
import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from facesmith import __version__
from facesmith.attributes.conditioning import with_labels
from facesmith.device import PRECISIONS, check_precision, pick_device
from facesmith.errors import BadData, BadModel, Diverged, OutputExists, RunBusy, TrainingStopped
from facesmith.faces import Faces, open_faces
from facesmith.gan.recipe import DEFAULT_RECIPE, Recipe, condition_of, make_recipe
from facesmith.metrics.features import open_extractor
from facesmith.modelfiles.checkpoint import load_state, read_header, save_model, save_state
from facesmith.modelfiles.run_folder import BEST, HEALTHY_STATE, LOCK, MODEL, SNAPSHOTS, STATE
from facesmith.photos import split
from facesmith.training.diagnosis import Problem, diagnose, is_healthy
from facesmith.training.finetune import Start, begin, check_fits, for_few_faces, open_start
from facesmith.training.make_plan import make_plan, training_stream
from facesmith.training.monitor import HELD_OUT, TENSORBOARD_PICTURES, Monitor
from facesmith.training.plan import Plan, TrainOptions, check_asked, kept_plan
from facesmith.training.trainer import TrainState, fit, inference_networks, load_state_dict, new_state, state_dict
from facesmith.training.validation import CHOSEN_BY, EXTRACTOR, SECONDS, Validation, best_so_far, prepare, watched

MOST_ROLLBACKS = 4  # a sixteenth of the learning rates


@dataclass(frozen=True)
class TrainReport:
    """How a training ended: `finished` is False where it was asked to stop before its budget was spent."""

    out: Path
    seen: int
    finished: bool


def train(asked: TrainOptions, console: Console) -> TrainReport:
    """Train to the end of the budget; resumes where `out` holds a run of the same plan.

    Raises:
        FacesmithError: the data, the options or the run folder can't be used; or the training diverged.
    """
    check_asked(asked)
    kept = kept_plan(asked.out, asked.force)
    start = _open_start(asked, kept)
    recipe = _recipe(asked, start, kept)
    check_precision(asked.precision)
    pick_device(asked.device)
    faces = open_faces(asked.data, recipe.resolution, recipe.channels, limit=asked.limit, console=console)
    faces = with_labels(faces, condition_of(recipe))
    for notice in faces.notices:
        console.print(f"notice: {notice}", markup=False, highlight=False)
    if len(faces.part("train")) == 0:
        raise BadData(f"{asked.data} holds only {len(faces.names)} faces, and none fell to training. Give more.")
    if start is not None and kept is None:
        recipe = _begun(recipe, start, asked, faces, console)
    if asked.out.exists() and not asked.out.is_dir():
        raise OutputExists(f"{asked.out} is a file. Choose another --out.")
    asked.out.mkdir(parents=True, exist_ok=True)
    with _locked(asked.out):
        plan = make_plan(asked, recipe, faces, start, console)
        torch.set_num_threads(plan.threads)
        state, seconds = _state(plan, recipe, faces, start, asked.out)
        if state.seen:
            told = "complete already" if state.seen >= state.budget else f"resumed at {state.seen / 1000:.1f} kimg"
            console.print(f"{asked.out}: {plan.budget / 1000:g} kimg of {plan.recipe}, {told}", highlight=False)
        return _train(plan, state, seconds, faces, asked, console)


def recipe_name(recipe: str | None, start: Path | None, out: Path, *, force: bool = False) -> str:
    """The recipe that is asked for: by its name, or by a model to begin from; else ours.

    Args:
        out: where a run that began from it goes on, the model may be gone.

    Raises:
        BadModel: there is no such model, or the run's plan is damaged.
    """
    if recipe is not None or start is None:
        return recipe or DEFAULT_RECIPE
    kept = kept_plan(out, force)
    return kept.recipe if kept is not None and kept.finetuned_from else str(read_header(start)["recipe"])


def _open_start(asked: TrainOptions, kept: Plan | None) -> Start | None:
    """The model to begin from; None where there is none, or the run has left it behind: it may be gone by now."""
    if asked.finetune_from is None:
        return None
    left_behind = (
        kept is not None
        and kept.finetuned_from.get("model") == str(asked.finetune_from)
        and (asked.out / STATE).exists()
    )
    return None if left_behind else open_start(asked.finetune_from, asked.recipe)


def _recipe(asked: TrainOptions, start: Start | None, kept: Plan | None) -> Recipe:
    """The recipe asked for, that of the model to begin from (with its values where no others are given), or ours."""
    if asked.finetune_from is None:
        return make_recipe(asked.recipe or DEFAULT_RECIPE, asked.hyperparameters)
    if kept is not None and kept.finetuned_from and asked.recipe in (None, kept.recipe):
        return make_recipe(kept.recipe, {**kept.hyperparameters, **asked.hyperparameters})
    if start is None:
        return make_recipe(
            asked.recipe or DEFAULT_RECIPE, asked.hyperparameters
        )  # another than that of the run, which will say so
    recipe = make_recipe(start.model.recipe.name, start.model.recipe.hyperparameters() | dict(asked.hyperparameters))
    check_fits(start, recipe)
    return recipe


def _begun(recipe: Recipe, start: Start, asked: TrainOptions, faces: Faces, console: Console) -> Recipe:
    """The recipe by which a new run goes on from a model; says what comes along, and what is altered for few faces."""
    if "D" in start.model.recipe.networks():
        told = "its critic comes along" if not start.warmup else "with a new critic, for which the generator waits"
        console.print(f"from {asked.finetune_from}: {told}", highlight=False, markup=False)
    number = len(faces.part("train"))
    altered = for_few_faces(recipe, number, asked.hyperparameters)
    if not altered:
        return recipe
    told = " ".join(f"{name}={held:g}" for name, held in altered.items())
    console.print(f"{number} faces are few, so that it doesn't learn them by heart: {told}", highlight=False)
    return make_recipe(recipe.name, recipe.hyperparameters() | altered)


def _train(
    plan: Plan, state: TrainState, seconds: float, faces: Faces, asked: TrainOptions, console: Console
) -> TrainReport:
    """Run the loop, saving every tick, at the end, and when asked to stop."""
    real = np.asarray(faces.pixels[faces.part("train")[:TENSORBOARD_PICTURES]])
    rows = faces.part("validation")[:HELD_OUT]
    held_out, told = np.asarray(faces.pixels[rows]), None if faces.labels is None else faces.labels[rows]
    watch = (
        prepare(faces, open_extractor(EXTRACTOR), int(plan.validation["samples"]), console) if plan.validation else None
    )
    with _stop_requests() as stop, Monitor(asked.out, state, real, seconds, console, held_out, told) as monitor:
        saved = before = state.seen

        def after_step(terms: Mapping[str, Tensor]) -> bool:
            nonlocal saved, before
            monitor.step(terms)
            if watch and _crosses(before, state, int(plan.validation["every"])):
                _evaluate(watch, plan, state, faces, monitor)
            before = state.seen
            stopping = stop.is_set()  # read once: what is told to have been saved has been
            if state.seen // plan.save_every > saved // plan.save_every or state.seen >= state.budget or stopping:
                problems = _save(asked, plan, state, faces, monitor)
                if problems and not stopping:
                    _meet(*_named(problems), asked, plan, state, faces, monitor)
                before = saved = state.seen
            return not stopping

        if state.seen >= state.budget and not (asked.out / MODEL).exists():
            _save(asked, plan, state, faces, monitor)
        if state.seen >= state.budget and (problems := diagnose(monitor.lines, state.budget)):
            _meet(*_named(problems), asked, plan, state, faces, monitor)  # --on-trouble may be new to it
            saved = before = state.seen
        while True:
            try:
                fit(state, after_step)
                return TrainReport(asked.out, state.seen, state.seen >= state.budget)
            except Diverged as diverged:
                if asked.on_trouble != "rollback" or not _meet(
                    "divergence", f"{diverged.cause}.", asked, plan, state, faces, monitor
                ):
                    raise
                console.print(f"doctor: {diverged.cause}", highlight=False, markup=False, soft_wrap=True)
                before = saved = state.seen


def _crosses(before: int, state: TrainState, every: int) -> bool:
    """Whether this step came upon a multiple of `every`, or upon the end: wherever a run was stopped, at the same."""
    return state.seen // every > before // every or state.seen >= state.budget > before


def _evaluate(watch: Validation, plan: Plan, state: TrainState, faces: Faces, monitor: Monitor) -> None:
    """Look how good the generator is, and keep it where it is the best so far."""
    start = time.monotonic()
    nets = inference_networks(state)
    numbers = watched(nets["G"], watch)
    is_best = numbers[CHOSEN_BY] < best_so_far(monitor.lines)
    if is_best:
        save_model(monitor.out / BEST, dict(nets.items()), _header(plan, state, faces))
    monitor.evaluated(numbers | {SECONDS: round(time.monotonic() - start, 2)}, is_best=is_best)


def _save(asked: TrainOptions, plan: Plan, state: TrainState, faces: Faces, monitor: Monitor) -> list[Problem]:
    """Write model, pictures and state; the state comes last, so what it tells of is there. Returns what is wrong."""
    nets, header = inference_networks(state), _header(plan, state, faces)
    save_model(asked.out / MODEL, dict(nets.items()), header)
    if asked.snapshots:
        folder = asked.out / SNAPSHOTS
        save_model(folder / f"{state.seen:09d}.safetensors", dict(nets.items()), header)
        for old in sorted(folder.glob("*.safetensors"))[: -asked.snapshots]:
            old.unlink()
    problems = monitor.tick(nets)
    _save_state(asked.out / STATE, state, monitor)
    if asked.on_trouble == "rollback" and is_healthy(monitor.lines, state.budget):
        _save_state(asked.out / HEALTHY_STATE, state, monitor)
    return problems


def _save_state(path: Path, state: TrainState, monitor: Monitor) -> None:
    save_state(path, {**state_dict(state), "seconds": monitor.seconds})


def _meet(
    names: str, words: str, asked: TrainOptions, plan: Plan, state: TrainState, faces: Faces, monitor: Monitor
) -> bool:
    """Do about trouble what was asked for; the run is saved.

    Args:
        names: of the troubles.
        words: what is wrong.

    Returns:
        Whether the state is an earlier one now.

    Raises:
        InTrouble: to stop was; or it has gone back too often, and is left at its last healthy state.
    """
    if asked.on_trouble == "stop" and state.seen < state.budget:  # at the end there is nothing left to stop
        raise TrainingStopped(f"Stopped and saved at {state.seen / 1000:.1f} kimg. {words}")
    if asked.on_trouble != "rollback":
        return False
    if not (asked.out / HEALTHY_STATE).exists():
        monitor.say_once("doctor: not going back: no healthy state was kept yet.")
        return False
    _roll_back(names, asked, plan, state, faces, monitor)
    if state.rollbacks > MOST_ROLLBACKS:
        raise TrainingStopped(
            f"Having gone back {_times(state.rollbacks - 1)}, it runs into trouble still. {words} "
            f"The run and its model are as at {state.seen / 1000:.1f} kimg, when all was well; "
            f"the same command again goes on from there, with learning rates times {0.5**state.rollbacks:g}."
        )
    return True


def _roll_back(names: str, asked: TrainOptions, plan: Plan, state: TrainState, faces: Faces, monitor: Monitor) -> None:
    """Return to the last healthy state, with learning rates halved, and take back all that came after it."""
    come_from, budget, rollbacks = state.seen, state.budget, state.rollbacks + 1
    load_state_dict(state, load_state(asked.out / HEALTHY_STATE))
    state.budget, state.rollbacks = budget, rollbacks  # --extend may have moved the one
    _save_state(asked.out / STATE, state, monitor)  # first: where it is killed amid this, the next start goes by it
    monitor.rolled_back(names, come_from)
    save_model(asked.out / MODEL, dict(inference_networks(state).items()), _header(plan, state, faces))
    for snapshot in (asked.out / SNAPSHOTS).glob("*.safetensors"):
        if snapshot.stem.isdecimal() and int(snapshot.stem) > state.seen:
            snapshot.unlink()
    monitor.console.print(
        f"doctor: {names} at {come_from / 1000:.1f} kimg; back to {state.seen / 1000:.1f} kimg, "
        f"learning rates times {0.5**rollbacks:g}.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _named(problems: Sequence[Problem]) -> tuple[str, str]:
    """Names and words of troubles."""
    return ", ".join(problem.name for problem in problems), " ".join(map(str, problems))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _header(plan: Plan, state: TrainState, faces: Faces) -> dict[str, Any]:
    """What a model's file tells of it."""
    return {
        "recipe": plan.recipe,
        "hyperparameters": plan.hyperparameters,
        "seen": state.seen,
        "seed": plan.seed,
        "mirror": plan.mirror,
        "fingerprint": plan.fingerprint,
        "split": split.describe(faces.parts),
        "alignment": faces.alignment,
        "version": __version__,
    } | ({"finetuned_from": plan.finetuned_from["hash"]} if plan.finetuned_from else {})


def _state(plan: Plan, recipe: Recipe, faces: Faces, start: Start | None, out: Path) -> tuple[TrainState, float]:
    """The run's state, new or as it was saved, and the seconds spent so far."""
    stream = training_stream(plan, faces)
    precision, device = PRECISIONS[plan.precision], torch.device(plan.device)
    state = new_state(recipe, stream, seed=plan.seed, budget=plan.budget, precision=precision, device=device)
    state.warmup = plan.finetuned_from["warmup"] if plan.finetuned_from else 0.0
    if not (out / STATE).exists():
        if start is not None:
            begin(state, start)
        return state, 0.0
    saved = load_state(out / STATE)
    try:
        load_state_dict(state, saved)
        seconds = float(saved["seconds"])
        if not all(type(n) is int and n >= 0 for n in (state.step, state.seen, stream.position)):
            raise ValueError("a counter is no number")
    except (LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise BadModel(f"{out / STATE} does not fit its plan ({str(error)[:120]}). Start over with --force.") from None
    state.budget = plan.budget  # --extend may have moved it
    return state, seconds


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Hold the run folder; the system lets go of it even where the process is killed."""
    try:
        with filelock.FileLock(out / LOCK, timeout=0):
            yield
    except filelock.Timeout:
        raise RunBusy(f"Another process trains in {out}. Wait for it, stop it, or choose another --out.") from None


@contextmanager
def _stop_requests() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, so that a step is finished and saved; a second Ctrl-C ends at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # Python delivers signals to the main thread only
        yield stop
        return

    def request(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

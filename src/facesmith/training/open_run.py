"""Open a run: create it, or resume the one in the run folder, in one process or in several."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from facesmith.attributes.conditioning import condition_attributes, labels_fingerprint, with_labels
from facesmith.detection.align import frame_from_header
from facesmith.device import PRECISIONS, check_precision, pick_device
from facesmith.errors import BadData, BadModel, OutputExists, RunBusy
from facesmith.faces.dataset import Faces, faces_from_listing
from facesmith.faces.few_pictures import smaller_sides
from facesmith.faces.layouts import Listing
from facesmith.faces.shards import is_sharded, read_dataset
from facesmith.gan.recipe import Recipe, condition_of, make_recipe
from facesmith.io.files import holds_files
from facesmith.io.lock import lock_names, locked
from facesmith.metrics.features import open_extractor
from facesmith.modelfiles.checkpoint import load_state
from facesmith.modelfiles.run_folder import LOCK, STATE
from facesmith.storage.store import Store
from facesmith.training.as_in_text import with_text
from facesmith.training.choose_recipe import choose_recipe
from facesmith.training.defaults_for_faces import adapt_to_few_faces, complete_options, few_faces_notice
from facesmith.training.finetune import PretrainedModel, load_pretrained
from facesmith.training.make_plan import make_plan, training_stream
from facesmith.training.monitor import MAX_HELD_OUT, Monitor
from facesmith.training.pace import Pace
from facesmith.training.plan import Plan, TrainOptions, check_options, stored_plan
from facesmith.training.processes import Processes
from facesmith.training.run import Run, restore
from facesmith.training.state import TrainState, new_state, share_state
from facesmith.training.validation import EXTRACTOR, prepare_validation


@contextmanager
def open_run(options: TrainOptions, processes: Processes, console: Console) -> Iterator[Run]:
    """Create a run, or resume the one in the run folder, and keep the folder locked.

    The first process does so. The others open the same faces and get the state of the first.

    Raises:
        FacesmithError: the data, the options or the run folder can't be used.
    """
    with ExitStack() as stack:
        run = None
        with processes.waiting_for_all():
            if processes.is_first:
                run = stack.enter_context(_open_first(options, processes, console))
        plan = processes.from_first(None if run is None else run.plan)
        assert plan is not None
        # One process of each machine packs the faces; the others then find them in the cache. Faces in shards are
        # packed by all at the same time, because each packs others.
        at_once = is_sharded(options.data)
        for is_turn in (processes.rank_on_machine == 0 or at_once, processes.rank_on_machine > 0 and not at_once):
            with processes.waiting_for_all():
                if run is None and is_turn:
                    run = _open_other(options, plan, processes)
        assert run is not None
        share_state(run.state, processes)
        run.pace.threads = processes.from_first(run.pace.threads)
        torch.set_num_threads(run.pace.threads)
        yield run


def _open_other(options: TrainOptions, plan: Plan, processes: Processes) -> Run:
    """The run as a process sees it that neither reads nor writes the run folder; its state is new."""
    quiet = Console(quiet=True)
    options = with_text(replace(options, recipe=plan.recipe))
    store, listing = read_dataset(options.data)
    recipe = make_recipe(plan.recipe, plan.hyperparameters)
    recipe, faces = _open_faces(options, store, listing, recipe, processes, quiet)
    if faces.fingerprint != plan.fingerprint or labels_fingerprint(faces.labels) != plan.labels:
        raise BadData(
            f"{options.data} on {platform.node()} has other faces or labels than where the run folder is. "
            "Give all machines the same --data."
        )
    state = _new_state(plan, recipe, faces, processes)
    return Run(options.out, options, plan, faces, state, _new_pace(plan), processes)


@contextmanager
def _open_first(options: TrainOptions, processes: Processes, console: Console) -> Iterator[Run]:
    # Fail early, before anything is written.
    stored = stored_plan(options.out, options.force)
    if stored is not None and not stored.finetuned_from and options.finetune_from is None:
        options = replace(options, recipe=options.recipe or stored.recipe)
    options = with_text(options)
    check_options(options)
    check_precision(options.precision)
    pick_device(options.device)
    with _advice_on_moved_faces(options, stored):
        store, listing = read_dataset(options.data)
    face_count = min(len(listing.files), options.limit or len(listing.files))
    frame = frame_from_header(listing.header.get("alignment"))
    options, why = complete_options(options, stored, smaller_sides(store, listing.files), face_count, frame)
    recipe, pretrained = choose_recipe(options, stored)
    with _advice_on_moved_faces(options, stored):
        recipe, faces = _open_faces(options, store, listing, recipe, processes, console)
    if stored is None:
        if why:
            console.print(why)
        face_count = len(faces.part("train"))
        if pretrained is not None:
            recipe = adapt_to_few_faces(recipe, pretrained, options, face_count, frame, console)
        if notice := few_faces_notice(face_count, fine_tuned=pretrained is not None):
            console.print(f"notice: {notice}")
    if options.out.exists() and not options.out.is_dir():
        raise OutputExists(f"{options.out} is a file. Choose another --out.")
    with _run_folder(options.out), locked(options.out / LOCK, _busy(options.out)):
        plan = make_plan(options, recipe, faces, pretrained, processes, console)
        state, pace = _open_state(plan, recipe, faces, pretrained, processes, options.out)
        torch.set_num_threads(pace.threads)
        if state.seen:
            status = "finished" if state.seen >= state.budget else f"resuming at {state.seen / 1000:.1f} kimg"
            console.print(f"{options.out}: {plan.recipe}, {state.budget / 1000:g} kimg, {status}")
        validation = None
        if plan.validation:
            samples = int(plan.validation["samples"])
            validation = prepare_validation(faces, open_extractor(EXTRACTOR), samples, console)
        with _open_monitor(plan, options.out, state, faces, pace.seconds, console) as monitor:
            run = Run(options.out, options, plan, faces, state, pace, processes, monitor, validation)
            if not (options.out / STATE).exists():
                run.save_state()  # from here on the run can be resumed, even if it is killed during its first save
            yield run


@contextmanager
def _run_folder(out: Path) -> Iterator[None]:
    """Make the run folder, and remove it if the run is refused before anything is written."""
    is_new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new and not holds_files(out, lock_names(LOCK)):
            shutil.rmtree(out, ignore_errors=True)
        raise


@contextmanager
def _advice_on_moved_faces(options: TrainOptions, stored: Plan | None) -> Iterator[None]:
    """Add to an error about the data of a stored run where its faces were, if --data names another place."""
    try:
        yield
    except BadData as error:
        if stored is None or stored.data == str(options.data):
            raise
        raise BadData(f"{error} The faces of this run were at {stored.data}; pass their new path as --data.") from None


def _open_faces(
    options: TrainOptions, store: Store, listing: Listing, recipe: Recipe, processes: Processes, console: Console
) -> tuple[Recipe, Faces]:
    """The data, with labels if the recipe is conditional; prints its notices.

    Returns:
        the recipe too. If it conditions on a column of classes, then now on each of them.
    """
    faces = faces_from_listing(
        store, listing, recipe.resolution, recipe.channels, limit=options.limit, rank=processes.rank,
        processes=processes.count, console=console,
    )  # fmt: skip
    requested = condition_of(recipe)
    if (condition := condition_attributes(faces, requested)) != requested:
        recipe = make_recipe(recipe.name, recipe.hyperparameters() | {"condition": condition})
    faces = with_labels(faces, condition)
    if not options.hold_out:
        faces = faces.without_held_out()
    for notice in faces.notices:
        console.print(f"notice: {notice}")
    if len(faces.part("train")) == 0:
        raise BadData(
            f"{options.data} has only {len(faces.names)} faces, and none of them is in the training split. Give more."
        )
    return recipe, faces


def _open_state(
    plan: Plan,
    recipe: Recipe,
    faces: Faces,
    pretrained: PretrainedModel | None,
    processes: Processes,
    out: Path,
) -> tuple[TrainState, Pace]:
    """The run's state and its pace, new or as saved."""
    state, pace = _new_state(plan, recipe, faces, processes), _new_pace(plan)
    if not (out / STATE).exists():
        if pretrained is not None:
            load_pretrained(state, pretrained)
        return state, pace
    saved = load_state(out / STATE)
    try:
        restore(state, saved, plan)
        pace.seconds, pace.seen = float(saved["seconds"]), state.seen
        if plan.max_threads is not None:
            pace.threads = min(saved["threads"], plan.max_threads)
        counters = (state.step, state.seen, state.stream.position, state.budget, pace.threads - 1)
        if not all(type(n) is int and n >= 0 for n in counters):
            raise ValueError("a counter is not a whole number of at least 0")
    except (LookupError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise BadModel(f"{out / STATE} does not fit its plan ({str(error)[:120]}). Start over with --force.") from None
    return state, pace


def _new_state(plan: Plan, recipe: Recipe, faces: Faces, processes: Processes) -> TrainState:
    state = new_state(
        recipe,
        training_stream(plan, faces, processes.rank),
        seed=plan.seed,
        budget=plan.budget,
        precision=PRECISIONS[plan.precision],
        device=torch.device(plan.device),
        processes=processes,
    )
    state.average = plan.average
    state.warmup = plan.finetuned_from["warmup"] if plan.finetuned_from else 0.0
    return state


def _new_pace(plan: Plan) -> Pace:
    return Pace(plan.threads, plan.max_threads, plan.budget_request.get("minutes"))


def _open_monitor(plan: Plan, out: Path, state: TrainState, faces: Faces, seconds: float, console: Console) -> Monitor:
    """A monitor with real faces of the validation split to score."""
    rows = faces.part("validation")[:MAX_HELD_OUT]
    labels = None if faces.labels is None else faces.labels[rows]
    held_out = np.asarray(faces.pixels[rows])
    face_count = len(faces.part("train"))
    return Monitor(out, state, seconds, console, held_out, labels, face_count=face_count, prints_text=plan.as_in_text)


def _busy(out: Path) -> RunBusy:
    return RunBusy(f"Another process trains in {out}. Wait for it, stop it, or choose another --out.")

"""The plan of a run: made when it begins, by measuring this machine, and held against every later command."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import torch
from rich.console import Console

from facesmith.attributes.conditioning import labels_fingerprint, repeat_rare_labels
from facesmith.device import PRECISIONS, pick_device
from facesmith.errors import BadData, BadModel, BadOption, OutputExists
from facesmith.faces import Faces, Stream
from facesmith.gan.contracts import set_level
from facesmith.gan.recipe import Recipe, condition_of
from facesmith.metrics.features import open_extractor
from facesmith.modelfiles.run_folder import (
    LOCK,
    MODEL,
    PLAN,
    RUN_FILES,
    STATE,
)
from facesmith.training.finetune import Start
from facesmith.training.plan import Plan, TrainOptions, read_plan, write_plan
from facesmith.training.speed import Speed, measure
from facesmith.training.trainer import new_state
from facesmith.training.validation import EXTRACTOR, affordable, check_validation

DEFAULT_MINUTES = 30.0
TICKS = 40  # saves in a budget, at most
SHORTEST_TICK_SECONDS = 20.0
KEPT_TWICE = 2  # a file is written beside the one that it replaces


def make_plan(asked: TrainOptions, recipe: Recipe, faces: Faces, start: Start | None, console: Console) -> Plan:
    """The plan that the run folder holds, checked against what is asked for, or a new one.

    Raises:
        FacesmithError: the folder holds something else, or a plan that differs or is damaged; or the disk is too full.
    """
    file = asked.out / PLAN
    if not file.exists() and any(path.name != LOCK for path in asked.out.iterdir()):
        raise OutputExists(f"{asked.out} is not empty and holds no run. Choose another --out.")
    if asked.force or not file.exists():
        plan = _watched(asked, _new_plan(asked, recipe, faces, start, console), recipe, faces, console)
        _remove_own(asked.out)  # not before all that could fail has not
        write_plan(file, plan)
        return plan
    kept = read_plan(file)
    pick_device(kept.device)
    if (asked.out / MODEL).exists() and not (asked.out / STATE).exists():
        raise BadModel(
            f"{asked.out} holds a model but no {STATE}, so it can't be resumed. "
            "Choose another --out, or start over with --force."
        )
    _check_same(asked, recipe, faces, start, kept)
    plan = _watched(asked, _extended(asked, kept), recipe, faces, console)
    if plan != kept:
        write_plan(file, plan)
    return plan


def _new_plan(asked: TrainOptions, recipe: Recipe, faces: Faces, start: Start | None, console: Console) -> Plan:
    """Measure, decide, and say what it will take."""
    device = pick_device(asked.device)
    threads = asked.threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    console.print("measuring the speed of this machine ...", highlight=False)
    speed = measure(recipe, device, asked.precision, faces.pixels)
    request = {"kimg": asked.kimg} if asked.kimg else {"minutes": asked.minutes or DEFAULT_MINUTES}
    budget = _images(request, speed.best, recipe.batch_size)
    shortest = speed.best * SHORTEST_TICK_SECONDS
    every = round(asked.save_every_kimg * 1000) if asked.save_every_kimg else int(max(budget / TICKS, shortest))
    plan = Plan(
        recipe=recipe.name,
        hyperparameters=recipe.hyperparameters(),
        fingerprint=faces.fingerprint,
        seed=asked.seed,
        mirror=asked.mirror,
        limit=asked.limit,
        budget_request=request,
        budget=budget,
        save_every=max(1, every),
        precision=speed.precision,
        device=device.type,
        threads=threads,
        images_per_second=round(speed.best, 1),
        data=str(asked.data),
        on_trouble=asked.on_trouble,
        finetuned_from={"model": str(asked.finetune_from), "hash": start.model.hash, "warmup": start.warmup}
        if start
        else {},
        labels=labels_fingerprint(faces.labels),
    )
    _say_what_it_takes(plan, recipe, faces, speed, asked, console)
    return plan


def _watched(asked: TrainOptions, plan: Plan, recipe: Recipe, faces: Faces, console: Console) -> Plan:
    """The plan with evaluations while training, where they are asked for; measured, so that they stay cheap."""
    kimg = asked.eval_every_kimg
    if kimg is None or plan.validation.get("kimg") == kimg:
        return plan
    check_validation(faces)
    wanted, precision, device = int(kimg * 1000), PRECISIONS[plan.precision], torch.device(plan.device)
    stream = training_stream(plan, faces)
    state = new_state(recipe, stream, seed=plan.seed, budget=plan.budget, precision=precision, device=device)
    set_level(state.averages, 1.0)  # what grows costs most when it has grown
    samples, every = affordable(open_extractor(EXTRACTOR), state, wanted, plan.images_per_second)
    console.print(
        f"evaluating {samples} samples every {every / 1000:.3g} kimg"
        + (f" rather than {kimg:g}, so that it takes less than 5 % of the run" if every > wanted else ""),
        highlight=False,
    )
    return replace(plan, validation={"kimg": kimg, "every": every, "samples": samples})


def training_stream(plan: Plan, faces: Faces) -> Stream:
    """What is trained on, from its beginning."""
    rows = faces.part("train") if faces.labels is None else repeat_rare_labels(faces.part("train"), faces.labels)
    return Stream(faces.pixels, rows, seed=plan.seed, mirror=plan.mirror, labels=faces.labels)


def _say_what_it_takes(
    plan: Plan, recipe: Recipe, faces: Faces, speed: Speed, asked: TrainOptions, console: Console
) -> None:
    """Memory, disk and time before the start.

    Raises:
        BadData: there is not enough disk.
    """
    weights = {name: sum(p.numel() for p in net.parameters()) * 4 for name, net in recipe.networks().items()}
    model = sum(weights[name] for name in recipe.averaged)
    state = 3 * sum(weights.values()) + model  # weights and two moments, at most, and the averages
    states = KEPT_TWICE + (asked.on_trouble == "rollback")
    disk = states * state + (KEPT_TWICE + asked.snapshots + 1) * model + TICKS * 2**20
    free = shutil.disk_usage(asked.out).free
    console.print(
        f"{plan.recipe}: {plan.budget / 1000:.1f} kimg of {len(faces.part('train'))} faces "
        f"at {speed.best:.0f} images/s, about {plan.budget / speed.best / 60:.0f} min\n"
        f"{plan.precision} ({speed.why}), {plan.device}, {plan.threads} threads\n"
        f"memory {speed.memory_bytes / 2**30:.1f} GiB ({psutil.virtual_memory().available / 2**30:.1f} free), "
        f"disk {disk / 2**30:.2f} GiB ({free / 2**30:.1f} free)",
        highlight=False,
    )
    if free < disk:
        raise BadData(
            f"The disk of {asked.out} has {free / 2**20:.0f} MiB free; this run needs {disk / 2**20:.0f}. "
            "Free some, or choose another --out."
        )


def _images(request: Mapping[str, float], images_per_second: float, batch: int) -> int:
    wanted = request["kimg"] * 1000 if "kimg" in request else request["minutes"] * 60 * images_per_second
    return max(batch, round(wanted))


def _check_same(asked: TrainOptions, recipe: Recipe, faces: Faces, start: Start | None, kept: Plan) -> None:
    worth = {**type(recipe)().hyperparameters(), **kept.hyperparameters}
    values = {name: tuple(held) if isinstance(held, list) else held for name, held in worth.items()}
    plain = {name: wanted for name, wanted in recipe.hyperparameters().items() if name != "condition"}
    both: dict[str, tuple[object, object]] = {  # as it was planned, as it is asked for now
        "recipe": (kept.recipe, recipe.name),
        "--condition": (",".join(values.get("condition", ())) or None, ",".join(condition_of(recipe)) or None),
        **{f"--set {name}": (values.get(name), wanted) for name, wanted in plain.items()},
        "the faces' fingerprint": (kept.fingerprint[:16], faces.fingerprint[:16]),
        "the faces' labels": (kept.labels, labels_fingerprint(faces.labels)),
        "--seed": (kept.seed, asked.seed),
        "--mirror": (kept.mirror, asked.mirror),
        "--limit": (kept.limit, asked.limit),
        "--precision": (kept.precision, kept.precision if asked.precision == "auto" else asked.precision),
        "--device": (kept.device, kept.device if asked.device == "auto" else asked.device),
        "--threads": (kept.threads, asked.threads or kept.threads),
        "--from": (kept.finetuned_from.get("hash", "")[:16] or None, _origin(asked, start, kept)),
    }
    differing = [f"{name} was {held}, now {wanted}" for name, (held, wanted) in both.items() if held != wanted]
    if differing:
        raise BadData(
            f"{asked.out} holds a run of another plan: {'; '.join(differing)}. "
            "Ask for the same to resume it, choose another --out, or start over with --force."
        )


def _origin(asked: TrainOptions, start: Start | None, kept: Plan) -> str | None:
    """The hash of the model to begin from. Where none was opened, as the run has left it behind, it is that planned."""
    if asked.finetune_from is None:
        return None
    return str(start.model.hash if start else kept.finetuned_from["hash"])[:16]


def _extended(asked: TrainOptions, kept: Plan) -> Plan:
    """The kept plan, its budget moved where --extend allows it, and with what may differ from start to start."""
    kept = replace(kept, on_trouble=asked.on_trouble)
    if asked.save_every_kimg:  # when to save alters nothing in the result
        kept = replace(kept, save_every=max(1, round(asked.save_every_kimg * 1000)))
    request = (
        {"kimg": asked.kimg} if asked.kimg else {"minutes": asked.minutes} if asked.minutes else kept.budget_request
    )
    if request == kept.budget_request:
        return kept
    budget = _images(request, kept.images_per_second, 1)
    words = " and ".join(f"{number:g} {unit}" for unit, number in kept.budget_request.items())
    if not asked.extend:
        raise BadData(
            f"{asked.out} was planned for {words} ({kept.budget / 1000:g} kimg). Give the same budget to resume it, "
            "or add --extend to train to the new one."
        )
    if budget < kept.budget:
        raise BadOption(f"--extend makes a run longer: {budget / 1000:g} kimg is less than {kept.budget / 1000:g}.")
    return replace(kept, budget_request=request, budget=budget)


def _remove_own(out: Path) -> None:
    """Remove what a run has written, and nothing else."""
    for name in RUN_FILES:
        path = out / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

"""What a run is asked for, and the plan that its folder keeps: made once, then held against every later command.

The plan is fixed when the run begins: a budget in minutes is turned into images then, so every schedule is a share of a
fixed one. A resumed run trains by the plan that it was begun with.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import numpy as np
import psutil
import torch
from rich.console import Console

from facesmith.calibrate import PRECISIONS, Speed, measure, pick_device
from facesmith.checkpoint import BEST, HEALTHY, MODEL, STATE
from facesmith.doctor import check_on_trouble
from facesmith.errors import BadData, BadModel, BadOption, OutputExists
from facesmith.faces import Faces
from facesmith.files import written_beside
from facesmith.metrics.features import open_extractor
from facesmith.monitor import CURVES, LOG, SCORES, SHEET, SHEETS
from facesmith.recipe import Recipe
from facesmith.reconstructions import PAIRS, REBUILT
from facesmith.watch import EXTRACTOR, affordable, check_validation

FORMAT = 1
PLAN, LOCK, SNAPSHOTS, REPORT = "run.json", ".lock", "snapshots", "report.html"
OWN = (
    *(PLAN, STATE, HEALTHY, MODEL, BEST, SNAPSHOTS, LOG, SHEETS, SHEET, CURVES, SCORES, PAIRS, REBUILT, REPORT),
    "tensorboard",
)
DEFAULT_MINUTES = 30.0
TICKS = 40  # saves in a budget, at most
SHORTEST_TICK_SECONDS = 20.0
KEPT_TWICE = 2  # a file is written beside the one that it replaces


@dataclass(frozen=True)
class Asked:
    """The options of `facesmith train`, as the command line gives them."""

    recipe: str
    data: Path
    out: Path
    values: Mapping[str, Any]
    minutes: float | None = None
    kimg: float | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    limit: int | None = None
    mirror: bool = True
    snapshots: int = 0
    save_every_kimg: float | None = None
    eval_every_kimg: float | None = None
    on_trouble: str = "warn"
    extend: bool = False
    force: bool = False
    threads: int | None = None


@dataclass(frozen=True)
class Plan:
    """What a run was started with; the same command again must ask for the same.

    Attributes:
        asked: the budget in the user's words, minutes or kimg.
        budget: the same in images.
        save_every: images between two saves; what a killed process loses at most.
        watch: of the evaluations while training: the `kimg` asked for, images between two (`every`), and `samples`;
            empty where none was asked for.
    """

    recipe: str
    values: dict[str, Any]
    fingerprint: str
    seed: int
    mirror: bool
    limit: int | None
    asked: dict[str, float]
    budget: int
    save_every: int
    precision: str
    device: str
    threads: int
    images_per_second: float
    data: str
    watch: dict[str, float] = field(default_factory=dict)
    format: int = FORMAT


def make_plan(asked: Asked, recipe: Recipe, faces: Faces, console: Console) -> Plan:
    """The plan that the run folder holds, checked against what is asked for, or a new one.

    Raises:
        FacesmithError: the folder holds something else, or a plan that differs or is damaged; or the disk is too full.
    """
    file = asked.out / PLAN
    if not file.exists() and any(path.name != LOCK for path in asked.out.iterdir()):
        raise OutputExists(f"{asked.out} is not empty and holds no run. Choose another --out.")
    if asked.force or not file.exists():
        plan = _watched(asked, _new_plan(asked, recipe, faces, console), faces, console)
        _remove_own(asked.out)  # not before all that could fail has not
        _write_plan(file, plan)
        return plan
    kept = read_plan(file)
    pick_device(kept.device)
    if (asked.out / MODEL).exists() and not (asked.out / STATE).exists():
        raise BadModel(
            f"{asked.out} holds a model but no {STATE}, so it can't be resumed. "
            "Choose another --out, or start over with --force."
        )
    _check_same(asked, recipe, faces, kept)
    plan = _watched(asked, _extended(asked, kept), faces, console)
    if plan != kept:
        _write_plan(file, plan)
    return plan


def _new_plan(asked: Asked, recipe: Recipe, faces: Faces, console: Console) -> Plan:
    """Measure, decide, and say what it will take."""
    device = pick_device(asked.device)
    threads = asked.threads or torch.get_num_threads()
    torch.set_num_threads(threads)
    console.print("measuring the speed of this machine ...", highlight=False)
    speed = measure(recipe, device, asked.precision, faces.pixels)
    request = {"kimg": asked.kimg} if asked.kimg else {"minutes": asked.minutes or DEFAULT_MINUTES}
    budget = _images(request, speed.best, recipe.batch_size)
    shortest = speed.best * SHORTEST_TICK_SECONDS
    every = int(asked.save_every_kimg * 1000) if asked.save_every_kimg else int(max(budget / TICKS, shortest))
    plan = Plan(
        recipe=recipe.name,
        values=recipe.values(),
        fingerprint=faces.fingerprint,
        seed=asked.seed,
        mirror=asked.mirror,
        limit=asked.limit,
        asked=request,
        budget=budget,
        save_every=max(1, every),
        precision=speed.precision,
        device=device.type,
        threads=threads,
        images_per_second=round(speed.best, 1),
        data=str(asked.data),
    )
    _say_what_it_takes(plan, recipe, faces, speed, asked, console)
    return plan


def _watched(asked: Asked, plan: Plan, faces: Faces, console: Console) -> Plan:
    """The plan with evaluations while training, where they are asked for; measured, so that they stay cheap."""
    kimg = asked.eval_every_kimg
    if kimg is None or plan.watch.get("kimg") == kimg:
        return plan
    check_validation(faces)
    wanted, some = int(kimg * 1000), np.asarray(faces.pixels[faces.part("validation")[:1]])
    samples, every = affordable(open_extractor(EXTRACTOR), some, wanted, plan.images_per_second)
    console.print(
        f"evaluating {samples} samples every {every / 1000:.3g} kimg"
        + (f" rather than {kimg:g}, so that it takes less than 5 % of the run" if every > wanted else ""),
        highlight=False,
    )
    return replace(plan, watch={"kimg": kimg, "every": every, "samples": samples})


def _say_what_it_takes(plan: Plan, recipe: Recipe, faces: Faces, speed: Speed, asked: Asked, console: Console) -> None:
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


def check_asked(asked: Asked) -> None:
    """Raise BadOption for a budget that can't be kept, or an unknown way to meet trouble."""
    if asked.minutes is not None and asked.kimg is not None:
        raise BadOption("Give either --minutes or --kimg, not both.")
    check_on_trouble(asked.on_trouble)
    for name, number in (("--minutes", asked.minutes), ("--kimg", asked.kimg), ("--save-every", asked.save_every_kimg),
                         ("--eval-every", asked.eval_every_kimg)):  # fmt: skip
        if number is not None and not 0 < number < float("inf"):
            raise BadOption(f"{name} is {number:g}; it must be more than 0.")


def _images(request: Mapping[str, float], images_per_second: float, batch: int) -> int:
    wanted = request["kimg"] * 1000 if "kimg" in request else request["minutes"] * 60 * images_per_second
    return max(batch, int(wanted))


def _check_same(asked: Asked, recipe: Recipe, faces: Faces, kept: Plan) -> None:
    wanted = {
        "recipe": recipe.name,
        **{f"--set {name}": held for name, held in recipe.values().items()},
        "the faces' fingerprint": faces.fingerprint[:16],
        "--seed": asked.seed,
        "--mirror": asked.mirror,
        "--limit": asked.limit,
        "--precision": kept.precision if asked.precision == "auto" else asked.precision,
        "--device": kept.device if asked.device == "auto" else asked.device,
        "--threads": asked.threads or kept.threads,
    }
    held = {
        "recipe": kept.recipe,
        **{f"--set {name}": tuple(v) if isinstance(v, list) else v for name, v in kept.values.items()},
        "the faces' fingerprint": kept.fingerprint[:16],
        "--seed": kept.seed,
        "--mirror": kept.mirror,
        "--limit": kept.limit,
        "--precision": kept.precision,
        "--device": kept.device,
        "--threads": kept.threads,
    }
    differing = [
        f"{name} was {held.get(name)}, now {value}" for name, value in wanted.items() if held.get(name) != value
    ]
    if differing:
        raise BadData(
            f"{asked.out} holds a run of another plan: {'; '.join(differing)}. "
            "Ask for the same to resume it, choose another --out, or start over with --force."
        )


def _extended(asked: Asked, kept: Plan) -> Plan:
    """The kept plan, its budget moved where --extend allows it."""
    if asked.save_every_kimg:  # when to save alters nothing in the result
        kept = replace(kept, save_every=max(1, int(asked.save_every_kimg * 1000)))
    request = {"kimg": asked.kimg} if asked.kimg else {"minutes": asked.minutes} if asked.minutes else kept.asked
    if request == kept.asked:
        return kept
    budget = _images(request, kept.images_per_second, 1)
    words = " and ".join(f"{number:g} {unit}" for unit, number in kept.asked.items())
    if not asked.extend:
        raise BadData(
            f"{asked.out} was planned for {words} ({kept.budget / 1000:g} kimg). Give the same budget to resume it, "
            "or add --extend to train to the new one."
        )
    if budget < kept.budget:
        raise BadOption(f"--extend makes a run longer: {budget / 1000:g} kimg is less than {kept.budget / 1000:g}.")
    return replace(kept, asked=request, budget=budget)


def read_plan(file: Path) -> Plan:
    """The plan of a run, checked.

    Raises:
        BadModel: it is missing or damaged.
    """
    try:
        plan = Plan(**json.loads(file.read_text(encoding="utf-8")))
        _check_plan(plan)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise BadModel(f"{file} can't be read as a plan ({error}). Start over with --force.") from None
    return plan


def _check_plan(plan: Plan) -> None:
    """Raise ValueError where a plan out of a file could not be ours."""
    for name, kind in get_type_hints(Plan).items():
        if not isinstance(getattr(plan, name), get_origin(kind) if get_origin(kind) is dict else kind):
            raise ValueError(f"{name} is {getattr(plan, name)!r}")
    if plan.format != FORMAT or plan.precision not in PRECISIONS:
        raise ValueError(f"format {plan.format}, precision {plan.precision}")
    if min(plan.budget, plan.save_every, plan.threads, plan.seed + 1) < 1 or not plan.images_per_second > 0:
        raise ValueError("a number is out of its range")
    if plan.watch and not (set(plan.watch) == {"kimg", "every", "samples"} and min(plan.watch.values()) > 0):
        raise ValueError(f"watch is {plan.watch}")
    budget = list(plan.asked.items())
    if len(budget) != 1 or budget[0][0] not in ("kimg", "minutes") or type(budget[0][1]) not in (int, float):
        raise ValueError(f"asked is {plan.asked}")


def _write_plan(file: Path, plan: Plan) -> None:
    with written_beside(file, "w") as stream:
        json.dump(asdict(plan), stream, indent=2)


def _remove_own(out: Path) -> None:
    """Remove what a run has written, and nothing else."""
    for name in OWN:
        path = out / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

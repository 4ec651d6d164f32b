"""The options of a run, and the plan that its run folder stores.

The plan is written when the run begins. A budget in minutes becomes a number of images then, so that every schedule is
a fraction of a fixed budget. A resumed run follows the stored plan. Only --on-trouble, --save-every, --validate-every
and, with --extend, the budget may change; the plan is then rewritten. --snapshots is not part of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_origin, get_type_hints

from facesmith.device import PRECISIONS
from facesmith.errors import BadModel, BadOption
from facesmith.io.files import atomic_write
from facesmith.io.messages import one_line
from facesmith.modelfiles.run_folder import PLAN

MAX_PLAN_BYTES = 2**20
PLAN_FORMAT = 1
MAX_BUDGET = 1e9  # minutes or kimg
ON_TROUBLE = ("warn", "rollback", "stop")


@dataclass(frozen=True)
class TrainOptions:
    """The options of `facesmith train`, as on the command line."""

    recipe: str | None
    data: Path
    out: Path
    hyperparameters: Mapping[str, Any]
    minutes: float | None = None
    kimg: float | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    limit: int | None = None
    mirror: bool = True
    snapshots: int = 0
    save_every_kimg: float | None = None
    validate_every_kimg: float | None = None
    on_trouble: str = "warn"
    finetune_from: Path | None = None
    extend: bool = False
    force: bool = False
    threads: int | None = None


@dataclass(frozen=True)
class Plan:
    """The settings of a run, stored in `run.json`.

    Attributes:
        fingerprint: a hash of the pixels of all faces.
        budget_request: the budget as requested, `{"minutes": …}` or `{"kimg": …}`.
        budget: the same in images.
        save_every: images from one checkpoint to the next; a killed process loses at most the training since the
            last one.
        images_per_second: measured when the run began.
        on_trouble: "warn", "rollback" or "stop": what happens when the diagnosis finds a problem.
        validation: `kimg` is the requested interval, `every` the interval in images, `samples` the number of
            samples. Empty if validation was not requested.
        finetuned_from: the `model` (a path), its `hash`, and the `warmup` of `TrainState`; empty if trained from
            scratch.
        labels: a hash of the labels of a conditional recipe, else empty.
    """

    recipe: str
    hyperparameters: dict[str, Any]
    fingerprint: str
    seed: int
    mirror: bool
    limit: int | None
    budget_request: dict[str, float]
    budget: int
    save_every: int
    precision: str
    device: str
    threads: int
    images_per_second: float
    data: str
    on_trouble: str = "warn"
    validation: dict[str, float] = field(default_factory=dict)
    finetuned_from: dict[str, Any] = field(default_factory=dict)
    labels: str = ""
    format: int = PLAN_FORMAT


def check_options(options: TrainOptions) -> None:
    """Raise BadOption for an impossible budget or interval, or an unknown `on_trouble`."""
    if options.minutes is not None and options.kimg is not None:
        raise BadOption("Give either --minutes or --kimg, not both.")
    if options.on_trouble not in ON_TROUBLE:
        raise BadOption(f"--on-trouble {options.on_trouble!r} is not one of {', '.join(ON_TROUBLE)}.")
    for name, number in (
        ("--minutes", options.minutes),
        ("--kimg", options.kimg),
        ("--save-every", options.save_every_kimg),
        ("--validate-every", options.validate_every_kimg),
    ):
        if number is not None and not 0 < number <= MAX_BUDGET:
            raise BadOption(f"{name} is {number:g}; it must be more than 0 and at most {MAX_BUDGET:g}.")


def stored_plan(out: Path, force: bool) -> Plan | None:
    """The plan of the run that a folder contains; None if it contains none, or `force` starts over.

    Raises:
        BadModel: the plan is damaged.
    """
    return None if force or not (out / PLAN).exists() else read_plan(out / PLAN)


def read_plan(file: Path) -> Plan:
    """Read and check the plan of a run.

    Raises:
        BadModel: it is missing or damaged.
    """
    if file.exists() and not (file.is_file() and file.stat().st_size <= MAX_PLAN_BYTES):
        raise BadModel(
            f"{file} is not a valid plan (it is not a file, or too large). Train again: facesmith train ... --force"
        )
    try:
        plan = Plan(**json.loads(file.read_text(encoding="utf-8")))
        _check_plan(plan)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        reason = one_line(str(error), 200)
        raise BadModel(f"{file} is not a valid plan ({reason}). Train again: facesmith train ... --force") from None
    return plan


def write_plan(file: Path, plan: Plan) -> None:
    """Write a plan atomically."""
    with atomic_write(file, "w") as stream:
        json.dump(asdict(plan), stream, indent=2)


def _check_plan(plan: Plan) -> None:
    """Raise ValueError for a plan that Facesmith cannot have written."""
    for name, kind in get_type_hints(Plan).items():
        if not isinstance(getattr(plan, name), get_origin(kind) if get_origin(kind) is dict else kind):
            raise ValueError(f"{name} is {getattr(plan, name)!r}")
    if plan.format != PLAN_FORMAT or plan.precision not in PRECISIONS:
        raise ValueError(f"format {plan.format}, precision {plan.precision}")
    if plan.on_trouble not in ON_TROUBLE:
        raise ValueError(f"on_trouble is {plan.on_trouble!r}")
    if min(plan.budget, plan.save_every, plan.threads, plan.seed + 1) < 1 or not plan.images_per_second > 0:
        raise ValueError("a number is out of its range")
    validation, pretrained = plan.validation, plan.finetuned_from
    if validation and not (set(validation) == {"kimg", "every", "samples"} and min(validation.values()) > 0):
        raise ValueError(f"validation is {validation}")
    if pretrained and not (set(pretrained) == {"model", "hash", "warmup"} and type(pretrained["warmup"]) is float):
        raise ValueError(f"finetuned_from is {pretrained}")
    request = list(plan.budget_request.items())
    if len(request) != 1 or request[0][0] not in ("kimg", "minutes") or type(request[0][1]) not in (int, float):
        raise ValueError(f"budget_request is {plan.budget_request}")

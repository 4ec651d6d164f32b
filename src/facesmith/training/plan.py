"""What a run is asked for, and the plan that its folder keeps.

The plan is fixed when the run begins: a budget in minutes is turned into images then, so every schedule is a share of a
fixed one. A resumed run trains by the plan that it was begun with.
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
from facesmith.modelfiles.run_folder import PLAN
from facesmith.training.diagnosis import ON_TROUBLE, check_on_trouble

FORMAT = 1


@dataclass(frozen=True)
class TrainOptions:
    """The options of `facesmith train`, as the command line gives them."""

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
    eval_every_kimg: float | None = None
    on_trouble: str = "warn"
    finetune_from: Path | None = None
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
        on_trouble: what is done where the doctor finds something wrong; going back alters the result.
        watch: of the evaluations while training: the `kimg` asked for, images between two (`every`), and `samples`;
            empty where none was asked for.
        labels: a hash of what is told of the faces where the recipe is conditional; else empty.
        start: of the model that it began from: `model` (its path), `hash`, and the `warmup` of `trainer.TrainState`;
            empty where it began from nothing.
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
    format: int = FORMAT


MOST = 1e9  # minutes, or thousands of images: no machine lives as long


def check_asked(asked: TrainOptions) -> None:
    """Raise BadOption for a budget that can't be kept, or an unknown way to meet trouble."""
    if asked.minutes is not None and asked.kimg is not None:
        raise BadOption("Give either --minutes or --kimg, not both.")
    check_on_trouble(asked.on_trouble)
    for name, number in (("--minutes", asked.minutes), ("--kimg", asked.kimg), ("--save-every", asked.save_every_kimg),
                         ("--eval-every", asked.eval_every_kimg)):  # fmt: skip
        if number is not None and not 0 < number <= MOST:
            raise BadOption(f"{name} is {number:g}; it must be more than 0, and {MOST:g} at most.")


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


def kept_plan(out: Path, force: bool) -> Plan | None:
    """The plan of the run that a folder holds, to go on by; None where there is none, or it is to start over.

    Raises:
        BadModel: it is damaged.
    """
    return None if force or not (out / PLAN).exists() else read_plan(out / PLAN)


def _check_plan(plan: Plan) -> None:
    """Raise ValueError where a plan out of a file could not be ours."""
    for name, kind in get_type_hints(Plan).items():
        if not isinstance(getattr(plan, name), get_origin(kind) if get_origin(kind) is dict else kind):
            raise ValueError(f"{name} is {getattr(plan, name)!r}")
    if plan.format != FORMAT or plan.precision not in PRECISIONS:
        raise ValueError(f"format {plan.format}, precision {plan.precision}")
    if plan.on_trouble not in ON_TROUBLE:
        raise ValueError(f"on_trouble is {plan.on_trouble!r}")
    if min(plan.budget, plan.save_every, plan.threads, plan.seed + 1) < 1 or not plan.images_per_second > 0:
        raise ValueError("a number is out of its range")
    if plan.validation and not (
        set(plan.validation) == {"kimg", "every", "samples"} and min(plan.validation.values()) > 0
    ):
        raise ValueError(f"validation is {plan.validation}")
    if plan.finetuned_from and not (
        set(plan.finetuned_from) == {"model", "hash", "warmup"} and type(plan.finetuned_from["warmup"]) is float
    ):
        raise ValueError(f"finetuned_from is {plan.finetuned_from}")
    budget = list(plan.budget_request.items())
    if len(budget) != 1 or budget[0][0] not in ("kimg", "minutes") or type(budget[0][1]) not in (int, float):
        raise ValueError(f"budget_request is {plan.budget_request}")


def write_plan(file: Path, plan: Plan) -> None:
    with atomic_write(file, "w") as stream:
        json.dump(asdict(plan), stream, indent=2)

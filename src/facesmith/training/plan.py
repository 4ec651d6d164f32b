"""The options of a run, and the plan that its run folder stores.

The plan is written when the run begins. A budget in minutes then becomes a number of images, which pace.py adjusts at
each checkpoint. Every schedule is a fraction of the budget. A resumed run follows the stored plan. These options may
change, and the plan is then rewritten: --on-trouble, --save-every, --validate-every, --device (and with it
--precision), --threads, and with --extend the budget. --snapshots, --keep-epochs and --images-every are not part of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, TypedDict

from msgspec import Meta

from facesmith.device import DEVICES, PRECISIONS
from facesmith.errors import BadModel, BadOption
from facesmith.io.files import atomic_write
from facesmith.io.json_files import PathText, as_schema, read_json
from facesmith.io.messages import encodable, one_line
from facesmith.io.seeds import MAX_SEED
from facesmith.modelfiles.run_folder import PLAN, ways_on

MAX_PLAN_BYTES = 2**20
PLAN_FORMAT = 1
MAX_BUDGET = 1e9  # minutes, kimg or epochs
MAX_THREADS = 1024
MAX_COUNT = 10**9
ON_TROUBLE = ("warn", "rollback", "stop")
Whole = Annotated[int, Meta(ge=1)]
Positive = Annotated[float, Meta(gt=0)]


@dataclass(frozen=True)
class TrainOptions:
    """The options of `facesmith train`, as on the command line."""

    recipe: str | None
    data: Path
    out: Path
    hyperparameters: Mapping[str, Any]
    minutes: float | None = None
    kimg: float | None = None
    epochs: float | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    limit: int | None = None
    mirror: bool = True
    average: bool = True
    hold_out: bool = True
    as_in_text: bool = False
    snapshots: int = 0
    keep_epochs: int | None = None
    images_every: int | None = None
    save_every_kimg: float | None = None
    validate_every_kimg: float | None = None
    on_trouble: str = "warn"
    finetune_from: Path | None = None
    from_scratch: bool = False
    extend: bool = False
    force: bool = False
    threads: int | None = None

    @property
    def same_command(self) -> str:
        """What messages call the command that resumes the run. With --force, the command would delete the run."""
        return "the same command without --force" if self.force else "the same command"


class FinetunedFrom(TypedDict):
    """The entry `finetuned_from` of a plan."""

    model: PathText
    hash: str
    warmup: Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True)
class Plan:
    """The settings of a run, stored in `run.json`.

    Attributes:
        fingerprint: a hash of the pixels of all faces.
        budget_request: the budget as requested, `{"minutes": …}`, `{"kimg": …}` or `{"epochs": …}`.
        budget: the same in images; for a request in minutes, adjusted to the machine's speed during the run.
        save_every: images from one checkpoint to the next; a killed process loses at most the training since the
            last one.
        images_per_second: measured when the run began.
        threads: CPU threads when the run began.
        max_threads: the largest number of CPU threads that may be chosen later; None if their number is fixed.
        on_trouble: "warn", "rollback" or "stop": what happens when the diagnosis finds a problem.
        average: whether saved weights are averages; otherwise they are the current weights.
        hold_out: whether faces are kept out of training, for validation and test.
        as_in_text: whether --as-in-text was given, and the lines of the text are printed.
        validation: `kimg` is the requested interval, `every` the interval in images, `samples` the number of
            samples. Empty if validation was not requested.
        finetuned_from: the `model` (a path), its `hash`, and the `warmup` of `TrainState`; empty if trained from
            scratch.
        labels: a hash of the labels of a conditional recipe, else empty.
        processes: the number of processes that train together, as started by torchrun.
    """

    recipe: str
    hyperparameters: dict[str, Any]
    fingerprint: str
    seed: Annotated[int, Meta(ge=0)]
    mirror: bool
    limit: Whole | None
    budget_request: dict[str, Positive]
    budget: Whole
    save_every: Whole
    precision: str
    device: str
    threads: Annotated[int, Meta(ge=1, le=MAX_THREADS)]
    max_threads: Annotated[int, Meta(ge=1, le=MAX_THREADS)] | None
    images_per_second: Positive
    data: PathText
    on_trouble: str = "warn"
    average: bool = True
    hold_out: bool = True
    as_in_text: bool = False
    validation: dict[str, Positive] = field(default_factory=dict)
    finetuned_from: dict[str, Any] = field(default_factory=dict)
    labels: str = ""
    processes: Whole = 1
    format: int = PLAN_FORMAT


def budget_request(options: TrainOptions) -> dict[str, float]:
    """The budget that the options request, by its unit; empty if they request none."""
    requests = {"minutes": options.minutes, "kimg": options.kimg, "epochs": options.epochs}
    return {unit: number for unit, number in requests.items() if number is not None}


def check_options(options: TrainOptions) -> None:
    """Raise BadOption for a number out of range, an unknown `on_trouble`, or options that contradict each other."""
    if sum(budget is not None for budget in (options.minutes, options.kimg, options.epochs)) > 1:
        raise BadOption("Give only one budget: --minutes, --kimg or --epochs.")
    if options.from_scratch and options.finetune_from is not None:
        raise BadOption(f"--from-scratch starts from no model, but --from names {options.finetune_from}. Give one.")
    if options.validate_every_kimg is not None and not options.hold_out:
        origin = "--as-in-text" if options.as_in_text else "--no-hold-out"
        raise BadOption(f"--validate-every needs faces that are not trained on, but {origin} trains on all of them.")
    if encodable(str(options.out)) != str(options.out):
        raise BadOption(f"--out {options.out} is not UTF-8; TensorBoard can't write there. Choose another --out.")
    if options.on_trouble not in ON_TROUBLE:
        raise BadOption(f"--on-trouble {options.on_trouble!r} is not one of {', '.join(ON_TROUBLE)}.")
    _check_run_folder(options)
    for name, number in (
        ("--minutes", options.minutes),
        ("--kimg", options.kimg),
        ("--epochs", options.epochs),
        ("--save-every", options.save_every_kimg),
        ("--validate-every", options.validate_every_kimg),
    ):
        if number is not None and not 0 < number <= MAX_BUDGET:
            raise BadOption(f"{name} is {number:g}; it must be more than 0 and at most {MAX_BUDGET:g}.")
    for name, count, at_least, at_most in (
        ("--seed", options.seed, 0, MAX_SEED),
        ("--limit", options.limit, 1, MAX_COUNT),
        ("--snapshots", options.snapshots, 0, MAX_COUNT),
        ("--keep-epochs", options.keep_epochs, 1, MAX_COUNT),
        ("--images-every", options.images_every, 1, MAX_COUNT),
        ("--threads", options.threads, 1, MAX_THREADS),
    ):
        if count is not None and not at_least <= count <= at_most:
            raise BadOption(f"{name} is {count}; it must be at least {at_least} and at most {at_most}.")


def _check_run_folder(options: TrainOptions) -> None:
    """Raise BadOption if --extend or --force don't fit the run folder or each other."""
    if options.extend and options.force:
        raise BadOption("--extend continues the run in --out, but --force deletes it. Leave out one of them.")
    if options.extend and not (options.out / PLAN).exists():
        raise BadOption(
            f"--extend continues a run, but {options.out} contains none. Check --out, or leave out --extend."
        )
    start = options.finetune_from
    if options.force and start is not None and options.out.resolve() in (start.resolve(), *start.resolve().parents):
        raise BadOption(
            f"--force deletes the run in {options.out}, and with it the model that --from names. Choose another --out."
        )


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
    advice = ways_on(file.parent)
    try:
        values = read_json(file, dict[str, Any], advice, error=BadModel, max_bytes=MAX_PLAN_BYTES)
        if unknown := values.keys() - {each.name for each in fields(Plan)}:
            raise ValueError(f"the entry {sorted(unknown)[0]} is unknown")
        plan = as_schema(values, Plan)
        _check_plan(plan)
    except FileNotFoundError:
        raise BadModel(f"{file} does not exist. {advice}") from None
    except ValueError as error:
        raise BadModel(f"{file} is not a valid plan ({one_line(str(error), 200)}). {advice}") from None
    return plan


def write_plan(file: Path, plan: Plan) -> None:
    """Write a plan atomically."""
    with atomic_write(file, "w") as stream:
        json.dump(asdict(plan), stream, indent=2)


def _check_plan(plan: Plan) -> None:
    """Raise ValueError where entries of a plan contradict each other, or are of another version."""
    if plan.format != PLAN_FORMAT:
        raise ValueError(f"format is {plan.format}; this version reads {PLAN_FORMAT}")
    if plan.precision not in PRECISIONS:
        raise ValueError(f"precision is {plan.precision}; expected one of {', '.join(PRECISIONS)}")
    if plan.device not in DEVICES:
        raise ValueError(f"device is {plan.device}; expected one of {', '.join(DEVICES)}")
    if plan.on_trouble not in ON_TROUBLE:
        raise ValueError(f"on_trouble is {plan.on_trouble}; expected one of {', '.join(ON_TROUBLE)}")
    if set(plan.budget_request) not in ({"kimg"}, {"minutes"}, {"epochs"}):
        raise ValueError("budget_request has other entries than kimg, minutes or epochs")
    if plan.validation and set(plan.validation) != {"kimg", "every", "samples"}:
        raise ValueError("validation has other entries than kimg, every and samples")
    if plan.finetuned_from:
        as_schema(plan.finetuned_from, FinetunedFrom)

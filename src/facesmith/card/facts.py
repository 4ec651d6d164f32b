"""What is known of a model: its own header, its run, its evaluation, and what its maker says of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facesmith.errors import BadData, FacesmithError
from facesmith.modelfiles.checkpoint import LoadedModel, load_model
from facesmith.modelfiles.run_folder import PLAN
from facesmith.training.plan import Plan, read_plan

LOG = "log.jsonl"  # as the monitor writes it, whose module loads TensorBoard
REPORTS = ("report.json", "evaluation/report.json")  # where an evaluation is looked for, beside the model
MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class CardOptions:
    """What no file knows; None stays unknown in the card.

    Attributes:
        biases: Markdown that was written by hand.
    """

    name: str | None = None
    license: str | None = None
    data: str | None = None
    data_license: str | None = None
    biases: str | None = None


@dataclass(frozen=True)
class Facts:
    """All that a card tells.

    Attributes:
        seconds: of training, up to this model's images, as the run's log has them.
        report: of an evaluation in which this model took part.
        judged: this model's part of it.
    """

    model: LoadedModel
    plan: Plan | None
    seconds: float | None
    report: dict[str, Any] | None
    judged: dict[str, Any] | None
    options: CardOptions

    @property
    def name(self) -> str:
        """What to call it."""
        return self.options.name or f"facesmith-{self.model.recipe.name}"


def gather_facts(path: Path | None, evaluation: Path | None, options: CardOptions) -> Facts:
    """Read what there is.

    Args:
        evaluation: a report.json or its folder; None to look beside the model, where one of another model is passed by.

    Raises:
        BadModel: the model can't be opened.
        BadData: the evaluation asked for can't be read, or is of another model.
    """
    model = load_model(path)
    folder = model.path.parent
    places = [folder / each for each in REPORTS] if evaluation is None else [_report_file(evaluation)]
    report, judged = next((found for place in places if (found := _judged(place, model))), (None, None))
    if evaluation is not None and judged is None:
        raise BadData(
            f"{evaluation} holds no evaluation of {model.path} (sha256 {model.hash[:12]}). "
            f"Run: facesmith evaluate --model {path or model.path} --data FACES"
        )
    return Facts(model, _plan(folder, model), _seconds(folder, model), report, judged, options)


def _report_file(path: Path) -> Path:
    return path / "report.json" if path.is_dir() else path


def _judged(file: Path, model: LoadedModel) -> tuple[dict[str, Any], dict[str, Any]] | None:
    try:
        if file.stat().st_size > MOST_BYTES:
            return None
        report = json.loads(file.read_text(encoding="utf-8"))
        return next((report, each) for each in report["models"] if each["sha256"] == model.hash)
    except (OSError, ValueError, KeyError, TypeError, StopIteration, RecursionError):
        return None


def _plan(folder: Path, model: LoadedModel) -> Plan | None:
    """The run's plan, if the folder is the run that this model is of."""
    try:
        plan = read_plan(folder / PLAN)
    except FacesmithError:
        return None
    header = model.header
    same = (plan.recipe, plan.fingerprint, plan.seed) == (
        header.get("recipe"),
        header.get("fingerprint"),
        header.get("seed"),
    )
    return plan if same else None


def _seconds(folder: Path, model: LoadedModel) -> float | None:
    if _plan(folder, model) is None:
        return None
    try:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
        found = [float(line["seconds"]) for line in map(json.loads, lines) if line["seen"] == model.header["seen"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found[-1] if found else None

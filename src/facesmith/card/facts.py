"""What is known about a model: its header, its run, its evaluation, and what its maker states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from facesmith.attributes import AttributeScores
from facesmith.errors import BadData, FacesmithError
from facesmith.io.commands import quoted
from facesmith.modelfiles import classifier_file
from facesmith.modelfiles.checkpoint import LoadedModel, load_model
from facesmith.modelfiles.evaluation_file import (
    EVALUATION,
    Evaluation,
    ModelEvaluation,
    find_evaluation,
    read_evaluation,
)
from facesmith.modelfiles.run_folder import LOG, PLAN, is_number, read_log
from facesmith.modelfiles.sidecar import sidecar_path
from facesmith.training.plan import Plan, read_plan


@dataclass(frozen=True)
class CardOptions:
    """What no file states; None appears as "unknown" in the card.

    Attributes:
        name: of the model.
        license: of the model; an identifier such as `mit`, or a text.
        data: a short description of the training faces.
        data_license: of the training faces.
        biases: the maker's own text in Markdown.
        consent: how the people on the training faces agreed.
        labels: who or what labeled the faces that its attribute classifier learned from.
    """

    name: str | None = None
    license: str | None = None
    data: str | None = None
    data_license: str | None = None
    biases: str | None = None
    consent: str | None = None
    labels: str | None = None


@dataclass(frozen=True)
class Facts:
    """Everything that a card states.

    Attributes:
        plan: of the model's run.
        seconds: of training until the model was saved, from the run's log.
        report: the content of a report.json in which this model was evaluated.
        result: this model's entry in the report.
        classifier: the scores of the model's attribute classifier, by attribute; empty without one.
    """

    model: LoadedModel
    plan: Plan | None
    seconds: float | None
    report: Evaluation | None
    result: ModelEvaluation | None
    classifier: Mapping[str, AttributeScores]
    options: CardOptions

    @property
    def name(self) -> str:
        """The model's name, or one made from its recipe."""
        return self.options.name or f"facesmith-{self.model.recipe.name}"


def gather_facts(path: Path | None, evaluation: Path | None, options: CardOptions) -> Facts:
    """Read a model and the files in its folder.

    Args:
        evaluation: a report.json or its folder; None to search the model's folder, where a report about another model
            is ignored.

    Raises:
        BadModel: the model or its attribute classifier can't be opened.
        BadData: a report is damaged, or `evaluation` is about another model.
    """
    model = load_model(path)
    folder = model.path.parent
    if evaluation is None:
        found = find_evaluation(folder, model.hash)
    else:
        found = read_evaluation(evaluation / EVALUATION if evaluation.is_dir() else evaluation, model.hash)
    report, result = found or (None, None)
    if evaluation is not None and result is None:
        raise BadData(
            f"{evaluation} has no evaluation of {model.path} (sha256 {model.hash[:12]}). "
            f"Run: facesmith evaluate --model {quoted(path or model.path)} --data FACES"
        )
    plan = _read_plan(folder, model)
    seconds = None if plan is None else _training_seconds(folder, model)
    return Facts(model, plan, seconds, report, result, _classifier_scores(model), options)


def _read_plan(folder: Path, model: LoadedModel) -> Plan | None:
    """The plan in the folder, if the model was trained by it."""
    try:
        plan = read_plan(folder / PLAN)
    except FacesmithError:
        return None
    planned = {"recipe": plan.recipe, "fingerprint": plan.fingerprint, "seed": plan.seed}
    return plan if all(model.header.get(key) == value for key, value in planned.items()) else None


def _classifier_scores(model: LoadedModel) -> Mapping[str, AttributeScores]:
    file = sidecar_path(model.path, classifier_file.KIND)
    return classifier_file.load_classifier(file, model.hash).scores if file.exists() else {}


def _training_seconds(folder: Path, model: LoadedModel) -> float | None:
    lines, _ = read_log(folder / LOG)
    saves = [line for line in lines if line["seen"] == model.header.get("seen")]
    return float(saves[-1]["seconds"]) if saves and is_number(saves[-1].get("seconds")) else None

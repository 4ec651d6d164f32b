"""Find and read report.json, which `facesmith evaluate` writes, for model cards and the studio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from facesmith.io.json_files import PathText, read_json

EVALUATION = "report.json"
EVALUATION_FOLDER = "evaluation"  # in the folder of the model; the report is there or beside the model
UNCERTAIN = "uncertain"  # the difference of an attribute that the probe can't count
Count = Annotated[int, Meta(ge=0)]


class Score(TypedDict):
    """A measured value with its 95 % interval, and the same measure of real faces."""

    value: float
    low: NotRequired[float | None]
    high: NotRequired[float | None]
    real: NotRequired[float | None]


class NearestPair(TypedDict):
    """A sample, and the names of the nearest faces; None where there are no held-out faces."""

    seed: Count
    ratio: float | None
    to_training: float
    training: str
    to_held_out: float | None
    held_out: str | None


class Copies(TypedDict):
    """The search for copies of training faces; without a threshold there were too few faces for it.

    Attributes:
        checked: whether there were enough faces, and they are those that the model was trained on.
    """

    checked: NotRequired[bool]
    ratio: Score | None
    nearest_pairs: list[NearestPair]
    threshold: NotRequired[float]
    samples: NotRequired[Count]
    allowed: NotRequired[Count]
    real_ratio: NotRequired[float]


class People(TypedDict):
    """How many samples are near a training person, by face recognition; without a share it was not measured."""

    checked: bool
    share: NotRequired[Score]


class Share(TypedDict):
    """How often an attribute occurs."""

    value: float
    low: float
    high: float


class AttributeComparison(TypedDict):
    """How often an attribute occurs in the data and among samples, and how well it was recognized."""

    data: Share
    samples: Share
    difference: str
    accuracy: float
    labels: NotRequired[str]


class ModelEvaluation(TypedDict):
    """The metrics, verdicts, copies and attributes of one evaluated model."""

    sha256: str
    metrics: dict[str, Score]
    face_rate: Score
    verdicts: dict[str, str]
    copies: Copies
    people: NotRequired[People]
    attributes: NotRequired[dict[str, AttributeComparison]]
    lost_attributes: NotRequired[list[str]]
    notice: NotRequired[str | None]


class Protocol(TypedDict):
    """How the samples were drawn and compared."""

    samples: Count
    seeds: str
    psi: float
    features: str


class ReferenceFaces(TypedDict):
    """The real faces that the samples were compared with."""

    part: str
    count: Count


class EvaluatedData(TypedDict):
    """The dataset of real faces: where it is, its fingerprint, and the faces that were compared.

    Attributes:
        limit: how many of the faces were used, if not all.
    """

    path: PathText
    fingerprint: str
    limit: NotRequired[Annotated[int, Meta(ge=1)]]
    reference: ReferenceFaces


class Evaluation(TypedDict):
    """The entries of report.json that are read. `evaluation/evaluation_json.py` writes them, and more."""

    protocol: Protocol
    data: EvaluatedData
    models: list[ModelEvaluation]
    warnings: list[str]


def find_evaluation(folder: Path, model_hash: str) -> tuple[Evaluation, ModelEvaluation] | None:
    """The first report in a model's folder or in its subfolder that is about this model; None if there is none.

    Raises:
        BadData: a report is damaged.
    """
    files = (folder / EVALUATION, folder / EVALUATION_FOLDER / EVALUATION)
    return next((found for file in files if (found := read_evaluation(file, model_hash)) is not None), None)


def read_evaluation(file: Path, model_hash: str) -> tuple[Evaluation, ModelEvaluation] | None:
    """A report and its results for the model with this sha256; None if it has none, or there is no such file.

    Raises:
        BadData: the report is damaged.
    """
    advice = "Run facesmith evaluate again, with --force. Or remove the file: then the model counts as not evaluated."
    try:
        evaluation: Evaluation = read_json(file, Evaluation, advice)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return next(((evaluation, each) for each in evaluation["models"] if each["sha256"] == model_hash), None)

"""What the page shows of an evaluation, from the report.json that `facesmith evaluate` wrote next to the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from facesmith.errors import BadData, FacesmithError
from facesmith.evaluation.verdicts import MEANINGS
from facesmith.faces import Faces, open_faces
from facesmith.io.commands import quoted
from facesmith.model import Model
from facesmith.modelfiles.evaluation_file import (
    EVALUATION_FOLDER,
    EvaluatedData,
    Evaluation,
    ModelEvaluation,
    find_evaluation,
)
from facesmith.pictures.images import Pixels

PAIR_VALUES = ("ratio", "to_training", "to_held_out")
SCORE_VALUES = ("value", "low", "high", "real")


def evaluation_of(model: Model) -> dict[str, Any]:
    """Return verdicts, metrics with their meaning, and the samples nearest to training faces.

    If the model was not evaluated, return `missing` (a message) and `command` (the command that evaluates it).

    Raises:
        BadData: the report is damaged.
    """
    evaluation, out = find_evaluation(model.path.parent, model.hash), model.path.parent / EVALUATION_FOLDER
    if evaluation is None:
        return {
            "missing": "This generator has not been evaluated yet. An evaluation takes a few minutes:",
            "command": f"facesmith evaluate --model {quoted(model.path)} --data FACES --out {quoted(out)}",
        }
    return _page_values(*evaluation)


def _page_values(report: Evaluation, result: ModelEvaluation) -> dict[str, Any]:
    """Return what the page shows of a report and its result for one model."""
    protocol, copies = report["protocol"], result["copies"]
    return {
        "verdicts": [{"question": name, "answer": str(answer)} for name, answer in result["verdicts"].items()],
        "metrics": [
            {"name": name, "meaning": _meaning(name), **_numbers(score, SCORE_VALUES)}
            for name, score in result["metrics"].items()
        ],
        "face_rate": _numbers(result["face_rate"], SCORE_VALUES),
        "warnings": [str(each) for each in report["warnings"]],
        "notice": result.get("notice"),
        "psi": float(protocol["psi"]),  # of the samples
        "about": f"{protocol['samples']} samples (seeds {protocol['seeds']}, psi {protocol['psi']:g}), compared with "
        f"{report['data']['reference']['count']} held-out faces. ± is the 95 % interval.",
        "nearest_pairs": [
            {"seed": int(pair["seed"]), **_numbers(pair, PAIR_VALUES)} for pair in copies["nearest_pairs"]
        ],
        "threshold": copies.get("threshold"),
    }


def real_face(model: Model, pair: int, kind: str) -> Pixels:
    """Return the real face that is nearest to a sample, `[S, S, C]`.

    Args:
        pair: position among the `nearest_pairs` of the evaluation, from 0. Each belongs to one sample.
        kind: "training" for its nearest training face, "held_out" for its nearest held-out face.

    Raises:
        BadData: there is no such pair, or the data has moved or changed.
    """
    evaluation = find_evaluation(model.path.parent, model.hash)
    if evaluation is None:
        raise BadData("This generator has not been evaluated.")
    report, result = evaluation
    nearest_pairs = result["copies"]["nearest_pairs"]
    if not 0 <= pair < len(nearest_pairs):
        raise BadData("The evaluation has no such pair.")
    faces = _open_evaluated_faces(model, report["data"])
    try:
        pixels: Pixels = faces.pixels[faces.names.index(nearest_pairs[pair][kind])]  # type: ignore[literal-required]
        return pixels
    except ValueError:
        raise BadData("This face is no longer in the data.") from None


def _open_evaluated_faces(model: Model, data: EvaluatedData) -> Faces:
    """Open the faces that the model was compared with.

    Raises:
        BadData: they have moved or changed.
    """
    try:
        path, G = Path(data["path"]), model.G
        faces = open_faces(path, G.resolution, G.channels, limit=data.get("limit"), console=Console(quiet=True))
    except (FacesmithError, OSError) as error:
        raise BadData(f"The real faces can't be shown: {error}") from None
    if faces.fingerprint != data["fingerprint"]:
        raise BadData("The real faces can't be shown: the data has changed since the evaluation.")
    return faces


def _meaning(name: str) -> str:
    """Return what a metric measures."""
    metric = "fd" if name.startswith("fid") else name  # FID is a Fréchet distance (fd), too
    return next((meaning for start, meaning in MEANINGS.items() if metric.startswith(start)), "")


def _numbers(values: Mapping[str, object], names: tuple[str, ...]) -> dict[str, float | None]:
    """Return these values as floats, or None if they are missing."""
    return {name: float(value) if isinstance(value := values.get(name), int | float) else None for name in names}

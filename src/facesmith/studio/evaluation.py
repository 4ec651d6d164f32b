"""What an evaluation has found of a model, out of the report.json beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from facesmith.errors import BadData, FacesmithError
from facesmith.evaluation.evaluate import JSON
from facesmith.evaluation.verdicts import MEANINGS
from facesmith.faces import Faces, open_faces
from facesmith.io.images import Pixels
from facesmith.model import Model

PLACES = ("", "evaluation")  # beside the model's file
MOST_BYTES = 16 * 2**20
KINDS = ("training", "held_out")
DISTANCES = ("ratio", "to_training", "to_held_out")
NUMBERS = ("value", "low", "high", "real")


def judgement(model: Model) -> dict[str, Any]:
    """Verdicts, numbers with what they mean, and the pairs nearest to training faces, by number.

    Where the model was not evaluated, `missing` says so, and `command` how to.

    Raises:
        BadData: the evaluation is damaged.
    """
    found = _found(model)
    if found is None:
        told = f"facesmith evaluate --model {model.path} --data FACES --out {model.path.parent / PLACES[-1]}"
        return {"missing": "This generator was not evaluated yet. It takes some minutes:", "command": told}
    try:
        return _told(*found)
    except (KeyError, TypeError, ValueError):
        raise BadData("The evaluation beside this model is damaged. Make it again, with --force.") from None


def _told(receipt: Mapping[str, Any], judged: Mapping[str, Any]) -> dict[str, Any]:
    protocol, data = receipt["protocol"], receipt["data"]
    metrics = [
        {"name": name, "meaning": _meaning(name), **{each: _number(score, each) for each in NUMBERS}}
        for name, score in judged["metrics"].items()
    ]
    return {
        "verdicts": [{"question": str(q), "answer": str(a)} for q, a in judged["verdicts"].items()],
        "metrics": metrics,
        "face_rate": {each: _number(judged["face_rate"], each) for each in NUMBERS},
        "warnings": [str(each) for each in receipt["warnings"]],
        "notice": judged.get("notice"),
        "about": f"{protocol['samples']} samples (seeds {protocol['seeds']}, psi {protocol['psi']:g}) against "
        f"{data['judged_against']['count']} faces that the training never saw. ± is the 95 % interval.",
        "closest": [
            {
                "seed": int(pair["seed"]),
                **{each: _number(pair, each) for each in ("ratio", "to_training", "to_held_out")},
            }
            for pair in judged["copies"]["closest"]
        ],
        "threshold": judged["copies"].get("threshold"),
    }


def real_face(model: Model, place: int, kind: str) -> Pixels:
    """The training face (or the held-out one) that the evaluation found nearest to a sample, `[S, S, C]`.

    Args:
        place: of the pair among the closest.

    Raises:
        BadData: there is no such pair, or the data is not where it was.
    """
    found = _found(model)
    closest = found[1]["copies"]["closest"] if found else []
    if found is None or not 0 <= place < len(closest) or kind not in KINDS:
        raise BadData("The evaluation names no such pair.")
    faces = _open(model, found[0]["data"])
    try:
        pixels: Pixels = faces.pixels[faces.names.index(closest[place][kind])]
        return pixels
    except ValueError:
        raise BadData("This face is not among the data any more.") from None


def _open(model: Model, data: Mapping[str, Any]) -> Faces:
    try:
        faces = open_faces(Path(data["path"]), model.G.resolution, model.G.channels, console=Console(quiet=True))
    except (FacesmithError, OSError) as error:
        raise BadData(f"The real faces can't be shown: {error}") from None
    if faces.fingerprint != data["fingerprint"]:
        raise BadData("The real faces can't be shown: the data has changed since the evaluation.")
    return faces


def _found(model: Model) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The receipt, and what it says of this model; None where it was not evaluated."""
    for place in PLACES:
        path = model.path.parent / place / JSON
        try:
            if path.stat().st_size > MOST_BYTES:
                continue
            receipt = json.loads(path.read_text(encoding="utf-8"))
            for judged in receipt["models"]:
                if judged["sha256"] == model.hash:
                    return dict(receipt), dict(judged)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
    return None


def _meaning(name: str) -> str:
    plain = "fd" if name.startswith("fid") else name
    return next((meaning for metric, meaning in MEANINGS.items() if plain.startswith(metric)), "")


def _number(held: Mapping[str, Any], name: str) -> float | None:
    number = held.get(name)
    return float(number) if isinstance(number, int | float) else None

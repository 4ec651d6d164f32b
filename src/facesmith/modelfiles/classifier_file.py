"""The file of a model's attribute classifier, with which faces can be described without labeled faces."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from facesmith.attributes import AttributeScores, Classifier, TrainedClassifier
from facesmith.errors import BadModel
from facesmith.io.json_files import as_schema
from facesmith.modelfiles.sidecar import load_sidecar, save_sidecar

KIND = "attributes"
MAX_ATTRIBUTES = 1000


def save_classifier(path: Path, trained: TrainedClassifier, model_hash: str) -> None:
    """Write a classifier for the model with this sha256. Its weights are rounded to float16."""
    weights = {name: t.half() if t.is_floating_point() else t for name, t in trained.classifier.state_dict().items()}
    scores = {name: asdict(each) for name, each in trained.scores.items()}
    save_sidecar(path, KIND, weights, {"names": list(trained.names), "scores": scores}, model_hash)


def load_classifier(path: Path, model_hash: str) -> TrainedClassifier:
    """Read the classifier that `save_classifier` wrote for this model, in evaluation mode.

    Raises:
        BadModel: the file is missing or damaged, or belongs to another model.
    """
    weights, header = load_sidecar(path, KIND, model_hash)
    try:
        names = tuple(as_schema(header.get("names"), list[str]))
        scores = as_schema(header.get("scores"), dict[str, AttributeScores])
        if not 0 < len(names) <= MAX_ATTRIBUTES or set(names) != set(scores):
            raise ValueError("its names and scores differ")
        classifier = Classifier(len(names))
        classifier.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in weights.items()})
    except (ValueError, RuntimeError) as error:
        reason = "its weights have other shapes" if isinstance(error, RuntimeError) else str(error)
        raise BadModel(f"{path} is damaged: {reason}. Make it again: facesmith directions --force") from None
    classifier.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return TrainedClassifier(classifier, names, scores)

"""Evaluate a conditional model by its conditions: are samples with smiling=1 like smiling faces, and do they smile?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from facesmith.attributes import direction_name, learnable_labels, predict_logits, trained_classifier
from facesmith.attributes.conditioning import with_labels
from facesmith.attributes.train_classifier import ClassifierBudget
from facesmith.device import fastest_precision
from facesmith.errors import BadData, BadOption
from facesmith.evaluation.model_result import ConditionResult, ModelResult
from facesmith.evaluation.reference import Reference
from facesmith.latent.from_seeds import draw_z_and_labels
from facesmith.metrics.comparison import Score, share_with_interval
from facesmith.metrics.frechet import frechet_distance
from facesmith.metrics.kid import kid
from facesmith.model import Model
from facesmith.pictures.images import Pixels

MIN_PICTURES = 100  # of each kind; a distance of fewer is mostly noise
SHEET_SEEDS = 12
EXPLANATION = (
    "Each seed also draws labels, as often as they occur among the training faces. Samples with a label are compared "
    "with test faces that have the same label. “real” is the distance of as many real training faces with this label; "
    "if there are fewer of these than samples, only as many samples are compared. "
    "Distances of few pictures are biased upwards, so compare them with “real” only. They are left out below "
    f"{MIN_PICTURES} pictures. “agree” is the share of samples in which a classifier, trained on the training split, "
    "finds the requested label; “real” next to it is the same share of test faces."
)


def with_condition_results(
    result: ModelResult, reference: Reference, classifier_budget: ClassifierBudget, console: Console
) -> ModelResult:
    """Add a result for each attribute and value to the result of a conditional model.

    The samples are those already drawn: each seed draws its own labels as well. Results of unconditional models, and
    of models whose attributes are not in the data, are returned unchanged.

    Args:
        classifier_budget: for training the classifier on the labels of the training split.
    """
    model, faces = result.model, reference.faces
    if not model.conditions:
        return result
    if reference.too_few:
        console.print(f"notice: the conditions are not evaluated: {reference.too_few}.")
        return result
    try:
        labels = with_labels(faces, model.conditions).labels
    except (BadData, BadOption) as reason:  # all other metrics need no labels
        console.print(f"notice: the conditions are not evaluated: {reason}")
        return result
    _, drawn_labels = draw_z_and_labels(model.G, range(len(result.pictures)))
    assert drawn_labels is not None
    assert labels is not None
    requested, real_labels = drawn_labels.numpy(), labels[reference.real]  # 1 yes, -1 no, 0 unknown
    precision = fastest_precision(torch.device("cpu"))
    # Trained on all columns of the data, like the classifier for directions, which is then in the cache.
    trained = trained_classifier(faces, learnable_labels(faces), console, precision=precision, budget=classifier_budget)
    columns = [trained.names.index(direction_name(name)) for name in model.conditions]
    in_samples = predict_logits(trained.classifier, result.pictures).numpy()[:, columns] > 0
    in_faces = predict_logits(trained.classifier, np.asarray(faces.pixels[reference.test])).numpy()[:, columns] > 0
    conditions = []
    for i, name in enumerate(model.conditions):
        for value in (True, False):
            sign = 1 if value else -1
            samples, tests = requested[:, i] == sign, labels[reference.test, i] == sign
            n_samples, n_tests = int(samples.sum()), int(tests.sum())
            test_features, features = reference.features[tests], result.features[samples]
            real_features = reference.real_features[real_labels[:, i] == sign]
            n = min(len(features), len(real_features))  # distances of other numbers of pictures have another bias
            agreement = in_samples[samples, i] == value
            condition = ConditionResult(
                name=name,
                requested=value,
                samples=n_samples,
                faces=n_tests,
                distances=_distances(test_features, features[:n]),
                real_distances=_distances(test_features, real_features[:n]),
                agreement=share_with_interval(agreement) if n_samples else Score(float("nan"), 0.0, 1.0),
                real_agreement=float((in_faces[tests, i] == value).mean()) if n_tests else float("nan"),
            )
            conditions.append(condition)
    return replace(result, conditions=tuple(conditions))


def _distances(real: NDArray[np.float32], other: NDArray[np.float32]) -> dict[str, float]:
    if min(len(real), len(other)) < MIN_PICTURES:
        return {}
    return {"fd": frechet_distance(real, other), "kid": kid(real, other)}


def condition_table(conditions: Sequence[ConditionResult], extractor: str) -> list[list[str]]:
    """The rows of a table; the first is the header."""
    header = ["condition", "samples", "faces", f"fd_{extractor}", "real", f"kid_{extractor}", "real", "agree", "real"]
    return [header, *map(_row, conditions)]


def _row(condition: ConditionResult) -> list[str]:
    distances = [
        f"{values[name]:.4g}" if values else "too few"
        for name in ("fd", "kid")
        for values in (condition.distances, condition.real_distances)
    ]
    score = condition.agreement
    agreement = f"{score.value:.1%} ± {(score.high - score.low) / 2:.1%}" if condition.samples else "none"
    real_agreement = f"{condition.real_agreement:.1%}" if condition.faces else "none"
    return [condition.condition, str(condition.samples), str(condition.faces), *distances, agreement, real_agreement]


def condition_effects(conditions: Sequence[ConditionResult]) -> list[str]:
    """For each attribute, a sentence on how much the condition changes what the classifier finds."""
    sentences = []
    for yes, no in zip(conditions[::2], conditions[1::2], strict=True):
        if yes.samples and no.samples:
            real = f"{yes.real_agreement:.0%} and {1 - no.real_agreement:.0%}" if yes.faces and no.faces else "none"
            sentences.append(
                f"{yes.name}: found in {yes.agreement.value:.0%} of the samples with {yes.condition} and in "
                f"{1 - no.agreement.value:.0%} of those with {no.condition} (real faces: {real})."
            )
    return sentences


def condition_sheet(model: Model, psi: float) -> tuple[Pixels, list[str]]:
    """Faces of the same seeds, one row for each attribute and value: `[2 K * SHEET_SEEDS, S, S, C]`, and row names."""
    rows = [(name, value) for name in model.conditions for value in (1, 0)]
    pictures = [model.sample(range(SHEET_SEEDS), psi, condition={name: value}, watermark=True) for name, value in rows]
    return np.concatenate(pictures), [f"{name}={value}" for name, value in rows]

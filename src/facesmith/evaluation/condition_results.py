"""A conditional model, judged by what it is told: its smiling samples against real smiles, and are they smiling?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from facesmith.attributes import learnable_labels, predict_logits, trained_classifier
from facesmith.attributes.conditioning import with_labels
from facesmith.attributes.train_classifier import ClassifierBudget
from facesmith.device import has_bfloat16
from facesmith.errors import BadData, BadOption
from facesmith.evaluation.model_result import ConditionResult, ModelResult, share
from facesmith.evaluation.reference import Reference
from facesmith.io.images import Pixels
from facesmith.latent.from_seeds import draw_z_and_labels
from facesmith.metrics.comparison import Score
from facesmith.metrics.frechet import frechet_distance
from facesmith.metrics.kid import kid
from facesmith.model import Model

MIN_PICTURES = 100  # of each kind; what fewer say of a distance is chance
SHOWN = 12  # seeds on the sheet


def with_condition_results(
    judged: ModelResult, reference: Reference, classifier_budget: ClassifierBudget, console: Console
) -> ModelResult:
    """The judgement with an answer for each attribute, told yes and no; as it is, of a model without a condition.

    No further samples are drawn: those judged already were told labels by their seeds, as often as the data has them.

    Args:
        classifier_budget: of the classifier, which learns from the training part's labels.
    """
    model, faces = judged.model, reference.faces
    if not model.conditions:
        return judged
    try:
        truth = with_labels(faces, model.conditions).labels
    except (BadData, BadOption) as reason:  # the model can be judged all the same, as one without a condition
        console.print(f"notice: not judged by its condition: {reason}")
        return judged
    _, labels = draw_z_and_labels(model.G, range(len(judged.pictures)))
    assert labels is not None
    assert truth is not None
    precision = torch.bfloat16 if has_bfloat16(torch.device("cpu")) else torch.float32
    # All columns, not only those asked for: the same classifier as for directions, so it is learnt once.
    trained = trained_classifier(faces, learnable_labels(faces), console, precision=precision, budget=classifier_budget)
    columns = [trained.names.index(name) for name in model.conditions]
    seen_in_samples = predict_logits(trained.classifier, judged.pictures).numpy()[:, columns]
    seen_in_faces = predict_logits(trained.classifier, np.asarray(faces.pixels[reference.test])).numpy()[:, columns]
    answers = [
        _answer(
            judged, reference, i, yes, labels.numpy()[:, i], truth[:, i], seen_in_samples[:, i], seen_in_faces[:, i]
        )
        for i in range(len(model.conditions))
        for yes in (True, False)
    ]
    return replace(judged, answers=tuple(answers))


def _answer(
    judged: ModelResult,
    reference: Reference,
    i: int,
    yes: bool,
    told: NDArray[np.float32],
    truth: NDArray[np.float32],
    seen_in_samples: NDArray[np.float32],
    seen_in_faces: NDArray[np.float32],
) -> ConditionResult:
    sign = 1 if yes else -1
    ours, theirs = told == sign, truth[reference.test] == sign
    instead = reference.in_place_features[truth[reference.in_place] == sign][: int(ours.sum())]
    agreeing, agreeing_faces = (seen_in_samples[ours] > 0) == yes, (seen_in_faces[theirs] > 0) == yes
    return ConditionResult(
        judged.model.conditions[i],
        yes,
        int(ours.sum()),
        int(theirs.sum()),
        _distances(reference.features[theirs], judged.features[ours]),
        _distances(reference.features[theirs], instead),
        share(agreeing) if len(agreeing) else Score(float("nan"), 0.0, 1.0),
        float(agreeing_faces.mean()) if len(agreeing_faces) else float("nan"),
    )


def _distances(real: NDArray[np.float32], other: NDArray[np.float32]) -> dict[str, float]:
    if min(len(real), len(other)) < MIN_PICTURES:
        return {}
    return {"fd": frechet_distance(real, other), "kid": kid(real, other)}


def answer_table(answers: Sequence[ConditionResult], extractor: str) -> list[list[str]]:
    """Rows of a table, the first its header."""
    header = ["told", "samples", "faces", f"fd_{extractor}", "real", f"kid_{extractor}", "real", "agree", "real"]
    return [header, *(_row(answer) for answer in answers)]


def _row(answer: ConditionResult) -> list[str]:
    cells = [
        f"{held[name]:.4g}" if held else "too few"
        for name in ("fd", "kid")
        for held in (answer.distances, answer.floor)
    ]
    agreement = f"{answer.agreement.value:.1%} ± {(answer.agreement.high - answer.agreement.low) / 2:.1%}"
    return [
        answer.told, str(answer.samples), str(answer.faces), *cells,
        agreement if answer.samples else "none", f"{answer.real_agreement:.1%}" if answer.faces else "none",
    ]  # fmt: skip


ABOUT = (
    "What the model was told by its seeds, as often as the training faces have it: samples so labelled against test "
    "faces so labelled; “real” is what as many real training faces reach. Distances of few pictures are too high, so "
    f"they are to be held against “real” alone; of fewer than {MIN_PICTURES} they are left out. “agree” is the share "
    "in which a classifier, taught by the training part, finds what was told; “real” beside it is how often it is "
    "right about test faces."
)


def obedience(answers: Sequence[ConditionResult]) -> list[str]:
    """A line for each attribute: how much what is told alters what the classifier finds, in samples and real faces."""
    lines = []
    for yes, no in zip(answers[::2], answers[1::2], strict=True):
        if yes.samples and no.samples:
            could = f"{yes.real_agreement:.0%} and {1 - no.real_agreement:.0%}" if yes.faces and no.faces else "none"
            lines.append(
                f"{yes.name}: found in {yes.agreement.value:.0%} of the samples told so and in "
                f"{1 - no.agreement.value:.0%} of those told not (real faces: {could})."
            )
    return lines


def answer_sheet(model: Model, psi: float) -> tuple[Pixels, list[str]]:
    """Faces of the same seeds, a row told yes above a row told no of each attribute: `[2K * SHOWN, S, S, C]`."""
    rows = [(name, answer) for name in model.conditions for answer in (1, 0)]
    pictures = [model.sample(range(SHOWN), psi, condition={name: answer}) for name, answer in rows]
    return np.concatenate(pictures), [f"{name}={answer}" for name, answer in rows]

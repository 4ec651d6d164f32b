"""Directions of attributes: a classifier labels generated faces, and tells what a step in the latent space does.

Source of the linear fit and of making it orthogonal to what is to stay: Shen et al. 2020, "InterFaceGAN",
arXiv:1907.10786, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from facesmith.attributes import AttributeScores, DatasetLabels, TrainedClassifier, predict_logits, trained_classifier
from facesmith.attributes.train_classifier import classifier_training_rows
from facesmith.device import has_bfloat16
from facesmith.directions.direction_options import DirectionOptions, Found
from facesmith.directions.linear_fit import explained, orthogonal, slopes
from facesmith.directions.refine import CLEAR, LOOSE, STRICT, Restraint, refined, stay_weights
from facesmith.directions.strength import LEAST, Reach, reach, usual_sign
from facesmith.errors import BadData
from facesmith.faces import Faces
from facesmith.gan.contracts import Generator
from facesmith.io.attribute_options import direction_name
from facesmith.io.images import Pixels
from facesmith.io.progress import bar
from facesmith.latent import latents
from facesmith.latent.synthesis import synthesize
from facesmith.latent.whitening import Whitening, whiten

# What a face keeps while another attribute is edited: sex, age, hair, glasses; of these, the columns that there are.
KEEP = ("male", "young", "black_hair", "blond_hair", "brown_hair", "gray_hair", "grey_hair", "red_hair", "eyeglasses")
FACES = 2_000  # generated ones that are labelled, seeds 0 to N-1
FITTED = 0.8  # share of those that slopes are fitted to; the others tell how well they fit
JUDGES = 128  # further ones, that a direction's length is measured by
MOST = 16  # directions that are learnt unless more are asked for
BELIEVABLE = 0.7  # balanced accuracy on softened faces below which an attribute is not taken unasked
MIN_DEVIATION = 1e-3  # of an axis of the latents, as a share of the widest axis
FIRST_SHORTEST, FIRST_LONGEST = 0.5, 3.0  # deviations of latents, from which refining begins
ENOUGH = 0.75  # of the faces without an attribute: a direction that comes into fewer is refined again, less restrained
DRAWN_AT_ONCE = 64


@dataclass(frozen=True)
class Survey:
    """Generated faces: latents `[N, w_dim]`, pictures uint8 `[N, S, S, C]`, and what a classifier says, `[N, A]`."""

    w: Tensor
    pictures: Pixels
    logits: Tensor

    def part(self, rows: slice) -> Survey:
        return Survey(self.w[rows], self.pictures[rows], self.logits[rows])


def supervised(G: Generator, faces: Faces, labels: DatasetLabels, options: DirectionOptions, console: Console) -> Found:
    """Directions of labelled attributes, each as long as strength 1 asks.

    Raises:
        BadData: the classifier can tell none, or none of them can be brought into this model's faces.
    """
    precision = torch.bfloat16 if has_bfloat16(torch.device("cpu")) else torch.float32
    trained = trained_classifier(faces, labels, console, precision=precision, budget=options.classifier_budget)
    for name, known in trained.scores.items():
        console.print(f"  {name:<22} {words_of(known)}")
    chosen = _chosen(trained, options)
    wanted = list(map(direction_name, options.keep)) if options.keep is not None else list(KEEP)
    keep = [name for name in wanted if name in trained.names]
    index = {name: i for i, name in enumerate(trained.names)}
    survey = _survey(G, trained, range(FACES), console)
    fit = survey.part(slice(0, round(FITTED * FACES)))
    coordinates = whiten(survey.w, MIN_DEVIATION)
    start, linear = _fitted(survey, coordinates, trained.names, chosen, keep)
    numbers = [index[name] for name in chosen]
    stay = stay_weights(numbers, [index[name] for name in keep], survey.logits)
    signs = torch.tensor([float(usual_sign(survey.logits[:, number])) for number in numbers])
    further = _survey(G, trained, range(FACES, FACES + JUDGES), console)

    def better(begun: Tensor, rows: list[int], restraint: Restraint) -> tuple[Tensor, list[Reach]]:
        """The directions of these rows, refined, and what they bring about."""
        steps = refined(
            G, trained.classifier, fit.w, fit.pictures, begun, coordinates, [numbers[row] for row in rows], stay[rows],
            signs[rows], console, steps=options.steps, precision=precision, restraint=restraint,
        )  # fmt: skip
        measured = list(zip(coordinates.to_w_offset(steps).float(), steps.norm(dim=1).tolist(), rows, strict=True))
        return steps, [
            reach(G, trained.classifier, further.w, further.logits, step, deviations, numbers[row])
            for step, deviations, row in bar(measured, len(measured), "measuring lengths", console)
        ]

    steps, found = better(start, list(range(len(chosen))), STRICT)
    weak = [row for row, reached in enumerate(found) if reached.reached < ENOUGH] if options.steps else []
    if weak:
        freer, reaches = better(steps[weak], weak, LOOSE)
        for row, step, reached in zip(weak, freer, reaches, strict=True):
            if reached.reached > found[row].reached:
                steps[row], found[row] = step, reached
    directions, told, notes = {}, {}, {}
    for name, step, reached in zip(chosen, coordinates.to_w_offset(steps).float(), found, strict=True):
        if reached.reached < LEAST and options.attributes is None:
            console.print(f"notice: {name} left out: at full length it {_moved(reached)} of faces only")
            continue
        directions[name] = reached.share * step
        share = float((survey.logits[:, index[name]] > 0).float().mean())
        told[name] = _told(trained.scores[name], reached, directions[name], float(linear[index[name]]), share)
        notes[name] = f"classifier {trained.scores[name].balanced:.0%}, {_moved(reached)}"
    if not directions:
        raise BadData("No direction works: this model's faces take on none of the attributes. Train it longer.")
    return Found(directions, told, notes, {"keep": keep, "training_faces": len(classifier_training_rows(faces))})


def words_of(known: AttributeScores) -> str:
    """How well a classifier knows an attribute."""
    return (
        f"right on {known.accuracy:.1%} of faces held out (always the more frequent answer: {known.majority:.1%}); "
        f"balanced {known.balanced:.1%}, softened {known.balanced_soft:.1%}"
    )


def _moved(reached: Reach) -> str:
    return f"{'comes into' if reached.sign > 0 else 'goes from'} {reached.reached:.0%}"


def _survey(G: Generator, trained: TrainedClassifier, seeds: Sequence[int], console: Console) -> Survey:
    """The faces of these seeds, labelled."""
    with torch.inference_mode():
        w = latents(G, seeds)
        parts = torch.split(w, DRAWN_AT_ONCE)
        shown = bar(parts, len(parts), f"drawing {len(w)} faces to label", console)
        pictures = np.concatenate([synthesize(G, part) for part in shown])
        logits = predict_logits(trained.classifier, pictures)
    return Survey(w.clone(), pictures, logits.clone())  # clones outside can take part in gradients


def _chosen(trained: TrainedClassifier, options: DirectionOptions) -> list[str]:
    """Names of the attributes to find directions of: those asked for, or the ones that the classifier knows best."""
    if options.attributes is not None:
        return list(dict.fromkeys(map(direction_name, options.attributes)))
    sure = [name for name in trained.names if trained.scores[name].balanced_soft >= BELIEVABLE]
    best = sorted(sure, key=lambda name: -trained.scores[name].balanced_soft)[:MOST]
    if not best:
        raise BadData("The classifier can tell no attribute from softened faces; more labelled faces help.")
    return [name for name in trained.names if name in best]


def _fitted(
    survey: Survey, coordinates: Whitening, names: Sequence[str], chosen: list[str], keep: list[str]
) -> tuple[Tensor, Tensor]:
    """Steps in coordinates `[A', d]` by the slopes alone; and the share `[A]` of each logit that slopes explain."""
    u, cut = coordinates.to_u(survey.w), round(FITTED * len(survey.w))
    steepest = slopes(u[:cut], survey.logits[:cut])
    by_name = dict(zip(names, steepest, strict=True))
    units = orthogonal(by_name, chosen, keep)
    logits = dict(zip(names, survey.logits.T, strict=True))
    steps = [units[name] * _first_length(logits[name], by_name[name], units[name]) for name in chosen]
    return torch.stack(steps), explained(u[cut:], survey.logits[cut:], steepest)


def _first_length(logits: Tensor, steepest: Tensor, unit: Tensor) -> float:
    """How far to go at first, for faces that lack the attribute to have it clearly: by the slope, within reason."""
    slope, has_less = float(steepest @ unit), usual_sign(logits) * logits
    missing = CLEAR - float(has_less[has_less < 0].mean() if (has_less < 0).any() else has_less.min())
    return min(FIRST_LONGEST, max(FIRST_SHORTEST, missing / max(slope, 1e-6)))


def _told(known: AttributeScores, reached: Reach, direction: Tensor, linear: float, share: float) -> dict[str, Any]:
    """What the header keeps of a direction."""
    return {
        "classifier": asdict(known),
        "calibration": asdict(reached),
        "length": float(direction.norm()),
        "linear": linear,  # share of the logit's variance that a linear fit explains
        "generated_share": share,
    }

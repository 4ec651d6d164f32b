"""Attribute directions from labeled faces.

A classifier learns the labels, then labels generated faces. The slopes of its logits in the latent space give the
directions. They are refined through the generator, and scaled so that strength 1 makes the attribute clearly visible.

Source of the linear fit and the projection: Shen et al. 2020, "InterFaceGAN", arXiv:1907.10786, section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from facesmith.attributes import (
    AttributeScores,
    Classifier,
    DatasetLabels,
    TrainedClassifier,
    predict_logits,
    trained_classifier,
)
from facesmith.attributes.dataset_labels import JUDGMENTS
from facesmith.attributes.train_classifier import classifier_training_rows
from facesmith.device import fastest_precision
from facesmith.directions.direction_options import DirectionOptions, FoundDirections
from facesmith.directions.linear_fit import fit_slopes, orthogonal_directions, r_squared
from facesmith.directions.refine import LOOSE, STRICT, TARGET_LOGIT, PenaltyWeights, keep_weights, refine_directions
from facesmith.directions.skin_tone import real_skin_differences, skin_samples, without_skin_change
from facesmith.directions.strength import MIN_SUCCESS_RATE, StrengthCalibration, calibrate_strength, edit_sign
from facesmith.errors import BadData
from facesmith.faces import Faces
from facesmith.gan.contracts import Generator
from facesmith.io.progress import bar
from facesmith.latent import latents
from facesmith.latent.synthesis import synthesize
from facesmith.latent.whitening import Whitening, whiten
from facesmith.pictures.images import Pixels

# By default, edits don't change sex, age, hair color and glasses, as far as the dataset has these columns.
DEFAULT_KEEP = (
    *("male", "gender_male", "sex_male", "young", "age"),
    *("black_hair", "blond_hair", "brown_hair", "gray_hair", "grey_hair", "red_hair", "eyeglasses"),
)
# Groups of people and `JUDGMENTS` get a direction only if they are requested by name.
NOT_BY_DEFAULT_COLUMNS = ("population_group", "race", "ethnicity", "skin", "skin_tone", "skin_color")
SKIN_SAMPLES = 200  # generated faces on which the change of the skin color is measured
FACE_COUNT = 2_000  # generated faces that are labeled, seeds 0 to 1,999
FIT_SHARE = 0.8  # share of them that slopes are fitted to; the rest measures the fit
CALIBRATION_FACES = 128  # further faces, to set the length of directions
MAX_DIRECTIONS = 16  # unless more are requested by name
MIN_BALANCED_ACCURACY = 0.7  # on degraded faces; attributes below it are used only if requested by name
MIN_DEVIATION = 1e-3  # of an axis of the latents, as a share of the widest axis
MIN_START_LENGTH, MAX_START_LENGTH = 0.5, 3.0  # of directions before refinement, in standard deviations of latents
GOOD_SUCCESS_RATE = 0.75  # directions below it are refined again, with lower penalties
SYNTHESIS_BATCH = 64


@dataclass(frozen=True)
class LabeledSamples:
    """Generated faces: latents `[N, w_dim]`, images uint8 `[N, S, S, C]`, and the classifier's logits `[N, A]`."""

    w: Tensor
    images: Pixels
    logits: Tensor

    def part(self, rows: slice) -> LabeledSamples:
        """Return some of the faces."""
        return LabeledSamples(self.w[rows], self.images[rows], self.logits[rows])


@dataclass(frozen=True)
class _Search:
    """What the refinement and calibration of directions need: A' directions for some of the classifier's A attributes.

    Attributes:
        own: index of each direction's attribute, A' numbers.
        keep: `[A', A]`, how strongly each direction must preserve each attribute.
        signs: `[A']`, 1 for attributes to add, -1 for those to remove.
    """

    G: Generator
    classifier: Classifier
    own: list[int]
    keep: Tensor
    signs: Tensor
    whitening: Whitening
    fit_samples: LabeledSamples
    calibration_samples: LabeledSamples
    precision: torch.dtype
    console: Console

    def refine_and_calibrate(
        self, start: Tensor, rows: list[int], steps: int, penalties: PenaltyWeights
    ) -> tuple[Tensor, list[StrengthCalibration]]:
        """Refine the directions of these rows in whitened coordinates, and measure what they do."""
        refined = refine_directions(
            self.G, self.classifier, self.fit_samples.w, self.fit_samples.images, start, self.whitening,
            [self.own[row] for row in rows], self.keep[rows], self.signs[rows], self.console,
            steps=steps, precision=self.precision, penalties=penalties,
        )  # fmt: skip
        tasks = list(zip(self.whitening.to_w_offset(refined).float(), rows, strict=True))
        return refined, [
            self.calibrate(direction, self.own[row])
            for direction, row in bar(tasks, len(tasks), "measuring the strength of directions", self.console)
        ]

    def calibrate(self, direction: Tensor, attribute: int) -> StrengthCalibration:
        """Find the length at which a direction `[w_dim]` works.

        Args:
            attribute: its index among the classifier's outputs.
        """
        w, logits = self.calibration_samples.w, self.calibration_samples.logits
        deviations = float((direction.double() @ self.whitening.inverse).norm())
        return calibrate_strength(self.G, self.classifier, w, logits, direction, deviations, attribute)


def supervised_directions(
    G: Generator, faces: Faces, labels: DatasetLabels, options: DirectionOptions, console: Console
) -> FoundDirections:
    """Find directions of labeled attributes, scaled so that strength 1 makes them clearly visible.

    Raises:
        BadData: the classifier recognizes no attribute, or the generator can't draw any of them.
    """
    precision = fastest_precision(torch.device("cpu"))
    trained = trained_classifier(faces, labels, console, precision=precision, budget=options.classifier_budget)
    for name, scores in trained.scores.items():
        console.print(f"  {name:<22} {describe_scores(scores)}")
    names = _select_attributes(trained, labels, options)
    keep_names = options.keep if options.keep is not None else DEFAULT_KEEP
    keep = [name for name in keep_names if name in trained.names]
    keep_of = {name: _kept_by(name, keep, labels) for name in names}
    index = {name: i for i, name in enumerate(trained.names)}
    own = [index[name] for name in names]

    # Label generated faces, and fit slopes to their logits.
    samples = _label_samples(G, trained, range(FACE_COUNT), console)
    whitening = whiten(samples.w, MIN_DEVIATION)
    start, fit_quality = _fit_directions(samples, whitening, trained.names, keep_of)

    # Refine the directions, and find the length at which they work.
    search = _Search(
        G=G,
        classifier=trained.classifier,
        own=own,
        keep=keep_weights(own, [[index[other] for other in keep_of[name]] for name in names], samples.logits),
        signs=torch.tensor([float(edit_sign(samples.logits[:, i])) for i in own]),
        whitening=whitening,
        fit_samples=samples.part(slice(0, round(FIT_SHARE * FACE_COUNT))),
        calibration_samples=_label_samples(G, trained, range(FACE_COUNT, FACE_COUNT + CALIBRATION_FACES), console),
        precision=precision,
        console=console,
    )
    refined, calibrations = _refine_all(search, start, options.steps)
    skin = skin_samples(samples.w[:SKIN_SAMPLES], samples.images[:SKIN_SAMPLES])
    real_skin = real_skin_differences(faces, labels)
    header = {"keep": keep, "training_faces": len(classifier_training_rows(faces))}
    result = FoundDirections({}, {}, {}, header, trained, real_skin)
    for name, direction, calibration in zip(names, whitening.to_w_offset(refined).float(), calibrations, strict=True):
        i, scores = index[name], trained.scores[name]
        direction = calibration.scale * direction
        if skin is not None:
            corrected = without_skin_change(G, whitening, skin, direction, real_skin.get(name))
            if corrected is not direction:
                calibration = search.calibrate(corrected, i)
                direction = calibration.scale * corrected
        if calibration.success_rate < MIN_SUCCESS_RATE and options.attributes is None:
            console.print(f"notice: {name} is left out: even at full length it {_effect(calibration)} of faces only")
            continue
        result.directions[name] = direction
        result.notes[name] = f"classifier {scores.balanced_accuracy:.0%}, {_effect(calibration)}"
        result.measurements[name] = {
            "classifier": asdict(scores),
            "calibration": asdict(calibration),
            "length": float(result.directions[name].norm()),
            "linear_r2": float(fit_quality[i]),  # share of the logit's variance that a linear function of w explains
            "sample_share": float((samples.logits[:, i] > 0).float().mean()),  # of generated faces with the attribute
        }
    if not result.directions:
        raise BadData("No direction works: this model's faces show none of the attributes. Train the model for longer.")
    return result


def _refine_all(search: _Search, start: Tensor, steps: int) -> tuple[Tensor, list[StrengthCalibration]]:
    """Refine all directions, and weak ones again with lower penalties if that makes them better."""
    refined, calibrations = search.refine_and_calibrate(start, list(range(len(search.own))), steps, STRICT)
    weak = [row for row, each in enumerate(calibrations) if each.success_rate < GOOD_SUCCESS_RATE]
    if weak and steps:
        again = search.refine_and_calibrate(refined[weak], weak, steps, LOOSE)
        for row, direction, calibration in zip(weak, *again, strict=True):
            if calibration.success_rate > calibrations[row].success_rate:
                refined[row], calibrations[row] = direction, calibration
    return refined, calibrations


def describe_scores(scores: AttributeScores) -> str:
    """Return how well a classifier recognizes an attribute, as text."""
    return (
        f"accuracy {scores.accuracy:.1%} on held-out faces (majority class {scores.majority_accuracy:.1%}); "
        f"balanced {scores.balanced_accuracy:.1%}, on degraded faces {scores.balanced_accuracy_degraded:.1%}"
    )


def _effect(calibration: StrengthCalibration) -> str:
    return f"{'appears in' if calibration.sign > 0 else 'disappears from'} {calibration.success_rate:.0%}"


def _label_samples(G: Generator, trained: TrainedClassifier, seeds: Sequence[int], console: Console) -> LabeledSamples:
    """Draw the faces of seeds and label them."""
    with torch.inference_mode():
        w = latents(G, seeds)
        batches = torch.split(w, SYNTHESIS_BATCH)
        progress = bar(batches, len(batches), f"drawing {len(w)} faces to label", console)
        images = np.concatenate([synthesize(G, batch) for batch in progress])
        logits = predict_logits(trained.classifier, images)
    return LabeledSamples(w.clone(), images, logits.clone())  # clones: inference tensors can't take part in gradients


def _select_attributes(trained: TrainedClassifier, labels: DatasetLabels, options: DirectionOptions) -> list[str]:
    """Return the requested attributes, or by default those that the classifier recognizes best."""
    if options.attributes is not None:
        return list(options.attributes)
    accuracy = {name: trained.scores[name].balanced_accuracy_degraded for name in trained.names}
    reliable = [name for name in trained.names if accuracy[name] >= MIN_BALANCED_ACCURACY and _by_default(name, labels)]
    best = sorted(reliable, key=lambda name: -accuracy[name])[:MAX_DIRECTIONS]
    if not best:
        raise BadData("The classifier recognizes no attribute in degraded faces. Use more labeled faces.")
    return [name for name in trained.names if name in best]


def _by_default(name: str, labels: DatasetLabels) -> bool:
    """Whether an attribute gets a direction without being requested."""
    return name not in JUDGMENTS and labels.columns.get(name, name) not in NOT_BY_DEFAULT_COLUMNS


def _kept_by(name: str, keep: Sequence[str], labels: DatasetLabels) -> list[str]:
    """The attributes in `keep` without those of the attribute's own column, which its direction may change."""
    column = labels.columns.get
    return [other for other in keep if column(other, other) != column(name, name)]


def _fit_directions(
    samples: LabeledSamples, whitening: Whitening, all_names: Sequence[str], keep_of: Mapping[str, list[str]]
) -> tuple[Tensor, Tensor]:
    """Return linear directions in whitened coordinates `[A', d]`, and how well each logit is linear (R²) `[A]`.

    Args:
        keep_of: for each direction, the attributes that it must not change.
    """
    u, n_fit = whitening.to_u(samples.w), round(FIT_SHARE * len(samples.w))
    slopes = fit_slopes(u[:n_fit], samples.logits[:n_fit])
    slope_by_name = dict(zip(all_names, slopes, strict=True))
    logits_by_name = dict(zip(all_names, samples.logits.T, strict=True))
    units = orthogonal_directions(slope_by_name, keep_of)
    directions = [unit * _start_length(logits_by_name[name], slope_by_name[name], unit) for name, unit in units.items()]
    return torch.stack(directions), r_squared(u[n_fit:], samples.logits[n_fit:], slopes)


def _start_length(logits: Tensor, slope: Tensor, unit: Tensor) -> float:
    """Return the length at which faces without the attribute get it, by linear extrapolation within limits."""
    growth, own_logits = float(slope @ unit), edit_sign(logits) * logits
    lacking = own_logits < 0
    missing = TARGET_LOGIT - float(own_logits[lacking].mean() if lacking.any() else own_logits.min())
    return min(MAX_START_LENGTH, max(MIN_START_LENGTH, missing / max(growth, 1e-6)))

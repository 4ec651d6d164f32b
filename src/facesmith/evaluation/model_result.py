"""One model, judged: its samples, the numbers of them, and their nearest real faces."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.evaluation.reference import Reference, fits
from facesmith.io.images import Pixels, as_rgb
from facesmith.io.progress import bar
from facesmith.io.seeds import BATCH_SIZE
from facesmith.metrics.comparison import SETS, Score, interval_around, scores_with_intervals
from facesmith.metrics.copies import CopyAudit, Nearest, audit_copies, nearest_faces, wilson_upper_bound
from facesmith.metrics.features import extract_features
from facesmith.model import Model
from facesmith.photos.detect import shows_face
from facesmith.photos.near_duplicates import near_duplicate_groups, perceptual_hash

CLOSEST = 12  # pairs to show


@dataclass(frozen=True)
class ConditionResult:
    """What a model draws where it is told an attribute, yes or no.

    Attributes:
        samples: of those judged, so many had this label.
        faces: test faces that have it.
        distances: fd and kid of these samples from these faces; empty where there are too few of either.
        floor: the same of real training faces that have it, as many as samples or all there are.
        agreement: share of these samples in which the classifier finds what was told.
        real_agreement: the same of the test faces.
    """

    name: str
    yes: bool
    samples: int
    faces: int
    distances: dict[str, float]
    floor: dict[str, float]
    agreement: Score
    real_agreement: float

    @property
    def told(self) -> str:
        return f"{self.name}={int(self.yes)}"


@dataclass(frozen=True)
class ModelResult:
    """What was found of a model.

    Attributes:
        pictures: its samples, of the seeds 0 to N - 1, uint8 `[N, S, S, C]`.
        features: of these, `[N, D]`.
        scores: by metric.
        face_rate: the share of samples in which the detector finds a face.
        distinct: samples left where near-duplicates count once.
        nearest: of each sample.
        ratio: the median over samples of `nearest.ratio`.
        audit: None where it can't be judged.
        notice: why the faces don't fit the model, or None.
        seconds: by what they were spent on.
        answers: of a conditional model, by what it is told.
        psi: truncation of the samples.
    """

    model: Model
    pictures: Pixels
    features: NDArray[np.float32]
    scores: dict[str, Score]
    face_rate: Score
    distinct: int
    nearest: Nearest
    ratio: Score
    audit: CopyAudit | None
    notice: str | None
    seconds: dict[str, float]
    answers: tuple[ConditionResult, ...] = ()
    psi: float = 1.0

    @property
    def closest(self) -> NDArray[np.int64]:
        """The samples that are nearest to a training face by the measure of the verdict, the nearest first."""
        return np.argsort(self.nearest.ratio, kind="stable")[:CLOSEST]

    @property
    def copied(self) -> NDArray[np.int64]:
        """The training faces of which there are copies, among those of the training part."""
        return np.unique(self.nearest.training[self.audit.copies]) if self.audit else np.empty(0, np.int64)


def evaluate_model(model: Model, reference: Reference, samples: int, console: Console, psi: float = 1.0) -> ModelResult:
    """Draw `samples` faces and hold them against the reference."""
    notice = fits(model.header, reference.faces, model.path)
    seconds: dict[str, float] = {}
    clock = _Clock(seconds)
    pictures = draw(model, samples, console, psi)
    clock.note("drawing")
    features = extract_features(reference.extractor, pictures, "samples", console)
    clock.note("features")
    console.print("comparing samples with real faces ...")
    scores = scores_with_intervals(reference.features, features)
    clock.note("metrics")
    face_rate = share(shows_face(as_rgb(pictures)))
    clock.note("faces")
    hashes = np.stack([perceptual_hash(picture) for picture in pictures])
    distinct = len(np.unique(near_duplicate_groups(hashes)))
    nearest = nearest_faces(pictures, reference.training_thumbnails, reference.test_thumbnails, "samples", console)
    medians = [float(np.median(ratios)) for ratios in np.array_split(nearest.ratio, SETS)]
    ratio = interval_around(float(np.median(nearest.ratio)), medians)
    found = audit_copies(nearest.ratio, reference.ratios) if reference.ratios is not None else None
    clock.note("copies")
    return ModelResult(
        model, pictures, features, scores, face_rate, distinct, nearest, ratio, found, notice, seconds, psi=psi
    )


def draw(model: Model, samples: int, console: Console, psi: float = 1.0) -> Pixels:
    """The faces of the seeds 0 to `samples` - 1, as `facesmith sample` draws them."""
    starts = range(0, samples, BATCH_SIZE)
    parts = bar(starts, len(starts), f"drawing samples, {BATCH_SIZE} at a time", console)
    return np.concatenate([model.sample(range(start, min(start + BATCH_SIZE, samples)), psi) for start in parts])


def share(found: NDArray[np.bool_]) -> Score:
    """A share with Wilson's interval, 95 %."""
    hits, count = int(found.sum()), len(found)
    return Score(hits / count, 1 - wilson_upper_bound(count - hits, count, 1.96), wilson_upper_bound(hits, count, 1.96))


class _Clock:
    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds, self.last = seconds, time.monotonic()

    def note(self, what: str) -> None:
        now = time.monotonic()
        self.seconds[what], self.last = round(now - self.last, 1), now

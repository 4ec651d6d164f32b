"""The evaluation of one model: its samples, their metrics, and their nearest real faces."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.detection.detect import shows_face
from facesmith.evaluation.attribute_shares import AttributeShare
from facesmith.evaluation.reference import Reference, check_training_data
from facesmith.io.progress import bar
from facesmith.io.seeds import BATCH_SIZE
from facesmith.metrics.comparison import SETS, Score, interval_around, scores_with_intervals, share_with_interval
from facesmith.metrics.copies import (
    COPY_DISTANCE,
    CopyCheck,
    NearestFaces,
    check_copies,
    largest_chance_count,
    nearest_faces,
)
from facesmith.metrics.features import extract_features
from facesmith.metrics.identity import People, PeopleCheck, check_people
from facesmith.model import Model
from facesmith.photos.near_duplicates import near_duplicate_groups, perceptual_hash
from facesmith.pictures.images import Pixels, as_rgb

PAIRS = 12  # nearest pairs to show


@dataclass(frozen=True)
class ConditionResult:
    """How a conditional model draws faces with, or without, an attribute.

    Attributes:
        requested: whether the attribute was requested, or its absence.
        samples: how many of the samples had this label.
        faces: how many of the test faces have it.
        distances: fd and kid between these samples and these faces; empty if there are too few of either. They use as
            many samples as there are real training faces with this label, or all if these are enough.
        real_distances: the same for as many of these training faces.
        agreement: share of these samples in which a classifier finds what was requested.
        real_agreement: the same share of these test faces.
    """

    name: str
    requested: bool
    samples: int
    faces: int
    distances: dict[str, float]
    real_distances: dict[str, float]
    agreement: Score
    real_agreement: float

    @property
    def condition(self) -> str:
        """As on the command line: smiling=1."""
        return f"{self.name}={int(self.requested)}"


@dataclass(frozen=True)
class ModelResult:
    """The evaluation of one model.

    Attributes:
        pictures: its samples, of seeds 0 to N - 1, uint8 `[N, S, S, C]`.
        features: of these, `[N, D]`; empty if there are too few real faces to compare with.
        scores: by metric; empty if there are too few real faces to compare with.
        comparable_scores: those of the first samples, as many as there are real faces in place of samples. Only these
            may be compared with the scores of real faces, because the metrics depend on the number of pictures.
        face_rate: share of samples in which the detector finds a face.
        distinct: number of samples if near-duplicates count once.
        nearest: the nearest training and held-out face of each sample.
        ratio: the median of `nearest.ratio`; None if there are too few held-out faces.
        copy_check: None if there are too few held-out faces.
        notice: why the faces are not those that the model was trained on; None if they are.
        seconds: time spent, by task.
        psi: truncation of the samples.
        people: how many samples are close to a training person; None if that was not measured.
        conditions: of a conditional model, one result per attribute and value.
        attributes: how often labeled attributes occur in the data and among samples; empty if not requested.
    """

    model: Model
    pictures: Pixels
    features: NDArray[np.float32]
    scores: dict[str, Score]
    comparable_scores: dict[str, Score]
    face_rate: Score
    distinct: int
    nearest: NearestFaces
    ratio: Score | None
    copy_check: CopyCheck | None
    notice: str | None
    seconds: dict[str, float]
    psi: float = 1.0
    people: PeopleCheck | None = None
    conditions: tuple[ConditionResult, ...] = ()
    attributes: tuple[AttributeShare, ...] = ()

    @property
    def nearest_pairs(self) -> NDArray[np.int64]:
        """The samples with the smallest distance ratios, the smallest first."""
        return self.nearest.smallest_ratios(PAIRS)

    @property
    def copied(self) -> NDArray[np.int64]:
        """The training faces that were copied, as indices into the training split."""
        return np.unique(self.nearest.training[self.copies])

    @property
    def copies(self) -> NDArray[np.bool_]:
        """Which samples count as copies, `[N]`. With too few held-out faces, only those close to a training face do."""
        return self.nearest.to_training < COPY_DISTANCE if self.copy_check is None else self.copy_check.copies

    @property
    def has_copies(self) -> bool:
        """Whether there are more copies than can be among new faces."""
        if self.copy_check is None:
            return int(self.copies.sum()) > largest_chance_count(len(self.pictures))
        return self.copy_check.has_copies

    @property
    def unclear(self) -> bool:
        """Whether there are too few held-out faces to tell if the copies are chance."""
        if self.copy_check is None:
            return bool(self.copies.any()) and not self.has_copies
        return self.copy_check.unclear


def evaluate_model(model: Model, reference: Reference, samples: int, console: Console, psi: float = 1.0) -> ModelResult:
    """Draw `samples` faces and compare them with the reference."""
    notice = check_training_data(model.header, reference.faces, model.path)
    timer = _Timer()
    pictures = draw_samples(model, samples, console, psi)
    timer.stop("drawing")
    features = np.empty((0, reference.extractor.dims), np.float32)
    scores = comparable_scores = dict[str, Score]()
    if not reference.too_few:
        features = extract_features(reference.extractor, pictures, "samples", console)
        timer.stop("features")
        console.print("comparing samples with real faces ...")
        scores = comparable_scores = scores_with_intervals(reference.features, features)
        if len(reference.real) < samples:
            comparable_scores = scores_with_intervals(reference.features, features[: len(reference.real)])
        timer.stop("metrics")
    face_rate = share_with_interval(shows_face(as_rgb(pictures)))
    timer.stop("faces")
    hashes = np.stack([perceptual_hash(picture) for picture in pictures])
    distinct = len(np.unique(near_duplicate_groups(hashes)))
    nearest = nearest_faces(pictures, reference.training_thumbnails, reference.test_thumbnails, "samples", console)
    medians = [float(np.median(ratios)) for ratios in np.array_split(nearest.ratio, SETS)]
    ratio = interval_around(float(np.median(nearest.ratio)), medians) if reference.test_nearest else None
    copy_check = check_copies(nearest, reference.test_nearest) if reference.test_nearest else None
    timer.stop("copies")
    people = check_people(pictures, reference.people, console) if isinstance(reference.people, People) else None
    timer.stop("people")
    return ModelResult(
        model=model,
        pictures=pictures,
        features=features,
        scores=scores,
        comparable_scores=comparable_scores,
        face_rate=face_rate,
        distinct=distinct,
        nearest=nearest,
        ratio=ratio,
        copy_check=copy_check,
        notice=notice,
        seconds=timer.seconds,
        psi=psi,
        people=people,
    )


def draw_samples(model: Model, samples: int, console: Console, psi: float = 1.0) -> Pixels:
    """The faces of seeds 0 to `samples` - 1, as `facesmith sample` draws them."""
    starts = range(0, samples, BATCH_SIZE)
    batches = bar(starts, len(starts), f"drawing samples, {BATCH_SIZE} at a time", console)
    return np.concatenate([model.sample(range(start, min(start + BATCH_SIZE, samples)), psi) for start in batches])


class _Timer:
    """Seconds spent on one task after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.start = time.monotonic()

    def stop(self, task: str) -> None:
        now = time.monotonic()
        self.seconds[task], self.start = round(now - self.start, 1), now

"""The real faces that models are compared with: the test split, and training faces in place of samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from facesmith.detection.detect import shows_face
from facesmith.errors import BadData
from facesmith.faces import Faces
from facesmith.metrics.comparison import MIN_SAMPLES, Score, scores_with_intervals
from facesmith.metrics.copies import NearestFaces, nearest_faces, thumbnails, too_few_held_out
from facesmith.metrics.features import Extractor, cached_features
from facesmith.metrics.identity import People, embed_people
from facesmith.photos import split
from facesmith.pictures.images import as_rgb

NOT_REQUESTED = "--no-identity was given"
REAL_SEED = 5_641  # draws the training faces that take the place of samples


@dataclass(frozen=True)
class Reference:
    """Real faces, and the values that real faces reach in each metric.

    Attributes:
        test, training: rows of the dataset, in each split.
        test_thumbnails, training_thumbnails: of these faces, for the copy check.
        too_few: why no metrics are computed; empty if there are enough faces. The next four are then empty, too.
        features: of the test split, `[N, D]`.
        real: rows of the training faces that take the place of samples: as many as samples, or all there are.
        real_features: of these, `[M, D]`.
        real_scores: the metrics of these, compared with the test split like samples.
        face_rate: share of test faces in which the detector finds a face; None if there are no test faces.
        no_copy_check: why the distance ratios are not compared; empty if there are enough test faces.
        test_nearest: the nearest training face and other test face of each test face; None if there are too few.
        people: embeddings of training and test faces, or the reason why people are not compared.
    """

    faces: Faces
    extractor: Extractor
    test: NDArray[np.int64]
    training: NDArray[np.int64]
    test_thumbnails: Tensor
    training_thumbnails: Tensor
    too_few: str
    features: NDArray[np.float32]
    real: NDArray[np.int64]
    real_features: NDArray[np.float32]
    real_scores: dict[str, Score]
    face_rate: float | None
    no_copy_check: str
    test_nearest: NearestFaces | None
    people: People | str


def prepare_reference(
    faces: Faces, extractor: Extractor, samples: int, console: Console, *, identity: bool = True
) -> Reference:
    """Compute all that is needed of real faces to evaluate models with `samples` pictures each.

    With too few faces, metrics are left out, and only copies and faces are searched.

    Args:
        identity: whether to compare people by face recognition.

    Raises:
        BadData: there are no training faces.
    """
    test, training = faces.part("test"), faces.part("train")
    if len(training) == 0:
        raise BadData(f"{faces.path} has no faces in its training split, so there is nothing to compare with.")
    too_few = _too_few(len(test), len(training))
    test_pixels = np.asarray(faces.pixels[test])
    real = np.sort(np.random.default_rng(REAL_SEED).permutation(training)[:samples])
    features = real_features = np.empty((0, extractor.dims), np.float32)
    real_scores: dict[str, Score] = {}
    if not too_few:
        features = cached_features(extractor, test_pixels, "test faces", console)
        real_features = cached_features(extractor, faces.pixels[real], "training faces", console)
        console.print("comparing real faces with real faces ...")
        # Faces with similar names can look similar, so shuffle them over the sets that give the intervals.
        shuffled = np.random.default_rng(REAL_SEED).permutation(real_features)
        real_scores = scores_with_intervals(features, shuffled)
    training_thumbnails = thumbnails(faces.pixels, training)
    test_thumbnails = thumbnails(test_pixels) if len(test) else training_thumbnails[:0]
    test_groups = [faces.groups[row] for row in test]
    no_copy_check = too_few_held_out(test_groups)
    test_nearest: NearestFaces | None = None
    if not no_copy_check:
        _, groups = np.unique(test_groups, return_inverse=True)
        test_nearest = nearest_faces(test_pixels, training_thumbnails, test_thumbnails, "test faces", console, groups)
    return Reference(
        faces=faces,
        extractor=extractor,
        test=test,
        training=training,
        test_thumbnails=test_thumbnails,
        training_thumbnails=training_thumbnails,
        too_few=too_few,
        features=features,
        real=real if not too_few else real[:0],
        real_features=real_features,
        real_scores=real_scores,
        face_rate=float(shows_face(as_rgb(test_pixels)).mean()) if len(test) else None,
        no_copy_check=no_copy_check,
        test_nearest=test_nearest,
        people=embed_people(faces, training, test, console) if identity else NOT_REQUESTED,
    )


def _too_few(tests: int, training: int) -> str:
    """Why the metrics can't be computed; empty if they can."""
    counts = [f"{n} {name}" for name, n in (("test", tests), ("training", training)) if n < MIN_SAMPLES]
    if not counts:
        return ""
    return f"this needs at least {MIN_SAMPLES} faces in each split, and there are only {' and '.join(counts)} faces"


def check_training_data(header: dict[str, object], faces: Faces, path: Path) -> str | None:
    """Check that a model was trained on these faces; if not, return a notice that says what this means.

    Raises:
        BadData: it was trained on these faces with another split, so it may have seen the test faces.
    """
    model_split, data_split = header.get("split"), split.describe(faces.parts)
    if header.get("fingerprint") == faces.fingerprint:
        counts = model_split.get("counts") if isinstance(model_split, dict) else None
        if isinstance(counts, dict) and counts.get("test") == 0 and len(faces.part("test")):
            raise BadData(
                f"{path} was trained on all of these faces (--no-hold-out or --as-in-text), so none are left to "
                "test it with. Give other faces, or train it again without that option."
            )
        if model_split != data_split:
            raise BadData(
                f"{path} was trained on these faces with another split ({model_split} instead of {data_split}), so it "
                "may have seen the test faces. Train it again to evaluate it."
            )
        return None
    known = isinstance(header.get("fingerprint"), str)
    return (
        f"{path} was trained on {'other' if known else 'unknown'} faces: the metrics compare it with the given faces, "
        "and copies of its own training faces can't be found. If it was trained with --limit, pass the same --limit."
    )

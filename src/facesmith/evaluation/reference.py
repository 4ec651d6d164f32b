"""The real faces that models are held against: the test part, and training faces in the place of samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from facesmith.errors import BadData
from facesmith.faces import Faces
from facesmith.io.images import as_rgb
from facesmith.metrics.comparison import MIN_SAMPLES, Score, scores_with_intervals
from facesmith.metrics.copies import MIN_HELD_OUT, nearest_faces, thumbnails
from facesmith.metrics.features import Extractor, cached_features
from facesmith.photos.detect import shows_face

FLOOR_SEED = 5_641


@dataclass(frozen=True)
class Reference:
    """Real faces and what they reach themselves.

    Attributes:
        test, training: rows of the dataset.
        test_thumbnails, training_thumbnails: of these faces, to find the nearest by.
        features: of the test part, `[N, D]`.
        floor: the metrics of real training faces against the test part, as if they were samples.
        in_place: rows of these training faces; as many as samples, or all there are.
        in_place_features: theirs, `[M, D]`.
        face_rate: the share of test faces in which the detector finds a face.
        ratios: nearest training face over nearest other test face, of each test face; None where there are too few.
    """

    faces: Faces
    extractor: Extractor
    test: NDArray[np.int64]
    training: NDArray[np.int64]
    test_thumbnails: Tensor
    training_thumbnails: Tensor
    features: NDArray[np.float32]
    floor: dict[str, Score]
    in_place: NDArray[np.int64]
    in_place_features: NDArray[np.float32]
    face_rate: float
    ratios: NDArray[np.float64] | None

    @property
    def floor_count(self) -> int:
        """How many training faces stand in the place of samples."""
        return len(self.in_place)


def prepare_reference(faces: Faces, extractor: Extractor, samples: int, console: Console) -> Reference:
    """Prepare the real side for models of which `samples` pictures will be drawn.

    Raises:
        BadData: a part holds too few faces.
    """
    test, training = faces.part("test"), faces.part("train")
    for name, indices in (("test", test), ("training", training)):
        if len(indices) < MIN_SAMPLES:
            raise BadData(
                f"{faces.path} has {len(indices)} faces in its {name} part; judging needs {MIN_SAMPLES} there at the "
                "least, and some thousands to mean much. Give more faces."
            )
    pixels = np.asarray(faces.pixels[test])
    chosen = np.sort(np.random.default_rng(FLOOR_SEED).permutation(training)[:samples])
    features = cached_features(extractor, pixels, "test faces", console)
    in_place_of_samples = cached_features(extractor, faces.pixels[chosen], "training faces", console)
    # Sorted by name, neighbours may be alike; the sets of the interval must not differ by that.
    shuffled = np.random.default_rng(FLOOR_SEED).permutation(in_place_of_samples)
    console.print("comparing real faces with real faces ...")
    floor = scores_with_intervals(features, shuffled)
    seen, unseen, ratios = thumbnails(faces.pixels, training), thumbnails(pixels), None
    if len(test) >= MIN_HELD_OUT:
        _, groups = np.unique([faces.groups[i] for i in test], return_inverse=True)
        ratios = nearest_faces(pixels, seen, unseen, "test faces", console, groups).ratio
    rate = float(shows_face(as_rgb(pixels)).mean())
    return Reference(
        faces, extractor, test, training, unseen, seen, features, floor, chosen, in_place_of_samples, rate, ratios
    )


def fits(header: dict[str, object], faces: Faces, path: Path) -> str | None:
    """Whether a model was trained on these very faces; if not, the notice that says what it means.

    Raises:
        BadData: the same faces, but split in another way, so that what judges may have taught.
    """
    from facesmith.photos import split

    theirs, ours = header.get("split"), split.describe(faces.parts)
    if header.get("fingerprint") == faces.fingerprint:
        if theirs != ours:
            raise BadData(
                f"{path} was trained on these faces split in another way ({theirs}); now they are split {ours}. "
                "Test faces may have taught it, so it can't be judged by them. Train it again."
            )
        return None
    what = "other faces" if isinstance(header.get("fingerprint"), str) else "faces of which it tells nothing"
    return (
        f"{path} was trained on {what} than these: the numbers tell how far its faces are from these, "
        "and whether it copies its own training faces can't be told. (Trained with --limit? Give the same here.)"
    )

"""Do samples show people of the training data? Compare their nearest training person and nearest held-out person.

Copies (`copies.py`) are pictures that look like a training photo. A generator can also draw a training person in
another light or with another expression. So faces are compared by embeddings that tell people apart
(`face_embedding.py`).

A sample is close to a training person if the distance to the nearest training face, divided by the distance to the
nearest held-out face, is smaller than for 95 % of held-out people. By chance, 5 % of new people are close, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.faces import Faces
from facesmith.metrics.comparison import Score
from facesmith.metrics.copies import NearestFaces, too_few_held_out, wilson_upper_bound
from facesmith.metrics.face_embedding import MIN_SIDE_PX, FaceEmbedding, embed_faces, load_face_embedding
from facesmith.pictures.images import Pixels

CLOSE_SHARE = 0.05  # of held-out people that count as close
BLOCK = 256  # pictures that are compared at the same time


@dataclass(frozen=True)
class People:
    """Embeddings of real faces.

    Attributes:
        training, held_out: embeddings of all faces in these splits, `[N, 128]`.
        ratios: distance ratio of each held-out face, compared with the held-out faces of other people.
    """

    network: FaceEmbedding
    training: NDArray[np.float32]
    held_out: NDArray[np.float32]
    ratios: NDArray[np.float64]


@dataclass(frozen=True)
class PeopleCheck:
    """How many samples are close to a training person.

    Attributes:
        embeddings: of the samples, `[N, 128]`.
        nearest: the nearest training face and held-out face of each sample, by their embeddings.
        threshold: samples with a smaller distance ratio are close to a training person.
        share: of the samples that are close, with a 99 % interval.
        allowed: the share must be above this, with its whole interval, so that it can't be chance.
        real_share: of held-out people that are close.
    """

    embeddings: NDArray[np.float32]
    nearest: NearestFaces
    threshold: float
    share: Score
    allowed: float
    real_share: float

    @property
    def draws_training_people(self) -> bool:
        """Whether more samples are close to a training person than can be by chance."""
        return self.share.low > self.allowed

    @property
    def unclear(self) -> bool:
        """Whether more samples are close to a training person than of held-out people, but these are too few."""
        return not self.draws_training_people and self.share.low > max(self.real_share, CLOSE_SHARE)


def embed_people(
    faces: Faces, training: NDArray[np.int64], held_out: NDArray[np.int64], console: Console
) -> People | str:
    """The embeddings of real faces, or the reason why the check is left out.

    Args:
        training, held_out: rows of the splits.
    """
    if faces.resolution < MIN_SIDE_PX:
        return f"people can't be distinguished on faces of {faces.resolution} px; {MIN_SIDE_PX} px are needed"
    held_out_groups = [faces.groups[row] for row in held_out]
    if reason := too_few_held_out(held_out_groups):
        return reason
    network = load_face_embedding()
    known, new = (
        embed_faces(network, faces.pixels, rows, name, console)
        for rows, name in ((training, "training faces"), (held_out, "test faces"))
    )
    _, groups = np.unique(held_out_groups, return_inverse=True)
    return People(network, known, new, nearest_people(new, known, new, groups).ratio)


def check_people(pictures: Pixels, people: People, console: Console) -> PeopleCheck:
    """Compare samples uint8 `[N, S, S, C]` with the people of the training data."""
    embeddings = embed_faces(people.network, pictures, np.arange(len(pictures)), "samples", console)
    return compare_people(embeddings, people)


def compare_people(embeddings: NDArray[np.float32], people: People) -> PeopleCheck:
    """Compare the distance ratios of samples with those of held-out people.

    Args:
        embeddings: of the samples, `[N, 128]`.
    """
    nearest = nearest_people(embeddings, people.training, people.held_out)
    threshold = float(np.quantile(people.ratios, CLOSE_SHARE))
    close, real_close = int((nearest.ratio < threshold).sum()), int((people.ratios < threshold).sum())
    count, real_count = len(embeddings), len(people.ratios)
    low, high = max(0.0, 1 - wilson_upper_bound(count - close, count)), wilson_upper_bound(close, count)
    return PeopleCheck(
        embeddings=embeddings,
        nearest=nearest,
        threshold=threshold,
        share=Score(close / count, low, high),
        allowed=wilson_upper_bound(real_close, real_count),
        real_share=real_close / real_count,
    )


def nearest_people(
    embeddings: NDArray[np.float32],
    training: NDArray[np.float32],
    held_out: NDArray[np.float32],
    groups: NDArray[np.int64] | None = None,
) -> NearestFaces:
    """The nearest training face and held-out face of each of N embeddings.

    Args:
        groups: `[N]`, if the embeddings are the held-out faces themselves: none is compared with its own group.
    """
    parts = []
    for start in range(0, len(embeddings), BLOCK):
        block = embeddings[start : start + BLOCK]
        to_training, to_held_out = (_distances(block, others) for others in (training, held_out))
        if groups is not None:
            to_held_out[groups[start : start + BLOCK, None] == groups[None]] = np.inf
        parts.append((to_training.min(1), to_training.argmin(1), to_held_out.min(1), to_held_out.argmin(1)))
    return NearestFaces(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean distances `[N, M]`."""
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    distances: NDArray[np.float32] = np.sqrt(np.maximum(0, squared))
    return distances

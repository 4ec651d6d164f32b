"""Are samples copies of training faces? Compare the nearest training face and the nearest held-out face of each sample.

A new face is about as far from training faces as from faces that the generator never saw. The nearest training face is
a little closer, because there are more of them; real faces that the generator never saw show by how much. Pictures are
compared as 8x8 color thumbnails with normalized brightness and contrast. They are also mirrored, shifted and zoomed a
little. This tolerates noise, blur, compression and other small changes; docs/background/metrics.md has measurements.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from facesmith.errors import BadData
from facesmith.io.progress import bar
from facesmith.pictures.images import Pixels

THUMBNAIL_PX = 8
SHIFT = 1 / 32  # of a picture's side, in each direction
ZOOM = 1 / 18  # of a picture's side, removed from or added to each border
BATCH_SIZE = 256
MIN_DISTANCE = 1e-3  # smaller distances count as this, so that ratios stay finite
MIN_HELD_OUT = 20  # held-out faces
MIN_HELD_OUT_GROUPS = 5  # people among them, since no face is compared with others of the same person
# Pictures that are closer than this to a training face are nearly identical. Without enough held-out faces, only they
# count as copies. On CelebA, blurred and noisy copies are up to .12 away, and none of 300 new faces is closer than .24
# to any of 1,200 others.
COPY_DISTANCE = 0.15
# Up to this share of new faces can be very similar to a training face, for example because a photo was taken twice. On
# CelebA, .6 % of 3,251 held-out faces are, and the 99 % interval of this share reaches to 1.1 %.
CHANCE_SHARE = 0.01
DEVIATIONS = 5.0  # ratios this many standard deviations below the median of new faces are copies
Z_99 = 2.58  # standard deviations that contain 99 % of a normal distribution


@dataclass(frozen=True)
class NearestFaces:
    """The nearest training face and the nearest held-out face of each of N pictures.

    Attributes:
        to_training, to_held_out: distances `[N]`, 0 to 2; more than 2 if there are no held-out faces.
        training, held_out: indices of these faces, `[N]`.
    """

    to_training: NDArray[np.float32]
    training: NDArray[np.int64]
    to_held_out: NDArray[np.float32]
    held_out: NDArray[np.int64]

    @property
    def ratio(self) -> NDArray[np.float64]:
        """Distance to the nearest training face divided by that to the nearest held-out face, `[N]`."""
        to_training = np.maximum(self.to_training, MIN_DISTANCE).astype(np.float64)
        return to_training / np.maximum(self.to_held_out, MIN_DISTANCE)

    def smallest_ratios(self, count: int) -> NDArray[np.int64]:
        """The pictures with the smallest distance ratios, the smallest first."""
        return np.argsort(self.ratio, kind="stable")[:count]


@dataclass(frozen=True)
class CopyCheck:
    """Which samples are copies, by their ratios and those of real held-out faces.

    Attributes:
        threshold: a sample with a smaller ratio counts as a copy.
        copies: bool `[N]`.
        identical: how many of these are also closer to a training face than `COPY_DISTANCE`.
        allowed: how many of N new faces may have a smaller ratio, for example because a photo was taken twice.
        conclusive: more than this many are no chance, even if the held-out faces are an unusual selection; with few
            held-out faces, far more than `allowed`.
        real_share: share of real held-out faces with a smaller ratio.
        real_identical: how many of these are also closer to a training face than `COPY_DISTANCE`.
        median, real_median: of the ratios.
    """

    threshold: float
    copies: NDArray[np.bool_]
    identical: int
    allowed: int
    conclusive: int
    real_share: float
    real_identical: int
    median: float
    real_median: float

    @property
    def has_copies(self) -> bool:
        """Whether there are more copies than can be among new faces.

        Nearly identical samples count without the margin for few held-out faces, if no held-out face is as close.
        """
        nearly_identical = self.real_identical == 0 and self.identical > self.allowed
        return nearly_identical or int(self.copies.sum()) > self.conclusive

    @property
    def unclear(self) -> bool:
        """Whether there are more copies than are usual among new faces, but too few held-out faces to be sure."""
        return not self.has_copies and int(self.copies.sum()) > self.allowed


def thumbnails(pixels: Pixels, rows: NDArray[np.int64] | None = None) -> Tensor:
    """Normalized thumbnails `[N, 64 C]` of all pictures uint8 `[N, S, S, C]`, or of some rows."""
    rows = np.arange(len(pixels)) if rows is None else rows
    starts = range(0, len(rows), BATCH_SIZE)
    return torch.cat([_thumbnails(_to_tensor(pixels[rows[i : i + BATCH_SIZE]])) for i in starts])


def nearest_faces(
    pictures: Pixels,
    training: Tensor,
    held_out: Tensor,
    description: str,
    console: Console,
    groups: NDArray[np.int64] | None = None,
) -> NearestFaces:
    """Find the nearest faces of pictures uint8 `[N, S, S, C]`.

    Args:
        training, held_out: `thumbnails` of faces with as many channels.
        description: of the pictures, for the progress bar.
        groups: `[N]`, if the pictures are the held-out faces themselves: none is compared with its own group.
    """
    faces = torch.cat([training, held_out])
    starts = range(0, len(pictures), BATCH_SIZE)
    batches: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    task = f"comparing {description} with training faces, {BATCH_SIZE} at a time"
    for start in bar(starts, len(starts), task, console):
        excluded = None
        if groups is not None:
            excluded = torch.from_numpy(groups[start : start + BATCH_SIZE, None] == groups[None])
        batch = _to_tensor(pictures[start : start + BATCH_SIZE])
        batches.append(_best_correlations(batch, faces, len(training), excluded))
    training_correlation, training_index, held_out_correlation, held_out_index = (
        torch.cat(parts).numpy() for parts in zip(*batches, strict=True)
    )
    return NearestFaces(
        _distance(training_correlation), training_index, _distance(held_out_correlation), held_out_index
    )


def too_few_held_out(groups: Sequence[str]) -> str:
    """Why held-out faces can't show how close new faces are to training faces; empty if they can.

    Args:
        groups: the person of each held-out face, or the set of its near-duplicates.
    """
    if len(groups) < MIN_HELD_OUT:
        return f"this needs at least {MIN_HELD_OUT} held-out faces, and there are {len(groups)}"
    if (people := len(set(groups))) < MIN_HELD_OUT_GROUPS:
        return f"this needs held-out faces of at least {MIN_HELD_OUT_GROUPS} people, and they show {people}"
    return ""


def check_copies(samples: NearestFaces, held_out: NearestFaces) -> CopyCheck:
    """Decide which samples are copies.

    Args:
        held_out: of held-out faces, each compared with those of other groups.

    Raises:
        BadData: there are too few held-out faces.
    """
    ratio, real = samples.ratio, held_out.ratio
    if len(real) < MIN_HELD_OUT:
        raise BadData(f"{len(real)} held-out faces are too few to detect copies; {MIN_HELD_OUT} are needed.")
    logs = np.log(real)
    # From the lower quantile, because photos that are in both splits unnoticed must not widen it.
    deviation = np.median(logs) - np.quantile(logs, 0.1587)
    threshold = float(np.exp(np.median(logs) - DEVIATIONS * deviation))
    copies, real_copies = ratio < threshold, real < threshold
    real_share = float(real_copies.mean())
    conclusive = int(len(ratio) * wilson_upper_bound(int(real_copies.sum()), len(real)))
    return CopyCheck(
        threshold=threshold,
        copies=copies,
        identical=int((copies & (samples.to_training < COPY_DISTANCE)).sum()),
        allowed=min(conclusive, largest_chance_count(len(ratio), max(real_share, CHANCE_SHARE))),
        conclusive=conclusive,
        real_share=real_share,
        real_identical=int((real_copies & (held_out.to_training < COPY_DISTANCE)).sum()),
        median=float(np.median(ratio)),
        real_median=float(np.median(real)),
    )


def largest_chance_count(count: int, share: float = CHANCE_SHARE) -> int:
    """The largest number of hits among `count` pictures that chance explains, if `share` is the probability of each."""
    return int(count * share + Z_99 * sqrt(count * share * (1 - share)))


def wilson_upper_bound(hits: int, count: int, deviations: float = Z_99) -> float:
    """The upper end of Wilson's interval for a share that was measured as `hits` of `count`."""
    share, squared = hits / count, deviations**2 / count
    half_width = deviations * sqrt(share * (1 - share) / count + squared / (4 * count))
    return (share + squared / 2 + half_width) / (1 + squared)


def _best_correlations(
    pictures: Tensor, faces: Tensor, n_training: int, excluded: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Correlation and index of the best training face and of the best held-out face, over all views of each picture.

    Args:
        pictures: `[n, C, S, S]`.
        faces: thumbnails, training faces first.
        excluded: bool `[n, held-out faces]`, faces that a picture is not compared with.
    """
    count = len(pictures)
    best, index = torch.full((count, 2), -2.0), torch.zeros((count, 2), dtype=torch.long)
    for view in _views(pictures):
        correlations = view @ faces.T  # [n, training + held-out faces]
        if excluded is not None:
            correlations[:, n_training:].masked_fill_(excluded, -2.0)
        for column, part in enumerate((correlations[:, :n_training], correlations[:, n_training:])):
            if part.shape[1] == 0:
                continue
            highest, where = part.max(1)
            better = highest > best[:, column]
            best[better, column], index[better, column] = highest[better], where[better]
    return best[:, 0], index[:, 0], best[:, 1], index[:, 1]


def _views(pictures: Tensor) -> Iterator[Tensor]:
    """Thumbnails of pictures `[n, C, S, S]`, mirrored and not, each shifted in nine ways and zoomed in and out."""
    side = pictures.shape[-1]
    shift, border = max(1, round(side * SHIFT)), max(1, round(side * ZOOM))
    for oriented in (pictures, pictures.flip(-1)):
        padded = pad(oriented, (shift,) * 4, mode="replicate")
        for top in (0, shift, 2 * shift):
            for left in (0, shift, 2 * shift):
                yield _thumbnails(padded[..., top : top + side, left : left + side])
        yield _thumbnails(oriented[..., border:-border, border:-border])
        yield _thumbnails(pad(oriented, (border,) * 4, mode="replicate"))


def _thumbnails(pictures: Tensor) -> Tensor:
    """`[n, 64 C]` of mean 0 and length 1, so that the product of two is their correlation."""
    small = adaptive_avg_pool2d(pictures, THUMBNAIL_PX).flatten(1)
    small = small - small.mean(1, keepdim=True)
    normalized: Tensor = small / small.norm(dim=1, keepdim=True).clamp_min(1e-6)
    return normalized


def _to_tensor(pixels: Pixels) -> Tensor:
    """Float `[n, C, S, S]`, 0 to 255."""
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float()


def _distance(correlation: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean distance of unit vectors, from their correlation."""
    return np.sqrt(np.maximum(0, 2 - 2 * correlation))

"""Are samples copies of training pictures? The nearest training face and the nearest held-out face of each sample.

A sample that is a new face lies as near to faces that taught the generator as to faces that it never saw, but for there
being more of the former; how much that matters is told by real faces that it never saw either. Pictures are compared as
8x8 thumbnails of their colours, brightness and contrast taken out, under mirroring, small shifts and zooms: this sees
through noise, blur, compression and other small changes. docs/background/metrics.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pad

from facesmith.errors import BadData
from facesmith.io.images import Pixels
from facesmith.io.progress import bar

THUMBNAIL_PX = 8
SHIFT = 1 / 32  # of a picture's side, each way
ZOOM = 1 / 18  # of a picture's side cut off, or added, at each border
AT_ONCE = 256
LEAST = 1e-3  # equal pictures are no nearer than this, so that ratios stay finite
MIN_HELD_OUT = 20  # held-out faces below which nothing can be said
DEVIATIONS = 5.0  # how unlikely a ratio must be among new faces, in standard deviations, to be a copy's
SURE = 2.58  # standard deviations that leave half a percent outside


@dataclass(frozen=True)
class Nearest:
    """The nearest training and held-out face of each of N pictures.

    Attributes:
        to_training, to_held_out: distances `[N]`, 0 to 2.
        training, held_out: which face it is, `[N]`.
    """

    to_training: NDArray[np.float32]
    training: NDArray[np.int64]
    to_held_out: NDArray[np.float32]
    held_out: NDArray[np.int64]

    @property
    def ratio(self) -> NDArray[np.float64]:
        """Distance to the nearest training face over that to the nearest held-out face, `[N]`."""
        return np.maximum(self.to_training, LEAST).astype(np.float64) / np.maximum(self.to_held_out, LEAST)


@dataclass(frozen=True)
class CopyAudit:
    """What the ratios say, beside those of real faces that nobody trained on.

    Attributes:
        threshold: a sample with a ratio below this is called a copy.
        copies: bool `[N]`.
        allowed: how many of so many new faces may fall below it; photos that were taken twice do.
        real_share: the share of real unseen faces that do.
        median, real_median: of the ratios.
    """

    threshold: float
    copies: NDArray[np.bool_]
    allowed: int
    real_share: float
    median: float
    real_median: float

    @property
    def found(self) -> bool:
        """Whether there are more copies than among new faces."""
        return int(self.copies.sum()) > self.allowed


def thumbnails(pixels: Pixels, rows: NDArray[np.int64] | None = None) -> Tensor:
    """What pictures are compared by, `[N, 64 C]`, of uint8 `[N, S, S, C]` or of some rows of them."""
    rows = np.arange(len(pixels)) if rows is None else rows
    return torch.cat([_thumbnails(_floats(pixels[rows[i : i + AT_ONCE]])) for i in range(0, len(rows), AT_ONCE)])


def nearest_faces(
    pictures: Pixels,
    training: Tensor,
    held_out: Tensor,
    what: str,
    console: Console,
    groups: NDArray[np.int64] | None = None,
) -> Nearest:
    """The nearest faces of pictures, uint8 `[N, S, S, C]`.

    Args:
        training, held_out: `thumbnails` of faces of the same colours.
        what: said beside the progress.
        groups: `[N]`, where the pictures are the held-out faces themselves: none is compared with its own group.
    """
    faces = torch.cat([training, held_out])
    starts = range(0, len(pictures), AT_ONCE)
    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for start in bar(starts, len(starts), f"comparing {what} with training faces, {AT_ONCE} at a time", console):
        own = None if groups is None else torch.from_numpy(groups[start : start + AT_ONCE, None] == groups[None])
        found.append(_nearest(_floats(pictures[start : start + AT_ONCE]), faces, len(training), own))
    alike, which, alike_held, which_held = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
    return Nearest(_distance(alike), which, _distance(alike_held), which_held)


def audit_copies(ratio: NDArray[np.float64], real: NDArray[np.float64]) -> CopyAudit:
    """Hold the ratios of samples against those of held-out faces, each compared with the others.

    Raises:
        BadData: there are too few held-out faces.
    """
    if len(real) < MIN_HELD_OUT:
        raise BadData(
            f"{len(real)} held-out faces are too few to tell copies from new faces; {MIN_HELD_OUT} are needed."
        )
    logs = np.log(real)
    # From the lower half of the middle: photos that stand on both sides unnoticed must not widen it.
    deviation = np.median(logs) - np.quantile(logs, 0.1587)
    threshold = float(np.exp(np.median(logs) - DEVIATIONS * deviation))
    below = real < threshold
    allowed = int(len(ratio) * wilson_upper_bound(int(below.sum()), len(real)))
    return CopyAudit(
        threshold, ratio < threshold, allowed, float(below.mean()), float(np.median(ratio)), float(np.median(real))
    )


def wilson_upper_bound(hits: int, count: int, deviations: float = SURE) -> float:
    """The upper end of Wilson's interval for a share of which `hits` of `count` were seen."""
    share, squared = hits / count, deviations**2 / count
    reach = deviations * sqrt(share * (1 - share) / count + squared / (4 * count))
    return (share + squared / 2 + reach) / (1 + squared)


def _nearest(
    pictures: Tensor, faces: Tensor, n_training: int, own: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Likeness and index of the best training face and of the best held-out face, over all views of the pictures."""
    count = len(pictures)
    alike, which = torch.full((count, 2), -2.0), torch.zeros((count, 2), dtype=torch.long)
    for view in _views(pictures):
        table = view @ faces.T  # [n, training + held out]
        if own is not None:
            table[:, n_training:].masked_fill_(own, -2.0)
        for column, part in enumerate((table[:, :n_training], table[:, n_training:])):
            now, where = part.max(1)
            better = now > alike[:, column]
            alike[better, column], which[better, column] = now[better], where[better]
    return alike[:, 0], which[:, 0], alike[:, 1], which[:, 1]


def _views(pictures: Tensor) -> Iterator[Tensor]:
    """Thumbnails of pictures `[n, C, S, S]` as they are and mirrored, each shifted nine ways and zoomed in and out."""
    side = pictures.shape[-1]
    shift, border = max(1, round(side * SHIFT)), max(1, round(side * ZOOM))
    for facing in (pictures, pictures.flip(-1)):
        padded = pad(facing, (shift,) * 4, mode="replicate")
        for top in (0, shift, 2 * shift):
            for left in (0, shift, 2 * shift):
                yield _thumbnails(padded[..., top : top + side, left : left + side])
        yield _thumbnails(facing[..., border:-border, border:-border])
        yield _thumbnails(pad(facing, (border,) * 4, mode="replicate"))


def _thumbnails(pictures: Tensor) -> Tensor:
    """`[n, 64 C]` of mean 0 and length 1, so that a product of two is their correlation."""
    small = adaptive_avg_pool2d(pictures, THUMBNAIL_PX).flatten(1)
    small = small - small.mean(1, keepdim=True)
    scaled: Tensor = small / small.norm(dim=1, keepdim=True).clamp_min(1e-6)
    return scaled


def _floats(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float()


def _distance(alike: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.sqrt(np.maximum(0, 2 - 2 * alike))

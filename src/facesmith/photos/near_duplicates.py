"""Near-duplicates: the same picture again, though saved anew, resized or slightly changed.

A perceptual hash keeps the signs of a picture's low frequencies (Zauner 2010, "Implementation and benchmarking of
perceptual image hash functions"). It is 256 bits long rather than the usual 64, because aligned faces resemble one
another in their lowest frequencies.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesmith.io.images import Pixels, as_rgb

Hashes = NDArray[np.uint64]  # [N, 4]: 256 bits each

SAMPLE_PX = 32
LOW = 16
BITS = LOW * LOW
NEAR_BITS = 32  # docs/background/data-split.md has the measurement behind this number
BLOCK = 2048  # hashes compared with as many others at once: some tens of megabytes


@cache
def _cosines() -> NDArray[np.float32]:
    """The first LOW basis vectors of the discrete cosine transform, `[LOW, SAMPLE_PX]`."""
    k, x = np.arange(LOW)[:, None], np.arange(SAMPLE_PX)[None, :]
    return np.cos(np.pi * k * (2 * x + 1) / (2 * SAMPLE_PX)).astype(np.float32)


def perceptual_hash(pixels: Pixels) -> Hashes:
    """256 bits, as uint64 `[4]`, of a picture `[H, W, C]`; alike pictures differ in few of them."""
    small = Image.fromarray(as_rgb(pixels)).convert("L").resize((SAMPLE_PX, SAMPLE_PX), Image.Resampling.BOX)
    low = _cosines() @ np.asarray(small, np.float32) @ _cosines().T
    low[0, 0] = 0.0  # brightness alone makes no difference
    return np.packbits(low.ravel() > np.median(low)).view(np.uint64)


def distance(a: Hashes, b: Hashes) -> NDArray[np.int64]:
    """How many bits differ between hashes `[..., 4]`."""
    bits: NDArray[np.int64] = np.bitwise_count(a ^ b).sum(axis=-1, dtype=np.int64)
    return bits


def near_duplicate_groups(hashes: Hashes) -> NDArray[np.int64]:
    """For each of N hashes `[N, 4]` the lowest index in its group of near-duplicates (its own where it is alone).

    Every pair is compared, by matrix products: the bits as signs make the distance of two hashes their dot product.
    """
    bits = np.unpackbits(np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, BITS // 8), axis=1)
    signs = bits.astype(np.float32) * 2 - 1  # [N, BITS]
    groups = np.arange(len(hashes), dtype=np.int64)
    for top in range(0, len(signs), BLOCK):
        # Only pairs at or after the block: the others were seen from the other side.
        for left in range(top, len(signs), BLOCK):
            alike = signs[top : top + BLOCK] @ signs[left : left + BLOCK].T >= BITS - 2 * NEAR_BITS
            i, j = np.nonzero(alike)
            _join(groups, i + top, j + left)
    return groups


def _join(groups: NDArray[np.int64], i: NDArray[np.int64], j: NDArray[np.int64]) -> None:
    """Give the members of each pair `i`, `j` one group, in place: the lowest index of all that are joined.

    Without a loop over pairs, of which there are millions where a camera took the same scene for long.
    """
    while True:
        a, b = groups[i], groups[j]
        apart = a != b
        if not apart.any():
            return
        i, j, a, b = i[apart], j[apart], a[apart], b[apart]
        np.minimum.at(groups, np.maximum(a, b), np.minimum(a, b))
        while (groups[groups] != groups).any():
            groups[:] = groups[groups]

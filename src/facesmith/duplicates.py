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

from facesmith.images import Pixels, as_rgb

Hashes = NDArray[np.uint64]  # [N, 4]: 256 bits each

SAMPLE_PX = 32
LOW = 16
BITS = LOW * LOW
NEAR_BITS = 32  # docs/faces.md has the measurement behind this number
BLOCK = 4096


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
    return np.bitwise_count(a ^ b).sum(axis=-1, dtype=np.int64)


def near_duplicate_groups(hashes: Hashes) -> NDArray[np.int64]:
    """For each of N hashes `[N, 4]` the lowest index in its group of near-duplicates (its own where it is alone).

    Every pair is compared, by matrix products: the bits as signs make the distance of two hashes their dot product.
    """
    import torch

    bits = np.unpackbits(np.ascontiguousarray(hashes).view(np.uint8).reshape(len(hashes), -1), axis=1)
    signs = torch.from_numpy(bits.astype(np.float32) * 2 - 1)  # [N, BITS]
    parents = np.arange(len(hashes), dtype=np.int64)
    for start in range(0, len(signs), BLOCK):
        # Only pairs at or after the block: the others were seen from the other side.
        alike = signs[start : start + BLOCK] @ signs[start:].T >= BITS - 2 * NEAR_BITS
        for i, j in (alike.nonzero() + start).tolist():
            if i < j:
                a, b = _root(parents, i), _root(parents, j)
                parents[max(a, b)] = min(a, b)
    return np.array([_root(parents, i) for i in range(len(parents))], dtype=np.int64)


def _root(parents: NDArray[np.int64], i: int) -> int:
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = int(parents[i])
    return i

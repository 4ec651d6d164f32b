"""Find near-duplicates: the same picture after recompression, resizing or slight changes.

A perceptual hash stores which low frequencies of a picture lie above their median (Zauner 2010, "Implementation and
benchmarking of perceptual image hash functions"). It has 256 bits instead of the usual 64, because aligned faces are
similar in their lowest frequencies.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesmith.io.images import Pixels, as_rgb

Hashes = NDArray[np.uint64]  # [N, 4]: 256 bits each

REDUCED_PX = 32  # side to which a picture is reduced before its frequencies are computed
N_FREQUENCIES = 16  # per axis
BITS = N_FREQUENCIES**2
NEAR_BITS = 32  # largest distance of near-duplicates; measured in docs/background/data-split.md
BLOCK_SIZE = 2048  # hashes per block; a pair of blocks needs some tens of megabytes


@cache
def _cosines() -> NDArray[np.float32]:
    """The first basis vectors of the discrete cosine transform, `[N_FREQUENCIES, REDUCED_PX]`."""
    k, x = np.arange(N_FREQUENCIES)[:, None], np.arange(REDUCED_PX)[None, :]
    return np.cos(np.pi * k * (2 * x + 1) / (2 * REDUCED_PX)).astype(np.float32)


def perceptual_hash(pixels: Pixels) -> Hashes:
    """The 256 bits of a picture `[H, W, C]` as uint64 `[4]`; similar pictures differ in few bits."""
    small = Image.fromarray(as_rgb(pixels)).convert("L").resize((REDUCED_PX, REDUCED_PX), Image.Resampling.BOX)
    frequencies = _cosines() @ np.asarray(small, np.float32) @ _cosines().T
    frequencies[0, 0] = 0.0  # ignore the mean brightness
    return np.packbits(frequencies.ravel() > np.median(frequencies)).view(np.uint64)


def distance(a: Hashes, b: Hashes) -> NDArray[np.int64]:
    """The number of bits that differ between hashes `[..., 4]`."""
    bits: NDArray[np.int64] = np.bitwise_count(a ^ b).sum(axis=-1, dtype=np.int64)
    return bits


def near_duplicate_groups(hashes: Hashes) -> NDArray[np.int64]:
    """For each of N hashes `[N, 4]` the lowest index in its group of near-duplicates (its own if it has none).

    Every pair is compared by matrix products: with the bits as signs, the dot product of two hashes gives their
    distance.
    """
    bits = np.unpackbits(np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, BITS // 8), axis=1)
    signs = bits.astype(np.float32) * 2 - 1  # [N, BITS]
    groups = np.arange(len(hashes), dtype=np.int64)
    for top in range(0, len(signs), BLOCK_SIZE):
        # The comparison is symmetric, so blocks to the left of the diagonal are done already.
        for left in range(top, len(signs), BLOCK_SIZE):
            is_near = signs[top : top + BLOCK_SIZE] @ signs[left : left + BLOCK_SIZE].T >= BITS - 2 * NEAR_BITS
            i, j = np.nonzero(is_near)
            _merge(groups, i + top, j + left)
    return groups


def _merge(groups: NDArray[np.int64], i: NDArray[np.int64], j: NDArray[np.int64]) -> None:
    """Merge the groups of each pair `i`, `j`, in place; a group is named by its lowest index.

    There is no Python loop over pairs: a camera that filmed one scene gives millions of them.
    """
    while True:
        a, b = groups[i], groups[j]
        differ = a != b
        if not differ.any():
            return
        i, j, a, b = i[differ], j[differ], a[differ], b[differ]
        np.minimum.at(groups, np.maximum(a, b), np.minimum(a, b))
        while (groups[groups] != groups).any():
            groups[:] = groups[groups]


class HashIndex:
    """The perceptual hashes of the faces kept so far; 32 bytes per face."""

    def __init__(self) -> None:
        self._hashes: Hashes = np.empty((1024, 4), np.uint64)
        self._count = 0

    def find(self, query: Hashes) -> int | None:
        """The number of the first face that is a near-duplicate of hash `[4]`, or None."""
        matches = np.flatnonzero(distance(self._hashes[: self._count], query) <= NEAR_BITS)
        return int(matches[0]) if len(matches) else None

    def add(self, new: Hashes) -> int:
        """Add the hash `[4]` of a face; returns the number of the face, counted from 0."""
        if self._count == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._hashes[self._count] = new
        self._count += 1
        return self._count - 1

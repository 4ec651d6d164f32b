"""From a key to patterns: which frequencies each pattern consists of, with which signs, and its offset."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

PUBLIC_KEY = "facesmith"  # fixed and public, so that anyone can detect the watermark
FRAME_PX = 64  # a frame is resized to this size before it is measured
BLOCK_PX = 8
BLOCKS = FRAME_PX // BLOCK_PX  # along each side
# Sides of frames in pixels: at which faces are drawn, and enlargements of these.
SIDES = (64, 128, 256, 192, 96, 512, 384, 320, 1024, 768, 640, 32, 36, 48, 144, 72)
STEP = 31.0  # gray levels; the strength of each pattern becomes a multiple of it, plus the offset
# The frequencies (vertical, horizontal) of a block's DCT that carry the watermark, from 0.9 to 3.1 half periods per
# block: JPEG at quality 75 keeps them, and faces have less power there than below.
FREQUENCIES = ((0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2), (3, 0))
PATTERNS = 2  # in each block
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Patterns:
    """The patterns of a key.

    Attributes:
        weights: `[BLOCKS**2, PATTERNS, len(FREQUENCIES)]`. Patterns of a block have no frequency in common, and the sum
            of their squared weights is 1.
        offsets: `[BLOCKS**2, PATTERNS]`, shares of `STEP` from 0 to 1, uniformly random.
    """

    weights: Floats
    offsets: Floats


@lru_cache(maxsize=8)
def patterns_of(key: str) -> Patterns:
    """Return the patterns of a key; another key has patterns that are independent of these."""
    numbers = _RandomNumbers(key)
    blocks = BLOCKS**2
    weights = np.zeros((blocks, PATTERNS, len(FREQUENCIES)), np.float32)
    offsets = np.empty((blocks, PATTERNS), np.float32)
    size = len(FREQUENCIES) // PATTERNS
    for block in range(blocks):
        order = sorted(range(len(FREQUENCIES)), key=lambda _: numbers.next())
        for pattern in range(PATTERNS):
            offsets[block, pattern] = numbers.next()
            for frequency in order[pattern * size : (pattern + 1) * size]:
                sign = 1 if numbers.next() < 0.5 else -1
                weights[block, pattern, frequency] = sign / np.sqrt(size)
    return Patterns(weights, offsets)


def joint_patterns(keys: Sequence[str]) -> Patterns:
    """The patterns of several keys together; those of different keys may have frequencies in common."""
    each = [patterns_of(key) for key in keys]
    return Patterns(
        np.concatenate([patterns.weights for patterns in each], axis=1),
        np.concatenate([patterns.offsets for patterns in each], axis=1),
    )


def block_basis() -> Floats:
    """The orthonormal DCT functions of `FREQUENCIES` as pictures, `[len(FREQUENCIES), BLOCK_PX, BLOCK_PX]`."""
    waves = dct_matrix(BLOCK_PX)
    return np.stack([np.outer(waves[i], waves[j]) for i, j in FREQUENCIES])


def dct_matrix(size: int) -> Floats:
    """The orthonormal DCT-II as a matrix `[size, size]`: one frequency per row."""
    positions = np.arange(size)
    matrix = np.cos(np.pi * (positions + 0.5) * positions[:, None] / size) * np.sqrt(2 / size)
    matrix[0] = np.sqrt(1 / size)
    converted: Floats = matrix.astype(np.float32)
    return converted


class _RandomNumbers:
    """Random numbers in [0, 1) that follow from a key: SHA-256 of the key and a counter, 32 bits at a time.

    They don't depend on a version of NumPy, and other languages can compute them.
    """

    def __init__(self, key: str) -> None:
        self._key, self._count = key, 0

    def next(self) -> float:
        digest = hashlib.sha256(f"{self._key}:{self._count}".encode()).digest()
        self._count += 1
        return int.from_bytes(digest[:4], "big") / 2**32

"""Find near-duplicates: the same picture after recompression, resizing or slight changes.

A perceptual hash stores which low frequencies of a picture lie above their median (Zauner 2010, "Implementation and
benchmarking of perceptual image hash functions"). It has 256 bits instead of the usual 64, because aligned faces are
similar in their lowest frequencies.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesmith.pictures.images import Pixels, as_rgb

Hashes = NDArray[np.uint64]  # [N, 4]: 256 bits each

REDUCED_PX = 32  # side to which a picture is reduced before its frequencies are computed
N_FREQUENCIES = 16  # per axis
BITS = N_FREQUENCIES**2
NEAR_BITS = 32  # largest distance of near-duplicates; measured in docs/background/data-split.md
BLOCK_SIZE = 2048  # hashes per block; a pair of blocks needs some tens of megabytes
MAX_COMPARED = 2**18  # of this many hashes, all pairs are compared; that takes minutes
TABLES, TABLE_BITS = 64, 28
BUCKET_STEPS = 16  # partners of each hash in a bucket
CHUNK = 2**20  # pairs that are compared at a time


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
    """For each of N hashes `[N, 4]` the lowest index in its group of near-duplicates (its own if it has none)."""
    groups = np.arange(len(hashes), dtype=np.int64)
    for i, j in _near_pairs(hashes):
        _merge(groups, i, j)
    return groups


def first_near_duplicates(hashes: Hashes) -> NDArray[np.int64]:
    """For each of N hashes `[N, 4]` the first earlier one that is kept and near, or -1 if it is kept itself.

    As `HashIndex` does face by face, it keeps what is not near an earlier kept one.
    """
    none = len(hashes)
    originals = np.full(none, none, dtype=np.int64)
    for i, j in _near_pairs(hashes):
        earlier = i < j
        if not earlier.any():
            continue
        i, j = i[earlier], j[earlier]
        if i.max() < j.min():  # it is known already which of `i` are kept
            kept = originals[i] == none
            np.minimum.at(originals, j[kept], i[kept])
            continue
        order = np.lexsort((i, j))
        for first, second in zip(i[order].tolist(), j[order].tolist(), strict=True):
            if originals[first] == none and first < originals[second]:
                originals[second] = first
    return np.where(originals == none, -1, originals)


def _near_pairs(hashes: Hashes) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of hashes `[N, 4]` that are near-duplicates, as arrays of indices `i <= j`.

    All pairs with a `j` below that of a block come before the block.
    """
    if len(hashes) > MAX_COMPARED:
        yield _colliding_pairs(hashes)
        return
    # With the bits as signs, the dot product of two hashes gives their distance.
    bits = np.unpackbits(np.ascontiguousarray(hashes).view(np.uint8).reshape(-1, BITS // 8), axis=1)
    signs = bits.astype(np.float32) * 2 - 1  # [N, BITS]
    for left in range(0, len(signs), BLOCK_SIZE):
        for top in range(0, left + 1, BLOCK_SIZE):
            is_near = signs[top : top + BLOCK_SIZE] @ signs[left : left + BLOCK_SIZE].T >= BITS - 2 * NEAR_BITS
            i, j = np.nonzero(is_near)
            upper = i + top <= j + left
            yield i[upper] + top, j[upper] + left


def _colliding_pairs(hashes: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Near pairs among too many hashes `[N, 4]` to compare all pairs; time and memory grow with N.

    Each table compares hashes that agree in the same random bits. One table finds a pair that differs in d of 256 bits
    with probability (1 - d / 256) ** TABLE_BITS; all tables find 99.9 % of pairs with 20 different bits, 79 % with 32.

    Source: Indyk and Motwani 1998, "Approximate nearest neighbors: towards removing the curse of dimensionality".
    """
    rng = np.random.default_rng(0)
    pairs = np.empty(0, np.int64)  # i * N + j
    for _ in range(TABLES):
        chosen = np.zeros(BITS, np.uint8)
        chosen[rng.choice(BITS, TABLE_BITS, replace=False)] = 1
        mask = np.packbits(chosen).view(np.uint64)
        factors = rng.integers(0, 2**63, 4, np.uint64) * np.uint64(2) + np.uint64(1)
        keys = np.zeros(len(hashes), np.uint64)
        for word in range(4):
            keys ^= (hashes[:, word] & mask[word]) * factors[word]
            keys ^= keys >> np.uint64(29)
        order = np.argsort(keys, kind="stable")
        found = [pairs]
        for first, second in _bucket_pairs(keys[order]):
            i, j = order[first], order[second]
            near = distance(hashes[i], hashes[j]) <= NEAR_BITS
            found.append(i[near] * len(hashes) + j[near])
        pairs = np.sort(np.concatenate(found))
        pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # faster than np.unique
    i, j = np.divmod(pairs, max(1, len(hashes)))
    return i, j


def _bucket_pairs(keys: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs of positions with equal keys, which are sorted. In large buckets, each position has only some partners.

    These are the next few, and the first of the bucket: of a long film with one face, only the first is kept.
    """
    starts_bucket = np.concatenate(([True], keys[1:] != keys[:-1]))
    inside = np.flatnonzero(~starts_bucket)
    firsts = np.flatnonzero(starts_bucket)[np.cumsum(starts_bucket)[inside] - 1]
    for step in range(BUCKET_STEPS):
        # At first each position with the first one of its bucket, then with the one before, and so on.
        before = firsts if step == 0 else inside - step
        chosen = slice(None) if step == 0 else before > firsts
        first, second = before[chosen], inside[chosen]
        for start in range(0, len(first), CHUNK):
            yield first[start : start + CHUNK], second[start : start + CHUNK]


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

"""Embed the watermark: change faces slightly, so that each pattern's strength gets near a multiple of a step.

Two choices make the change hard to see for people and for the networks that compare faces. It goes only a part of the
way to the multiple (distortion compensation; Chen and Wornell 2001). And of all changes that do so, it is the smallest
in units of how much faces vary: more in low frequencies, in which faces differ, than in high ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from facesmith.pictures.images import Pixels
from facesmith.watermark.key import (
    BLOCK_PX,
    BLOCKS,
    FRAME_PX,
    PATTERNS,
    PUBLIC_KEY,
    STEP,
    Floats,
    Patterns,
    block_basis,
    dct_matrix,
    joint_patterns,
)
from facesmith.watermark.measure import frame_of, strengths

WAY = 0.65  # the part of the way to the nearest multiple
HALF_POWER = 8.0  # the frequency, in half periods per frame, at which the power of faces is half of that at 0
DAMPING = 0.05  # of nearly parallel patterns of two keys, which would need large changes
MIN_SIDE_PX = 32  # smaller faces can't contain the patterns' frequencies
ROUNDS, ROUNDS_WITH_OWN_KEY = 3, 6  # rounding and clipping to uint8 disturb the patterns, so the rest is corrected


def watermarked(faces: Pixels, keys: Sequence[str] = (PUBLIC_KEY,), opacity: Floats | None = None) -> Pixels:
    """Return faces uint8 `[N, S, S, C]` with the watermark; each face by itself, whatever the others are.

    The change is about 1.3 gray levels (root mean square): a peak signal-to-noise ratio of about 45.7 dB. Faces of less
    than 32 px are returned unchanged.

    Args:
        keys: each of them finds the watermark. A second key makes the change about 1.6 times as large.
        opacity: 0 to 1, `[S, S]`: how much each pixel may be changed; by default fully.
    """
    if not len(faces) or faces.shape[1] < MIN_SIDE_PX:
        return faces
    patterns, changes, side = joint_patterns(keys), unit_changes(tuple(keys)), faces.shape[1]
    strength = strengths(frame_of(faces), patterns)
    nearest = STEP * (np.rint(strength / STEP - patterns.offsets) + patterns.offsets)
    wanted = strength + np.float32(WAY) * (nearest - strength)
    marked, change = faces, np.zeros((len(faces), FRAME_PX, FRAME_PX), np.float32)
    for _ in range(ROUNDS if len(keys) == 1 else ROUNDS_WITH_OWN_KEY):
        missing = wanted - strengths(frame_of(marked), patterns)
        change += np.tensordot(missing.reshape(len(faces), -1), changes, 1)
        added = _resized_smoothly(change, side) if opacity is None else _resized_smoothly(change, side) * opacity
        marked = np.rint(faces + added[..., None]).clip(0, 255).astype(np.uint8)
    return marked


@lru_cache(maxsize=4)
def unit_changes(keys: tuple[str, ...]) -> Floats:
    """For each pattern, what to add to a frame so that its strength grows by 1, and hardly any other's.

    Returns:
        `[len(keys) * BLOCKS**2 * PATTERNS, FRAME_PX, FRAME_PX]`, in the order of `joint_patterns`.
    """
    smooth = _smoothed(_pictures(joint_patterns(keys)))
    changes: Floats = (inverse_products(keys) @ smooth.reshape(len(smooth), -1)).reshape(smooth.shape)
    return changes


def inverse_products(keys: tuple[str, ...]) -> Floats:
    """The inverse of the matrix of products of patterns with smoothed patterns, `[patterns, patterns]`."""
    patterns = joint_patterns(keys)
    pictures = _pictures(patterns)
    products = np.tensordot(pictures, _smoothed(pictures), ((1, 2), (1, 2)))
    if patterns.weights.shape[1] > PATTERNS:
        products += DAMPING * np.diag(products).mean() * np.eye(len(products), dtype=np.float32)
    return np.linalg.inv(products).astype(np.float32)


def _smoothed(frames: Floats) -> Floats:
    """Frames `[..., FRAME_PX, FRAME_PX]` whose frequencies are weighted with the power that faces have there."""
    dct, squares = dct_matrix(FRAME_PX), np.arange(FRAME_PX, dtype=np.float32) ** 2
    power = np.asarray(1 / (1 + (squares[:, None] + squares) / HALF_POWER**2), np.float32)
    return np.asarray(dct.T @ (power * (dct @ frames @ dct.T)) @ dct, np.float32)


def _pictures(patterns: Patterns) -> Floats:
    """Each pattern as a frame, `[patterns, FRAME_PX, FRAME_PX]`."""
    blocks, count, _ = patterns.weights.shape
    frames = np.zeros((blocks, count, BLOCKS, BLOCK_PX, BLOCKS, BLOCK_PX), np.float32)
    parts = (patterns.weights @ block_basis().reshape(-1, BLOCK_PX**2)).reshape(blocks, count, BLOCK_PX, BLOCK_PX)
    for block in range(blocks):
        frames[block, :, block // BLOCKS, :, block % BLOCKS] = parts[block]
    return frames.reshape(blocks * count, FRAME_PX, FRAME_PX)


def _resized_smoothly(frames: Floats, side: int) -> Floats:
    """Frames resized to `[N, side, side]` without new frequencies: by their DCT, padded with zeros or cut."""
    if side == FRAME_PX:
        return frames
    kept = min(side, FRAME_PX)
    forward, backward = dct_matrix(FRAME_PX)[:kept], dct_matrix(side)[:kept].T
    resize = backward @ forward * np.float32(np.sqrt(side / FRAME_PX))
    return resize @ frames @ resize.T

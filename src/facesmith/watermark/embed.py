"""Embed the watermark: change faces slightly, so that each pattern's strength becomes a multiple of a step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facesmith.io.images import Pixels
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

DAMPING = 0.05  # of nearly parallel patterns of two keys, which would need large changes
MIN_SIDE_PX = 32  # smaller faces can't contain the patterns' frequencies
ROUNDS, ROUNDS_WITH_OWN_KEY = 3, 6  # rounding and clipping to uint8 disturb the patterns, so the rest is corrected


def watermarked(faces: Pixels, keys: Sequence[str] = (PUBLIC_KEY,), opacity: Floats | None = None) -> Pixels:
    """Return faces uint8 `[N, S, S, C]` with the watermark; each face by itself, whatever the others are.

    The change is about 1.7 gray levels (root mean square): a peak signal-to-noise ratio of about 44 dB. Faces of less
    than 32 px are returned unchanged.

    Args:
        keys: each of them finds the watermark. A second key makes the change about 1.6 times as large.
        opacity: 0 to 1, `[S, S]`: how much each pixel may be changed; by default fully.
    """
    if not len(faces) or faces.shape[1] < MIN_SIDE_PX:
        return faces
    patterns, side = joint_patterns(keys), faces.shape[1]
    marked, change = faces, np.zeros((len(faces), FRAME_PX, FRAME_PX), np.float32)
    for _ in range(ROUNDS if len(keys) == 1 else ROUNDS_WITH_OWN_KEY):
        strength = strengths(frame_of(marked), patterns)
        nearest = STEP * (np.rint(strength / STEP - patterns.offsets) + patterns.offsets)
        change += _picture_of(nearest - strength, patterns)
        added = _resized_smoothly(change, side) if opacity is None else _resized_smoothly(change, side) * opacity
        marked = np.rint(faces + added[..., None]).clip(0, 255).astype(np.uint8)
    return marked


def _picture_of(strength: Floats, patterns: Patterns) -> Floats:
    """The frames `[N, FRAME_PX, FRAME_PX]` in which patterns have these strengths, and nothing else."""
    coefficients = np.einsum("nbp,bpf->nbf", strength, _duals(patterns.weights))
    blocks = (coefficients @ block_basis().reshape(-1, BLOCK_PX**2)).reshape(-1, BLOCKS, BLOCKS, BLOCK_PX, BLOCK_PX)
    frames: Floats = blocks.transpose(0, 1, 3, 2, 4).reshape(-1, FRAME_PX, FRAME_PX)
    return frames


def _duals(weights: Floats) -> Floats:
    """What to add to a block so that one pattern's strength grows by 1, and hardly any other's, `[B, P, F]`.

    For a single key these are the patterns themselves, since they have no frequency in common.
    """
    if weights.shape[1] <= PATTERNS:
        return weights
    products = weights @ weights.transpose(0, 2, 1)  # [B, P, P]
    damped: Floats = np.linalg.solve(products + DAMPING * np.eye(len(products[0]), dtype=np.float32), weights)
    return damped


def _resized_smoothly(frames: Floats, side: int) -> Floats:
    """Frames resized to `[N, side, side]` without new frequencies: by their DCT, padded with zeros or cut."""
    if side == FRAME_PX:
        return frames
    kept = min(side, FRAME_PX)
    forward, backward = dct_matrix(FRAME_PX)[:kept], dct_matrix(side)[:kept].T
    resize = backward @ forward * np.float32(np.sqrt(side / FRAME_PX))
    return resize @ frames @ resize.T

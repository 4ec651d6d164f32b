"""How well a frame fits a key: a score, and an upper bound of the probability that chance reaches it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from facesmith.pictures.images import Pixels
from facesmith.watermark.key import BLOCK_PX, BLOCKS, FRAME_PX, STEP, Floats, Patterns, block_basis

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as in JPEG
# Pictures whose contrast was changed are measured as if each of these factors had been applied to them.
CONTRASTS = (1.0, 0.8, 0.85, 0.9, 0.95, 1.05, 1.1, 1.15, 1.2, 1.25)


def luma(pixels: Pixels) -> Floats:
    """The brightness of uint8 `[..., H, W, C]`, float32 `[..., H, W]`, 0-255."""
    if pixels.shape[-1] == 1:
        return pixels[..., 0].astype(np.float32)
    brightness: Floats = pixels[..., :3].astype(np.float32) @ LUMA
    return brightness


def resized(
    brightness: Floats, height: int, width: int, box: tuple[float, float, float, float] | None = None
) -> Floats:
    """Brightness `[H, W]`, resized to `[height, width]`.

    Args:
        box: left, top, right, bottom of the part to use, in pixels; by default all.
    """
    if box is None and brightness.shape == (height, width):
        return brightness
    picture = Image.fromarray(brightness).resize((width, height), Image.Resampling.LANCZOS, box=box)
    return np.asarray(picture)


def strengths(frames: Floats, patterns: Patterns) -> Floats:
    """The strength of each pattern in frames `[N, FRAME_PX, FRAME_PX]`, `[N, BLOCKS**2, PATTERNS]`, in gray levels."""
    blocks = frames.reshape(-1, BLOCKS, BLOCK_PX, BLOCKS, BLOCK_PX).transpose(0, 1, 3, 2, 4)
    blocks = blocks.reshape(len(frames), BLOCKS**2, BLOCK_PX**2)
    coefficients = blocks @ block_basis().reshape(-1, BLOCK_PX**2).T
    measured: Floats = np.einsum("nbf,bpf->nbp", coefficients, patterns.weights)
    return measured


def score(strength: Floats, patterns: Patterns, weights: Floats | None = None) -> float:
    """The score of a frame's strengths `[BLOCKS**2, PATTERNS]`: about normal (0, 1) by chance, at most 16.

    It is the largest of the scores for `CONTRASTS`.

    Args:
        weights: of the blocks, `[BLOCKS**2]`, such as `unclipped_shares`; by default all are equal.
    """
    weights = np.ones(len(strength), np.float32) if weights is None else weights
    waves = [np.cos(2 * np.pi * (strength / (STEP * each) - patterns.offsets)).sum(1) @ weights for each in CONTRASTS]
    return float(max(waves) * np.sqrt(2 / max(1e-6, patterns.offsets.shape[1] * np.square(weights).sum())))


def unclipped_shares(pixels: Pixels) -> Floats:
    """The share of each block `[BLOCKS**2]` of a whole picture, uint8 `[H, W, C]`, that is neither black nor white.

    If a picture was made brighter, some of its pixels were limited to 255, and their watermark is lost.
    """
    clipped = ((pixels[..., :3] == 0) | (pixels[..., :3] == 255)).any(-1).astype(np.float32)
    frame = resized(clipped, FRAME_PX, FRAME_PX).reshape(BLOCKS, BLOCK_PX, BLOCKS, BLOCK_PX)
    shares: Floats = 1 - frame.mean((1, 3)).clip(0, 1).ravel()
    return shares


def chance_bound(score: float, tries: float) -> float:
    """The probability that the largest of `tries` scores reaches `score` in a picture without this watermark.

    It is an upper bound, over random keys, for any picture: given the picture, the offsets are independent and uniform,
    so each cosine is sub-Gaussian with variance factor 1/2 (its moment generating function is the Bessel function
    I0(t) <= exp(t**2 / 4)), and P(score >= z) <= exp(-z**2 / 2) for each try. Weights that follow from the picture
    alone change nothing about that.
    """
    return min(1.0, tries * float(np.exp(-(max(score, 0.0) ** 2) / 2)))


def frame_of(pixels: Pixels) -> Floats:
    """Square faces uint8 `[N, S, S, C]` as frames `[N, FRAME_PX, FRAME_PX]`."""
    brightness = luma(pixels)
    return np.stack([resized(each, FRAME_PX, FRAME_PX) for each in brightness])

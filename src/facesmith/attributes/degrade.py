"""What makes a real picture like a generated one: softer, noisier, blotched, framed and lit a little otherwise.

A classifier that has seen sharp faces alone goes by details that generators lose first, and calls soft faces men, for
want of lashes (docs/research/recipes-compared.md). Random numbers come from torch's global generator.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

SHARPEST, SOFTEST = 0.9, 0.3  # of the size, to which pictures are brought and back
NOISE, BLOTCHES = 0.06, 0.12  # standard deviations, in the range of 2
BLOTCH_PX = 8
SHIFT, ZOOM, TURN_DEGREES = 0.06, 0.08, 7.0
LIGHT, CONTRAST, TINT = 0.2, 0.2, 0.08
PARTS = 4  # of a batch, each degraded in its own way
SPARED = 0.35  # share of the pictures that stay as sharp as they are


def degrade(pictures: Tensor) -> Tensor:
    """Pictures `[N, 3, H, W]` in `[-1, 1]`, each changed by chance; gradients pass through."""
    framed = _framed(pictures)
    parts = [_blurred(part) for part in framed.chunk(PARTS)]
    soft = torch.cat(parts)
    spared = (torch.rand(len(soft), 1, 1, 1) < SPARED).to(soft.dtype)
    soft = soft.lerp(framed, spared)
    return _lit(soft) + (1 - spared) * _dirt(soft)


def degrade_seeded(pictures: Tensor, seed: int) -> Tensor:
    """Pictures `[N, C, H, W]` blurred, lit and noisy, but not moved: by the same chance for a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pictures = pictures.expand(-1, 3, -1, -1)
        return _lit(_blurred(pictures)) + _dirt(pictures)


def _framed(pictures: Tensor) -> Tensor:
    """Shifted, scaled, turned and mirrored."""
    count = len(pictures)
    angle = _even(count) * math.radians(TURN_DEGREES)
    zoom, mirror = 1 + ZOOM * _even(count), torch.rand(count).round() * 2 - 1
    rows = [
        torch.stack([zoom * angle.cos() * mirror, -zoom * angle.sin(), SHIFT * _even(count)], 1),
        torch.stack([zoom * angle.sin() * mirror, zoom * angle.cos(), SHIFT * _even(count)], 1),
    ]
    grid = affine_grid(torch.stack(rows, 1), list(pictures.shape), align_corners=False)
    return grid_sample(pictures, grid.to(pictures.dtype), padding_mode="border", align_corners=False)


def _blurred(pictures: Tensor) -> Tensor:
    """All made smaller by the same chance, and back."""
    size = pictures.shape[-1]
    small = max(4, round(size * (SOFTEST + (SHARPEST - SOFTEST) * float(torch.rand(())))))
    smaller = interpolate(pictures, size=(small, small), mode="bilinear", antialias=True)
    return interpolate(smaller, size=(size, size), mode="bilinear")


def _lit(pictures: Tensor) -> Tensor:
    """Lighter or darker, with more or less contrast, and tinted."""
    count = len(pictures)
    contrast = (1 + CONTRAST * _even(count)).view(-1, 1, 1, 1)
    tint = LIGHT * _even(count).view(-1, 1, 1, 1) + TINT * (torch.rand(count, 3, 1, 1) * 2 - 1)
    return pictures * contrast + tint


def _dirt(pictures: Tensor) -> Tensor:
    """Noise of single pixels, and of blotches as large as generators leave, each as strong as chance has it."""
    count, _, height, width = pictures.shape
    small = torch.randn(count, 3, -(-height // BLOTCH_PX), -(-width // BLOTCH_PX))
    blotches = interpolate(small, size=(height, width), mode="bilinear")
    strength = torch.rand(2, count, 1, 1, 1)
    dirt: Tensor = NOISE * strength[0] * torch.randn(pictures.shape) + BLOTCHES * strength[1] * blotches
    return dirt


def _even(count: int) -> Tensor:
    """`[count]` between -1 and 1."""
    return torch.rand(count) * 2 - 1

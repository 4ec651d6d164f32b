"""Random degradation that makes real pictures resemble generated ones: blur, noise, framing and light.

A classifier trained on sharp faces only relies on fine details, which generators lose first: it calls soft faces male,
because they lack lashes. Random numbers come from torch's global generator.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

MAX_SCALE, MIN_SCALE = 0.9, 0.3  # blur: pictures are reduced to this share of their size, then enlarged again
NOISE, BLOTCHES = 0.06, 0.12  # largest standard deviations, in the range [-1, 1]
BLOTCH_PX = 8
SHIFT, ZOOM, ROTATION_DEGREES = 0.06, 0.08, 7.0
BRIGHTNESS, CONTRAST, TINT = 0.2, 0.2, 0.08
BLUR_GROUPS = 4  # a batch is divided into groups, each blurred by its own amount
SHARP_SHARE = 0.35  # share of the pictures that are not blurred


def degrade(pictures: Tensor) -> Tensor:
    """Pictures `[N, 3, H, W]` in `[-1, 1]` with random framing, blur, light and noise. Differentiable."""
    framed = _reframed(pictures)
    blurred = torch.cat([_blurred(group) for group in framed.chunk(BLUR_GROUPS)])
    is_sharp = (torch.rand(len(blurred), 1, 1, 1) < SHARP_SHARE).to(blurred.dtype)
    blurred = blurred.lerp(framed, is_sharp)
    return _relit(blurred) + (1 - is_sharp) * _noise(blurred)


def degrade_seeded(pictures: Tensor, seed: int) -> Tensor:
    """Pictures `[N, C, H, W]` with blur, light and noise that depend on the seed; the framing stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pictures = pictures.expand(-1, 3, -1, -1)
        return _relit(_blurred(pictures)) + _noise(pictures)


def _reframed(pictures: Tensor) -> Tensor:
    """Shifted, scaled, rotated and mirrored."""
    count = len(pictures)
    angle = _uniform(count) * math.radians(ROTATION_DEGREES)
    zoom, mirror = 1 + ZOOM * _uniform(count), torch.rand(count).round() * 2 - 1
    rows = [
        torch.stack([zoom * angle.cos() * mirror, -zoom * angle.sin(), SHIFT * _uniform(count)], 1),
        torch.stack([zoom * angle.sin() * mirror, zoom * angle.cos(), SHIFT * _uniform(count)], 1),
    ]
    grid = affine_grid(torch.stack(rows, 1), list(pictures.shape), align_corners=False)
    return grid_sample(pictures, grid.to(pictures.dtype), padding_mode="border", align_corners=False)


def _blurred(pictures: Tensor) -> Tensor:
    """Reduced by one random factor for all pictures, and enlarged again."""
    size = pictures.shape[-1]
    small = max(4, round(size * (MIN_SCALE + (MAX_SCALE - MIN_SCALE) * float(torch.rand(())))))
    smaller = interpolate(pictures, size=(small, small), mode="bilinear", antialias=True)
    return interpolate(smaller, size=(size, size), mode="bilinear")


def _relit(pictures: Tensor) -> Tensor:
    """With random brightness, contrast and tint."""
    count = len(pictures)
    contrast = (1 + CONTRAST * _uniform(count)).view(-1, 1, 1, 1)
    tint = BRIGHTNESS * _uniform(count).view(-1, 1, 1, 1) + TINT * (torch.rand(count, 3, 1, 1) * 2 - 1)
    return pictures * contrast + tint


def _noise(pictures: Tensor) -> Tensor:
    """Pixel noise and blotches, as generators leave them, of random strength per picture: `[N, 3, H, W]`."""
    count, _, height, width = pictures.shape
    small = torch.randn(count, 3, -(-height // BLOTCH_PX), -(-width // BLOTCH_PX))
    blotches = interpolate(small, size=(height, width), mode="bilinear")
    strength = torch.rand(2, count, 1, 1, 1)
    noise: Tensor = NOISE * strength[0] * torch.randn(pictures.shape) + BLOTCHES * strength[1] * blotches
    return noise


def _uniform(count: int) -> Tensor:
    """Random numbers `[count]` between -1 and 1."""
    return torch.rand(count) * 2 - 1

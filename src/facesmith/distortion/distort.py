"""Distort real faces at random, in the ways in which generators fail: examples for the distortion scorer.

A network that is trained to separate real faces from samples recognizes a generator's texture, not its failures. A
network that is trained on these distortions sees no sample at all, so it works for every generator. All distortions
keep the texture of the photo. Random numbers come from torch's global generator.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

SMALL_PX = 9  # side to which a part of the face is reduced, so that its features disappear
SECOND_WARP_SHARE = 0.5  # share of the pictures that are also warped a little
SMEAR_STEPS = 7
MIN_RADIUS, MAX_RADIUS = 0.15, 0.5  # of a part of the face, in half sides of the picture
MAX_CENTER = 0.6  # a part's largest distance from the center along each axis, in half sides
# Grids of random shifts: nodes per side, smallest and largest standard deviation of the shifts, in half sides.
WARPS = ((5, 0.05, 0.16), (3, 0.10, 0.26), (8, 0.03, 0.09))
SECOND_WARP = (5, 0.03, 0.10)


def distort(pictures: Tensor) -> Tensor:
    """Pictures `[N, 3, S, S]` in `[-1, 1]`, each with one kind of distortion and half of them warped as well.

    The kinds: three warps from coarse to fine, half of the face from another picture, a part from another picture, a
    part of low resolution, a smeared part, a part from another place, and a part covered by one color.
    """
    other = _with_colors_of(pictures[torch.randperm(len(pictures))], pictures)
    part = _parts(pictures)
    kinds = [
        *(_warped(pictures, *warp) for warp in WARPS),
        pictures.lerp(other, _halves(pictures)),
        pictures.lerp(_shifted(other, 0.2), part),
        pictures.lerp(_reduced(pictures), part),
        pictures.lerp(_smeared(pictures), (1.5 * part).clamp(max=1)),
        pictures.lerp(_shifted(pictures, 0.3), part),
        pictures.lerp(_one_color(pictures), part * _random(pictures, 0.4, 1)),
    ]
    chosen = torch.randint(0, len(kinds), (len(pictures),))
    distorted = torch.stack(kinds)[chosen, torch.arange(len(pictures))]
    warped_as_well = _random(pictures, 0, 1) < SECOND_WARP_SHARE
    return torch.where(warped_as_well, _warped(distorted, *SECOND_WARP), distorted)


def _warped(pictures: Tensor, nodes: int, low: float, high: float) -> Tensor:
    """Every point shifted, smoothly from point to point."""
    shifts = torch.randn(len(pictures), 2, nodes, nodes) * _random(pictures, low, high)
    smooth = interpolate(shifts, size=pictures.shape[2:], mode="bicubic")
    return _sampled(pictures, smooth.permute(0, 2, 3, 1))


def _shifted(pictures: Tensor, largest: float) -> Tensor:
    """Moved as a whole, by at most this many half sides along each axis."""
    return _sampled(pictures, (torch.rand(len(pictures), 1, 1, 2) * 2 - 1) * largest)


def _smeared(pictures: Tensor) -> Tensor:
    """Blurred along one random direction."""
    angle, length = _random(pictures, 0, 2 * math.pi).view(-1), _random(pictures, 0.05, 0.15).view(-1)
    step = torch.stack([angle.cos() * length, angle.sin() * length], 1)[:, None, None]
    return torch.stack([_sampled(pictures, step * t) for t in torch.linspace(-1, 1, SMEAR_STEPS)]).mean(0)


def _reduced(pictures: Tensor) -> Tensor:
    """Reduced to a few pixels, and enlarged again."""
    small = interpolate(pictures, size=(SMALL_PX, SMALL_PX), mode="bilinear", antialias=True)
    return interpolate(small, size=pictures.shape[2:], mode="bilinear")


def _one_color(pictures: Tensor) -> Tensor:
    """One color that is near the picture's mean."""
    count = len(pictures)
    color = pictures.mean((2, 3), keepdim=True) + 0.15 * torch.randn(count, 3, 1, 1) + 0.5 * torch.randn(count, 1, 1, 1)
    return color.clamp(-1, 1).expand_as(pictures)


def _with_colors_of(pictures: Tensor, references: Tensor) -> Tensor:
    """Pictures with the mean and standard deviation per channel that the references have."""
    std, mean = torch.std_mean(pictures, (2, 3), keepdim=True)
    reference_std, reference_mean = torch.std_mean(references, (2, 3), keepdim=True)
    return (pictures - mean) / (std + 0.02) * reference_std + reference_mean


def _parts(pictures: Tensor) -> Tensor:
    """Soft masks `[N, 1, S, S]` of an ellipse somewhere in the face."""
    x, y = _coordinates(pictures)
    across = (x - _random(pictures, -MAX_CENTER, MAX_CENTER)) / _random(pictures, MIN_RADIUS, MAX_RADIUS)
    down = (y - _random(pictures, -MAX_CENTER, MAX_CENTER)) / _random(pictures, MIN_RADIUS, MAX_RADIUS)
    return ((1 - across.square() - down.square()) * _random(pictures, 2, 8)).sigmoid()


def _halves(pictures: Tensor) -> Tensor:
    """Soft masks `[N, 1, S, S]` of one side of a line near the center."""
    x, y = _coordinates(pictures)
    angle = _random(pictures, 0, 2 * math.pi)
    distance = x * angle.cos() + y * angle.sin() + _random(pictures, -0.3, 0.3)
    return (distance * _random(pictures, 6, 20)).sigmoid()


def _sampled(pictures: Tensor, shifts: Tensor) -> Tensor:
    """Each pixel taken from where its shift `[N, H, W, 2]` or `[N, 1, 1, 2]` (x, y in half sides) points."""
    grid = _identity(pictures) + shifts
    return grid_sample(pictures, grid.to(pictures.dtype), padding_mode="border", align_corners=False)


def _coordinates(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """x and y of each pixel, `[1, 1, S, S]`, from -1 to 1."""
    grid = _identity(pictures)[None]
    return grid[..., 0], grid[..., 1]


def _identity(pictures: Tensor) -> Tensor:
    return affine_grid(torch.eye(2, 3)[None], [1, 1, *pictures.shape[2:]], align_corners=False)


def _random(pictures: Tensor, low: float, high: float) -> Tensor:
    """A random number for each picture, `[N, 1, 1, 1]`."""
    return low + (high - low) * torch.rand(len(pictures), 1, 1, 1)

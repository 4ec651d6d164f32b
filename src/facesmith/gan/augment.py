"""Differentiable augmentation of images `[N, C, H, W]` in `[-1, 1]`, applied before the discriminator.

It is applied to real images and to fakes. If only real images were augmented, the generator would learn to produce
augmented faces. Random numbers come from torch's global generator.

Source: Zhao et al. 2020, arXiv:2006.10738.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


@dataclass(frozen=True)
class Augmentation:
    """Random rotation and brightness, drawn separately for each image.

    Args:
        brightness: largest shift of an image's brightness, where the full range is 2.
        rotation_degrees: largest rotation in either direction. Corners are filled with the nearest pixels.
    """

    brightness: float = 0.0
    rotation_degrees: float = 0.0

    def __call__(self, images: Tensor) -> Tensor:
        if self.rotation_degrees:
            images = random_rotation(images, self.rotation_degrees)
        if self.brightness:
            images = random_brightness(images, self.brightness)
        return images


def random_brightness(images: Tensor, max_shift: float) -> Tensor:
    """Images, each shifted as a whole by a random value of at most `max_shift` in either direction."""
    shift = torch.rand(len(images), 1, 1, 1, device=images.device) * 2 - 1
    return images + (max_shift * shift).to(images.dtype)


def random_rotation(images: Tensor, max_degrees: float) -> Tensor:
    """Images, each rotated about its center by a random angle of at most `max_degrees` in either direction."""
    angle = (torch.rand(len(images), device=images.device) * 2 - 1) * math.radians(max_degrees)
    zero = torch.zeros_like(angle)
    matrices = torch.stack(
        [torch.stack([angle.cos(), -angle.sin(), zero], 1), torch.stack([angle.sin(), angle.cos(), zero], 1)], 1
    )  # [N, 2, 3]
    grid = affine_grid(matrices, list(images.shape), align_corners=False)
    # bfloat16 is too coarse for sampling positions.
    rotated = grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return rotated.to(images.dtype)

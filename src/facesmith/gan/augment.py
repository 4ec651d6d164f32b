"""Augmentation that gradients pass through, for all that a critic sees: `[N, C, H, W]` in `[-1, 1]`.

Done to real faces and fakes alike (Zhao et al. 2020, arXiv:2006.10738): done to the real ones alone, a generator
learns to draw the augmentation. Random numbers come from torch's global generator.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


@dataclass(frozen=True)
class Augmentation:
    """Each picture brightened and turned by chance.

    Args:
        brightness: the largest shift of a picture's level, in its range of 2.
        rotation_degrees: the largest turn to either side; corners are filled with what is nearest.
    """

    brightness: float = 0.0
    rotation_degrees: float = 0.0

    def __call__(self, pictures: Tensor) -> Tensor:
        if self.rotation_degrees:
            pictures = rotated(pictures, self.rotation_degrees)
        if self.brightness:
            pictures = brightened(pictures, self.brightness)
        return pictures


def brightened(pictures: Tensor, most: float) -> Tensor:
    """Each picture lighter or darker as a whole, by up to `most`."""
    shift = torch.rand(len(pictures), 1, 1, 1, device=pictures.device) * 2 - 1
    return pictures + (most * shift).to(pictures.dtype)


def rotated(pictures: Tensor, most_degrees: float) -> Tensor:
    """Each picture turned about its centre, by up to `most_degrees` to either side."""
    angle = (torch.rand(len(pictures), device=pictures.device) * 2 - 1) * math.radians(most_degrees)
    zero = torch.zeros_like(angle)
    turn = torch.stack(
        [torch.stack([angle.cos(), -angle.sin(), zero], 1), torch.stack([angle.sin(), angle.cos(), zero], 1)], 1
    )  # [N, 2, 3]
    grid = affine_grid(turn, list(pictures.shape), align_corners=False)
    # Sampling positions need more digits than bfloat16 has.
    turned = grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False)
    return turned.to(pictures.dtype)

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
from torch.nn.functional import affine_grid, grid_sample, pad


@dataclass(frozen=True)
class Augmentation:
    """Random changes of an image, drawn separately for each image and each kind of change.

    Args:
        brightness: largest shift of an image's brightness, where the full range is 2.
        rotation_degrees: largest rotation in either direction. Corners are filled with the nearest pixels.
        saturation: largest relative change of the distance of each pixel from gray.
        contrast: largest relative change of the distance of each pixel from the image's mean.
        translation: largest shift along each axis, as a share of the side. Uncovered pixels become 0, middle gray.
    """

    brightness: float = 0.0
    rotation_degrees: float = 0.0
    saturation: float = 0.0
    contrast: float = 0.0
    translation: float = 0.0

    def __call__(self, images: Tensor, probability: float = 1.0) -> Tensor:
        """Images, each changed in each of the ways with this probability."""
        if probability == 0:
            return images
        for change, strength in (
            (random_rotation, self.rotation_degrees),
            (random_translation, self.translation),
            (random_brightness, self.brightness),
            (random_saturation, self.saturation),
            (random_contrast, self.contrast),
        ):
            if strength:
                images = _with_probability(probability, images, change(images, strength))
        return images


# The strengths of Zhao et al. 2020, section 4.
COLOR_AND_TRANSLATION = Augmentation(brightness=0.5, saturation=1.0, contrast=0.5, translation=0.125)


def _with_probability(probability: float, images: Tensor, changed: Tensor) -> Tensor:
    """Of each pair of an image and its changed version, the changed one with this probability."""
    if probability == 1:
        return changed
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < probability
    return torch.where(chosen, changed, images)


def random_brightness(images: Tensor, max_shift: float) -> Tensor:
    """Images, each shifted as a whole by a random value of at most `max_shift` in either direction."""
    shift = torch.rand(len(images), 1, 1, 1, device=images.device) * 2 - 1
    return images + (max_shift * shift).to(images.dtype)


def random_saturation(images: Tensor, max_change: float) -> Tensor:
    """Images whose pixels' distance from gray is multiplied by a random factor, one per image, of 1 ± `max_change`."""
    return _stretch(images, images.mean(1, keepdim=True), max_change)


def random_contrast(images: Tensor, max_change: float) -> Tensor:
    """Images whose distance from their mean is multiplied by a random factor, one per image, of 1 ± `max_change`."""
    return _stretch(images, images.mean((1, 2, 3), keepdim=True), max_change)


def _stretch(images: Tensor, center: Tensor, max_change: float) -> Tensor:
    factor = 1 + max_change * (torch.rand(len(images), 1, 1, 1, device=images.device) * 2 - 1)
    return center + (images - center) * factor.to(images.dtype)


def random_translation(images: Tensor, max_share: float) -> Tensor:
    """Images, each shifted by a random whole number of pixels along each axis; uncovered pixels become 0."""
    count, _, height, width = images.shape
    margin_y, margin_x = round(height * max_share), round(width * max_share)
    padded = pad(images, (margin_x, margin_x, margin_y, margin_y)).permute(0, 2, 3, 1)
    dy = torch.randint(2 * margin_y + 1, (count, 1, 1), device=images.device)
    dx = torch.randint(2 * margin_x + 1, (count, 1, 1), device=images.device)
    rows = dy + torch.arange(height, device=images.device)[:, None]  # [N, H, 1]
    columns = dx + torch.arange(width, device=images.device)  # [N, 1, W]
    image = torch.arange(count, device=images.device)[:, None, None]
    return padded[image, rows, columns].permute(0, 3, 1, 2)


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

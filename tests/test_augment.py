"""Augmentation: its effect on an image, and that it is differentiable."""

from __future__ import annotations

import pytest
import torch

from facesmith.gan.augment import Augmentation, random_brightness, random_rotation


def random_images(count=8, size=16):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_brightness_shifts_each_image_uniformly_and_within_the_limit():
    images = random_images()
    shift = random_brightness(images, 0.4) - images
    assert (shift.amax((1, 2, 3)) - shift.amin((1, 2, 3))).max() < 1e-6
    assert 0.1 < shift.abs().max() <= 0.4
    assert len(set(shift[:, 0, 0, 0].tolist())) == len(images)


def test_rotation_is_about_the_center():
    images = torch.zeros(64, 1, 17, 17)
    images[:, :, 8, 8] = 1  # the center
    images[:, :, 8, 15] = 1  # seven pixels to the right of it
    rotated = random_rotation(images, 30)
    assert rotated[:, 0, 8, 8].min() > 0.8
    rows = rotated[:, 0, :, 12:].amax(2).argmax(1)
    assert rows.min() < 7
    assert rows.max() > 9
    assert torch.allclose(random_rotation(images, 0.0), images, atol=1e-5)


@pytest.mark.parametrize("augment", [Augmentation(0.5, 0), Augmentation(0, 20), Augmentation(0.5, 20)])
def test_augmentation_is_differentiable_and_keeps_the_dtype(augment):
    images = random_images().bfloat16().requires_grad_()
    augmented = augment(images)
    assert augmented.dtype == images.dtype
    assert augmented.shape == images.shape
    augmented.float().square().sum().backward()
    assert (images.grad != 0).float().mean() > 0.8


def test_no_augmentation_returns_the_same_tensor():
    images = random_images()
    assert Augmentation()(images) is images

"""Augmentation: its effect on an image, and that it is differentiable."""

from __future__ import annotations

import pytest
import torch

from facesmith.gan.augment import (
    COLOR_AND_TRANSLATION,
    Augmentation,
    random_brightness,
    random_contrast,
    random_rotation,
    random_saturation,
    random_translation,
)


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


def test_saturation_changes_the_distance_from_gray_only():
    images = random_images()
    changed = random_saturation(images, 1.0)
    assert torch.allclose(changed.mean(1), images.mean(1), atol=1e-6)
    factors = (changed - changed.mean(1, keepdim=True)) / (images - images.mean(1, keepdim=True))
    assert torch.allclose(factors, factors[:, :1, :1, :1].expand_as(factors), atol=1e-2)
    assert factors.min() >= 0
    assert factors.max() <= 2.01


def test_contrast_keeps_the_mean_of_each_image():
    images = random_images()
    changed = random_contrast(images, 0.5)
    assert torch.allclose(changed.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=1e-6)
    ratios = changed.std((1, 2, 3)) / images.std((1, 2, 3))
    assert 0.5 <= ratios.min() < ratios.max() <= 1.5


def test_translation_shifts_by_whole_pixels_and_fills_with_gray():
    images = torch.zeros(64, 1, 16, 16)
    images[:, :, 8, 8] = 1
    shifted = random_translation(images, 0.125)
    positions = shifted.flatten(1).argmax(1)
    assert set((positions // 16).tolist()) == set((positions % 16).tolist()) == {6, 7, 8, 9, 10}
    assert torch.equal(shifted.sum((1, 2, 3)), torch.ones(64))
    full = random_translation(torch.ones(64, 1, 16, 16), 0.125)
    assert set(full.unique().tolist()) == {0.0, 1.0}


def test_each_change_is_made_with_the_probability():
    images = random_images(400)
    augment = Augmentation(brightness=0.5)
    changed = (augment(images, 0.3) != images).flatten(1).any(1).float().mean()
    assert 0.2 < changed < 0.4
    assert COLOR_AND_TRANSLATION(images, 0.0) is images


@pytest.mark.parametrize(
    "augment", [Augmentation(0.5, 0), Augmentation(0, 20), Augmentation(0.5, 20), COLOR_AND_TRANSLATION]
)
def test_augmentation_is_differentiable_and_keeps_the_dtype(augment):
    images = random_images().bfloat16().requires_grad_()
    augmented = augment(images)
    assert augmented.dtype == images.dtype
    assert augmented.shape == images.shape
    augmented.float().square().sum().backward()
    assert (images.grad != 0).float().mean() > 0.75  # translation moves some pixels out


def test_no_augmentation_returns_the_same_tensor():
    images = random_images()
    assert Augmentation()(images) is images

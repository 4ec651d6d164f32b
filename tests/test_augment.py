"""Augmentation: what it does to a picture, that gradients pass, that nothing is drawn into the faces."""

from __future__ import annotations

import pytest
import torch

from facesmith.gan.augment import Augmentation, brightened, rotated


def pictures(count=8, size=16):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_brightness_shifts_a_picture_as_a_whole_and_no_further():
    before = pictures()
    shift = brightened(before, 0.4) - before
    assert (shift.amax((1, 2, 3)) - shift.amin((1, 2, 3))).max() < 1e-6
    assert 0.1 < shift.abs().max() <= 0.4
    assert len(set(shift[:, 0, 0, 0].tolist())) == len(before)


def test_rotation_turns_about_the_centre():
    blank = torch.zeros(64, 1, 17, 17)
    blank[:, :, 8, 8] = 1  # the centre stays
    blank[:, :, 8, 15] = 1  # a point seven to the right moves up or down
    turned = rotated(blank, 30)
    assert turned[:, 0, 8, 8].min() > 0.8
    rows = turned[:, 0, :, 12:].amax(2).argmax(1)
    assert rows.min() < 7
    assert rows.max() > 9
    assert torch.allclose(rotated(blank, 0.0), blank, atol=1e-5)


@pytest.mark.parametrize("augment", [Augmentation(0.5, 0), Augmentation(0, 20), Augmentation(0.5, 20)])
def test_gradients_pass_and_the_type_stays(augment):
    x = pictures().bfloat16().requires_grad_()
    y = augment(x)
    assert y.dtype == x.dtype
    assert y.shape == x.shape
    y.float().square().sum().backward()
    assert (x.grad != 0).float().mean() > 0.8


def test_nothing_asked_is_nothing_done():
    x = pictures()
    assert Augmentation()(x) is x

"""Copies are noticed whatever small change hides them, and new faces are cleared."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import shared
from PIL import Image, ImageEnhance, ImageFilter
from small import QUIET, procedural_pixels

from facesmith.errors import BadData
from facesmith.faces import open_faces
from facesmith.io.images import to_gray
from facesmith.metrics.copies import check_copies, nearest_faces, thumbnails, wilson_upper_bound


def jpeg(picture):
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=30)
    return Image.open(stream)


CHANGES = {
    "none": lambda p: p,
    "mirrored": lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "blurred": lambda p: p.filter(ImageFilter.GaussianBlur(1)),
    "saved again": jpeg,
    "brighter": lambda p: ImageEnhance.Brightness(p).enhance(1.2),
    "less contrast": lambda p: ImageEnhance.Contrast(p).enhance(0.7),
    "shifted": lambda p: p.transform(p.size, Image.Transform.AFFINE, (1, 0, 2, 0, 1, -2), Image.Resampling.BICUBIC),
    "cropped": lambda p: p.crop((2, 2, 62, 62)).resize(p.size, Image.Resampling.BICUBIC),
    "noisy": lambda p: Image.fromarray(
        np.clip(np.asarray(p) + np.random.default_rng(0).normal(0, 20, (64, 64, 3)), 0, 255).astype(np.uint8)
    ),
}


def nearest(pictures, training, held_out, groups=None):
    return nearest_faces(pictures, thumbnails(training), thumbnails(held_out), "", QUIET, groups)


def changed(pictures, change):
    return np.stack([np.asarray(CHANGES[change](Image.fromarray(p)).convert("RGB")) for p in pictures])


@pytest.fixture(scope="module")
def faces():
    """Training faces, held-out ones, their ratios, and unseen faces beside both."""
    opened = open_faces(shared("celeba64.zip"), 64, limit=1500)
    training, held_out, unseen = (np.asarray(opened.pixels[opened.part(n)]) for n in ("train", "test", "validation"))
    ratios = nearest(held_out, training, held_out, np.arange(len(held_out))).ratio
    return training, held_out, unseen, ratios


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_noticed_under_small_changes(faces, change):
    training, held_out, _, ratios = faces
    found_near = nearest(changed(training[:40], change), training, held_out)
    found = check_copies(found_near.ratio, ratios)
    assert found.found
    assert found.copies.mean() > 0.9
    assert (found_near.training[found.copies] == np.arange(40)[found.copies]).mean() > 0.95


def test_held_out_and_unseen_pictures_are_cleared(faces):
    training, held_out, unseen, ratios = faces
    for pictures in (held_out, changed(held_out, "noisy"), unseen):
        found_near = nearest(pictures, training, held_out)
        assert not check_copies(found_near.ratio, ratios).found


def test_the_average_face_is_no_copy(faces):
    training, held_out, _, ratios = faces
    average = np.repeat(training.mean(0, keepdims=True).round().astype(np.uint8), 50, axis=0)
    assert not check_copies(nearest(average, training, held_out).ratio, ratios).found


def test_grey_faces_are_compared_too():
    pixels = to_gray(procedural_pixels(24))
    found_near = nearest(pixels[:4], pixels[2:], pixels[:2])
    assert found_near.training[2:].tolist() == [0, 1]
    assert found_near.held_out[:2].tolist() == [0, 1]
    assert np.isfinite(found_near.ratio).all()


def test_nothing_is_compared_with_its_own_group():
    pixels = procedural_pixels(12)
    found_near = nearest(pixels, pixels, pixels, np.repeat(np.arange(4), 3))
    assert (found_near.training == np.arange(12)).all()
    assert (found_near.held_out // 3 != np.arange(12) // 3).all()


def test_flat_pictures_are_no_copies_of_anything():
    pixels = procedural_pixels(12)
    flat = np.full((2, 16, 16, 3), 128, np.uint8)
    assert np.isfinite(nearest(flat, pixels[:6], pixels[6:]).ratio).all()


def test_few_held_out_faces_allow_no_judgement():
    with pytest.raises(BadData, match="20 are needed"):
        check_copies(np.ones(5), np.ones(19))


def test_a_few_near_photos_among_many_are_no_proof():
    """Real sets hold photos taken twice, on both sides of the split; new faces may lie as near by as large a share."""
    rng = np.random.default_rng(0)
    real, samples = np.exp(rng.normal(0, 0.1, 1000)), np.exp(rng.normal(0, 0.1, 1000))
    real[:10], samples[:10] = 0.2, 0.2
    assert not check_copies(samples, real).found
    assert check_copies(samples, real).copies.sum() == 10
    samples[:60] = 0.2
    assert check_copies(samples, real).found


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 10_000), st.data())
def test_wilson_s_interval_holds_the_share(count, data):
    hits = data.draw(st.integers(0, count))
    high, low = wilson_upper_bound(hits, count), 1 - wilson_upper_bound(count - hits, count)
    assert -1e-12 <= low <= hits / count + 1e-12
    assert hits / count - 1e-12 <= high <= 1 + 1e-12

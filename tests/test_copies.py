"""Copies are detected under small changes, and new faces are not taken for copies."""

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
from facesmith.metrics.copies import (
    NearestFaces,
    check_copies,
    nearest_faces,
    thumbnails,
    too_few_held_out,
    wilson_upper_bound,
)
from facesmith.pictures.images import to_gray


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


def with_ratios(ratios):
    """Nearest faces with these distance ratios, whose distances to the nearest training face are the same numbers."""
    index = np.zeros(len(ratios), np.int64)
    return NearestFaces(ratios.astype(np.float32), index, np.ones(len(ratios), np.float32), index)


def planted(count, copies, seed=0):
    """Nearest faces of `count` new faces, some of which are replaced: `copies` are their numbers by ratio."""
    ratios = np.exp(np.random.default_rng([seed, count]).normal(0, 0.1, count))
    planted_ratios = np.repeat(list(copies), list(copies.values()))
    ratios[: len(planted_ratios)] = planted_ratios
    return with_ratios(ratios)


def changed(pictures, change):
    return np.stack([np.asarray(CHANGES[change](Image.fromarray(p)).convert("RGB")) for p in pictures])


@pytest.fixture(scope="module")
def faces():
    """Training faces, held-out faces, validation faces, and the nearest faces of the held-out ones."""
    opened = open_faces(shared("celeba64.zip"), 64, limit=1500)
    training, held_out, validation = (
        np.asarray(opened.pixels[opened.part(n)]) for n in ("train", "test", "validation")
    )
    return training, held_out, validation, nearest(held_out, training, held_out, np.arange(len(held_out)))


@pytest.mark.parametrize("change", CHANGES)
def test_copies_are_detected_under_small_changes(faces, change):
    training, held_out, _, of_held_out = faces
    result = nearest(changed(training[:40], change), training, held_out)
    check = check_copies(result, of_held_out)
    assert check.has_copies
    assert check.copies.mean() > 0.9
    assert (result.training[check.copies] == np.arange(40)[check.copies]).mean() > 0.95


def test_real_faces_that_were_not_trained_on_are_no_copies(faces):
    training, held_out, validation, of_held_out = faces
    for pictures in (held_out, changed(held_out, "noisy"), validation):
        check = check_copies(nearest(pictures, training, held_out), of_held_out)
        assert not check.has_copies
        assert not check.unclear


def test_the_average_face_is_no_copy(faces):
    training, held_out, _, of_held_out = faces
    average = np.repeat(training.mean(0, keepdims=True).round().astype(np.uint8), 50, axis=0)
    assert not check_copies(nearest(average, training, held_out), of_held_out).has_copies


def test_gray_faces_can_be_compared():
    pixels = to_gray(procedural_pixels(24))
    result = nearest(pixels[:4], pixels[2:], pixels[:2])
    assert result.training[2:].tolist() == [0, 1]
    assert result.held_out[:2].tolist() == [0, 1]
    assert np.isfinite(result.ratio).all()


def test_no_face_is_compared_with_its_own_group():
    pixels = procedural_pixels(12)
    result = nearest(pixels, pixels, pixels, np.repeat(np.arange(4), 3))
    assert (result.training == np.arange(12)).all()
    assert (result.held_out // 3 != np.arange(12) // 3).all()


def test_flat_pictures_give_finite_ratios():
    pixels = procedural_pixels(12)
    flat = np.full((2, 16, 16, 3), 128, np.uint8)
    assert np.isfinite(nearest(flat, pixels[:6], pixels[6:]).ratio).all()


def test_too_few_held_out_faces_are_an_error():
    with pytest.raises(BadData, match="20 are needed"):
        check_copies(with_ratios(np.ones(5)), with_ratios(np.ones(19)))


def test_held_out_faces_of_one_person_are_too_few():
    """None of them is compared with another, so they can't show how close new faces are."""
    assert "at least 20 held-out faces, and there are 19" in too_few_held_out([f"person/{i}" for i in range(19)])
    assert "at least 5 people, and they show 1" in too_few_held_out(["person/a"] * 300)
    assert too_few_held_out([f"person/{i % 5}" for i in range(20)]) == ""


def test_as_many_small_ratios_as_among_real_faces_are_no_copies():
    """Some photos are taken twice and end up in both splits. As large a share of new faces may be as close."""
    real = planted(1000, {0.2: 10})
    check = check_copies(planted(1000, {0.2: 10}), real)
    assert not check.has_copies
    assert not check.unclear
    assert check.copies.sum() == 10
    assert check_copies(planted(1000, {0.2: 60}), real).has_copies


@pytest.mark.parametrize("held_out", [20, 40, 60])
def test_many_identical_samples_are_copies_although_there_are_few_held_out_faces(held_out):
    for seed in range(20):
        real = planted(held_out, {}, seed)
        assert check_copies(planted(5000, {0.05: 1100}, seed), real).has_copies
        assert not check_copies(planted(5000, {0.05: 5}, seed), real).has_copies, "a few can be chance"


@pytest.mark.parametrize("held_out", [20, 40, 60])
def test_few_held_out_faces_leave_it_unclear_whether_similar_samples_are_copies(held_out):
    check = check_copies(planted(5000, {0.2: 250}), planted(held_out, {}))
    assert not check.has_copies, "they are not nearly identical"
    assert check.unclear
    check = check_copies(planted(5000, {0.05: 250}), planted(40, {0.05: 2}))
    assert not check.has_copies, "as many held-out faces are identical to a training photo"
    assert not check.unclear


def test_many_held_out_faces_show_a_few_copies():
    check = check_copies(planted(5000, {0.2: 30}), planted(5000, {}))
    assert check.has_copies
    assert not check.unclear


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 10_000), st.data())
def test_wilson_s_interval_contains_the_share(count, data):
    hits = data.draw(st.integers(0, count))
    high, low = wilson_upper_bound(hits, count), 1 - wilson_upper_bound(count - hits, count)
    assert -1e-12 <= low <= hits / count + 1e-12
    assert hits / count - 1e-12 <= high <= 1 + 1e-12

"""Pasting a face back into its photo: position, blending, and unchanged pixels around it."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import photo

from facesmith.inversion.face_template import FaceTemplate, locate_face
from facesmith.inversion.paste import face_mask, paste
from facesmith.photos.align import Alignment, inverse, similarity, transform

TEMPLATE = FaceTemplate(Alignment(64).targets() / 64, "extracted")
POINTS = TEMPLATE.targets(64)


@pytest.fixture(scope="module")
def located():
    return locate_face(np.asarray(photo()), TEMPLATE, 64, 3)


def test_mask_covers_the_landmarks_and_is_0_at_the_edges():
    mask = face_mask(64, POINTS)
    for x, y in POINTS.astype(int):
        assert mask[y, x] > 0.9
    assert not mask[[0, -1]].any()
    assert not mask[:, [0, -1]].any()
    assert np.abs(np.diff(mask, axis=0)).max() < 0.25
    odd = face_mask(64, np.full((5, 2), 3.0))  # landmarks in a corner, all in one place
    assert np.isfinite(odd).all()
    assert not odd[[0, -1]].any()


def test_pixels_outside_the_mask_are_unchanged(located):
    before = np.asarray(photo())
    kept = before.copy()
    black = np.zeros((64, 64, 3), np.uint8)
    after = paste(before, black, located.matrix, POINTS)
    assert after.shape == before.shape
    assert np.array_equal(before, kept)
    y, x = np.nonzero((after != before).any(2))
    on_face = transform(located.matrix, np.stack([x + 0.5, y + 0.5], axis=1))
    assert len(x) > 1000
    assert (on_face > 0).all()
    assert (on_face < 64).all()


def test_pasting_the_original_face_only_blurs(located):
    before = np.asarray(photo()).astype(int)
    after = paste(np.asarray(photo()), located.face, located.matrix, POINTS).astype(int)
    assert np.abs(after - before).mean() < 1


def test_colors_are_matched_at_the_border(located):
    """The same face in another light gives nearly the same result."""
    warm = (located.face.astype(int) + np.array([25, 5, -15])).clip(0, 255).astype(np.uint8)
    plain, matched = (paste(np.asarray(photo()), face, located.matrix, POINTS) for face in (located.face, warm))
    cheek = (slice(120, 126), slice(200, 210))
    assert np.abs(matched[cheek].astype(int) - plain[cheek]).mean() < 6
    assert np.abs(warm[36, 20].astype(int) - located.face[36, 20]).mean() > 4


def test_pasted_face_has_position_angle_and_size_of_the_old_one():
    gray = np.full((300, 400, 3), 128, np.uint8)
    eyes = np.array([(150, 120), (200, 150), (168, 160), (140, 170), (180, 196)], float)
    matrix = similarity(eyes, POINTS)
    face = np.full((64, 64, 3), 128, np.uint8)
    x, y = POINTS[0].astype(int)
    face[y - 2 : y + 3, x - 2 : x + 3] = (255, 0, 0)
    after = paste(gray, face, matrix, POINTS)
    red = np.argwhere(after[..., 0].astype(int) - after[..., 1] > 60)[:, ::-1].mean(0)
    np.testing.assert_allclose(red, transform(inverse(matrix), POINTS[:1])[0], atol=2)


@pytest.mark.parametrize("shift", [(-80, -80), (-2000, 0), (250, 250)])
def test_faces_beyond_the_photo_are_cut_off(shift):
    gray = np.full((300, 300, 3), 128, np.uint8)
    matrix = similarity(POINTS * 2 + np.array(shift), POINTS)
    after = paste(gray, np.zeros((64, 64, 1), np.uint8), matrix, POINTS)
    assert after.shape == gray.shape

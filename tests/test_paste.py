"""Pasting a face back into its photo: position, blending, and unchanged pixels around it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pictures import photo, swapped_profile
from PIL import Image

from facesmith.detection.align import Alignment, inverse, similarity, transform
from facesmith.inversion.face_template import FaceTemplate, locate_face
from facesmith.inversion.paste import face_mask, paste_into_original
from facesmith.pictures.images import png_bytes, read_picture
from facesmith.pictures.original_photo import OriginalPhoto, read_original

TEMPLATE = FaceTemplate(Alignment(64, 3.48).targets() / 64, "extracted")
POINTS = TEMPLATE.targets(64)


@pytest.fixture(scope="module")
def located():
    return locate_face(np.asarray(photo()), TEMPLATE, 64, 3)


def paste(pixels, face, matrix, points):
    """An sRGB photo with another face, without a watermark."""
    return paste_into_original(OriginalPhoto(pixels, pixels), face, matrix, points, keys=())


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


def test_the_color_correction_stays_near_the_border():
    """Hair and background at the border must not tint the whole face."""
    points = TEMPLATE.targets(128)
    face = np.full((128, 128, 3), 168, np.uint8)
    after = paste(np.full((148, 148, 3), 128, np.uint8), face, similarity(points + 10, points), points)
    center, border = after[74, 74].astype(int), after[74, 12].astype(int)
    assert np.abs(center - 168).max() <= 2
    assert np.abs(border - 128).max() <= 4


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


def as_file(picture, file_format="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, file_format, **options)
    return stream.getvalue()


def swapped(picture):
    red, green, blue = picture.split()
    return Image.merge("RGB", (blue, green, red))


def test_a_photo_keeps_its_profile_and_its_other_pixels(located):
    """The face is converted to the photo's profile, which exchanges red and blue."""
    profile = swapped_profile()
    original = read_original(as_file(swapped(photo()), icc_profile=profile))
    assert original.profile == profile
    np.testing.assert_array_equal(original.stored, np.asarray(swapped(photo())))
    face = located.face[:, ::-1] // 2 + np.array((60, 20, 0), np.uint8)
    pasted = paste_into_original(original, face, located.matrix, POINTS)
    plain = paste(np.asarray(photo()), face, located.matrix, POINTS)
    changed = (plain != np.asarray(photo())).any(2)
    untouched = ~changed & (pasted == original.stored).all(2)
    assert untouched.sum() > 0.99 * (~changed).sum()
    assert np.abs(pasted[..., ::-1].astype(int) - plain)[changed].mean() < 2
    # A program that reads the file sees the same colors as before.
    seen = read_picture(png_bytes(pasted, profile=original.profile))
    assert np.abs(seen.astype(int) - plain).mean() < 1


def test_a_photo_keeps_its_transparency(located):
    transparent = photo().convert("RGBA")
    opacity = np.tile(np.linspace(0, 255, 512).astype(np.uint8), (512, 1))
    transparent.putalpha(Image.fromarray(opacity))
    original = read_original(as_file(transparent))
    pasted = paste_into_original(original, located.face // 2, located.matrix, POINTS)
    assert pasted.shape == (512, 512, 4)
    np.testing.assert_array_equal(pasted[..., 3], opacity)
    np.testing.assert_array_equal(pasted[300:, :, :3], np.asarray(photo())[300:])
    assert read_picture(png_bytes(pasted)).shape == (512, 512, 3)


def test_other_color_modes_are_pasted_into_as_srgb(located):
    wide = Image.fromarray(np.asarray(photo().convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 3
    cmyk = as_file(photo().convert("CMYK"), "JPEG", icc_profile=b"nonsense")
    turned = as_file(photo().rotate(180), exif=exif)
    for content in (as_file(wide), as_file(photo().convert("L"), icc_profile=b"nonsense"), cmyk, turned):
        original = read_original(content)
        assert (original.profile, original.alpha) == (None, None)
        np.testing.assert_array_equal(original.stored, read_picture(content))
        assert paste_into_original(original, located.face, located.matrix, POINTS).shape == (512, 512, 3)

"""The invisible watermark: what it changes, what it survives, and that chance doesn't look like it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import facesmith
from facesmith.errors import BadData
from facesmith.pictures.images import grid
from facesmith.procedural import draw_many
from facesmith.watermark import find_mark
from facesmith.watermark.embed import MIN_SIDE_PX, watermarked
from facesmith.watermark.find_mark import SIGNIFICANT, Place, find
from facesmith.watermark.key import PUBLIC_KEY, patterns_of
from facesmith.watermark.measure import chance_bound, frame_of, score, strengths
from facesmith.watermark.measure import resized as resized_brightness

SIDES_PX = [64, 128]
# Of the first patterns of the public key.
OFFSETS = [0.976268, 0.556683]
SIGNS = [-1, 1, -1, 0, 1, 0, 0, -1, 0, 0]


@pytest.fixture(scope="module", params=SIDES_PX)
def faces(request):
    return draw_many(range(6), request.param)


def psnr_db(a, b):
    return 10 * np.log10(255**2 / np.square(a.astype(float) - b).mean())


def saved_as(kind, pixels, **options):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, **options)
    return np.asarray(Image.open(content).convert("RGB"))


def resized(pixels, width, height, how=Image.Resampling.BICUBIC):
    return np.asarray(Image.fromarray(pixels).resize((width, height), how))


def enlarged_and_back(pixels):
    height, width = pixels.shape[:2]
    return resized(resized(pixels, 4 * width, 4 * height), width, height)


def brighter(pixels, factor):
    return np.rint(pixels * factor).clip(0, 255).astype(np.uint8)


def more_contrast(pixels, factor):
    return np.rint((pixels - 128.0) * factor + 128).clip(0, 255).astype(np.uint8)


def cropped(pixels, share):
    cut = round(share * pixels.shape[0])
    return pixels[cut:-cut, cut:-cut]


CHANGES = {
    "untouched": lambda pixels: pixels,
    "JPEG at quality 75": lambda pixels: saved_as("JPEG", pixels, quality=75),
    "WebP at quality 70": lambda pixels: saved_as("WEBP", pixels, quality=70),
    "enlarged four times and back": enlarged_and_back,
    "20 % brighter": lambda pixels: brighter(pixels, 1.2),
    "20 % darker": lambda pixels: brighter(pixels, 0.8),
    "20 % more contrast": lambda pixels: more_contrast(pixels, 1.2),
    "20 % less contrast": lambda pixels: more_contrast(pixels, 0.8),
    "3 % cut off at each side": lambda pixels: cropped(pixels, 0.03),
    "mirrored": lambda pixels: pixels[:, ::-1],
    "shown three times as large": lambda pixels: np.repeat(np.repeat(pixels, 3, 0), 3, 1),
    "gray": lambda pixels: np.asarray(Image.fromarray(pixels).convert("L"))[..., None],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_marked_faces_are_found_after_a_change_and_others_are_not(faces, change):
    for marked in watermarked(faces[:2]):
        assert find(change(marked)).significant
    assert not find(change(faces[0])).significant


def test_the_change_is_small(faces):
    for face, marked in zip(faces, watermarked(faces), strict=True):
        assert psnr_db(face, marked) >= 42
        assert not np.array_equal(face, marked)


def test_a_face_does_not_depend_on_its_neighbors(faces):
    together = watermarked(faces)
    alone = np.concatenate([watermarked(face[None]) for face in faces])
    assert np.array_equal(together, alone)


def test_cut_and_resized_faces_are_found_at_a_new_size():
    marked = watermarked(draw_many([0], 128))[0]
    found = find(resized(cropped(marked, 0.03), 150, 150))
    assert found.significant
    assert found.place.side == pytest.approx(150 * 128 / 120, rel=0.01)


def test_faces_are_found_on_a_sheet_and_inside_a_larger_picture():
    faces = watermarked(draw_many(range(6), 64))
    sheet = find(grid(faces, 3))
    assert sheet.significant
    assert sheet.place.side == 64
    assert [round(corner) % 66 for corner in sheet.place[:2]] == [0, 0]
    noise = np.random.default_rng(0).integers(90, 160, (300, 400, 3)).astype(np.uint8)
    photo = np.asarray(Image.fromarray(noise).resize((100, 75)).resize((400, 300)))
    photo = photo.copy()
    photo[61:162, 203:304] = resized(faces[0], 101, 101)
    found = find(photo, lambda: [Place(198, 55, 110)])
    assert found.significant
    assert found.place == pytest.approx((203, 61, 101), abs=1)
    assert not find(photo).significant, "no side of a sheet, and nobody said where faces are"


def test_only_the_surroundings_of_a_face_are_resized(monkeypatch):
    sizes = []

    def resized_and_counted(brightness, height, width, box=None):
        sizes.extend([brightness.size] if box is not None else [])
        return resized_brightness(brightness, height, width, box)

    monkeypatch.setattr(find_mark, "resized", resized_and_counted)
    monkeypatch.setattr(find_mark, "MAX_POSITIONS", 0)  # nothing is searched but the face
    photo = np.full((900, 1200, 3), 120, np.uint8)
    photo[740:868, 5:133] = watermarked(draw_many([0], 128))[0]
    found = find(photo, lambda: [Place(-2, 735, 135)])
    assert found.significant
    assert found.place == pytest.approx((5, 740, 128), abs=1)
    assert max(sizes) < 0.1 * photo[..., 0].size


def test_watermark_of_another_key_is_not_found():
    marked = watermarked(draw_many([3], 64), keys=["mine"])[0]
    assert not find(marked).significant
    assert find(marked, key="mine").significant


@pytest.mark.parametrize("side", [1, 8, 16, MIN_SIDE_PX - 1])
def test_faces_that_are_too_small_are_returned_unchanged(side):
    faces = draw_many([1, 2], 64)[:, :side, :side]
    assert np.array_equal(watermarked(faces), faces)
    assert watermarked(faces[:0]).shape == (0, side, side, 3)


@pytest.mark.parametrize("side", [32, 36, 48, 100, 256])
def test_other_sizes_are_found_untouched(side):
    faces = np.stack([resized(face, side, side) for face in draw_many(range(3), 128)])
    for face, marked in zip(faces, watermarked(faces), strict=True):
        assert psnr_db(face, marked) >= 41
        assert find(marked).p_value < 1e-20


@given(st.integers(0, 2**32 - 1), st.sampled_from(["flat", "noise", "gradient", "extreme"]), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_any_picture_can_be_marked_without_overflow(seed, kind, count):
    rng = np.random.default_rng(seed)
    faces = {
        "flat": np.full((count, 64, 64, 3), rng.integers(256), np.uint8),
        "noise": rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8),
        "gradient": np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8)[:, None], (count, 64, 64, 3)),
        "extreme": np.where(rng.random((count, 64, 64, 1)) < 0.5, 0, 255).astype(np.uint8).repeat(3, -1),
    }[kind]
    marked = watermarked(faces)
    assert abs(marked.astype(int) - faces).max() < 60
    assert psnr_db(faces, marked) > 38


def test_scores_of_unmarked_pictures_stay_below_the_bound():
    """For random keys, the share of scores that reach z is at most `chance_bound(z, tries)`, for any picture."""
    keys = [patterns_of(f"key {number}") for number in range(400)]
    for picture in (*draw_many([0, 1], 64), np.full((64, 64, 3), 77, np.uint8)):
        frame = frame_of(picture[None])
        scores = np.array([score(strengths(frame, key)[0], key) for key in keys])
        for z in (1.5, 2.0, 2.5, 3.0):
            expected = chance_bound(z, 10)  # score is the best of ten contrasts
            tolerance = 4 * np.sqrt(expected / len(keys))
            assert (scores >= z).mean() <= expected + tolerance
        assert scores.max() < 5.5
        assert abs(scores.mean()) < 2


def test_p_values_are_probabilities():
    assert chance_bound(-3, 1) == chance_bound(0, 10) == 1
    assert chance_bound(7.0, 1) < SIGNIFICANT < chance_bound(3.0, 1)
    assert chance_bound(6.0, 100) == pytest.approx(100 * np.exp(-18))


def test_the_public_key_never_changes():
    """Pictures of earlier versions must be detectable: the patterns follow from the key alone."""
    patterns = patterns_of(PUBLIC_KEY)
    assert patterns.offsets.shape == (64, 2)
    assert patterns.offsets[0].tolist() == pytest.approx(OFFSETS, abs=1e-6)
    assert np.sign(patterns.weights[0, 0]).astype(int).tolist() == SIGNS
    assert np.allclose(np.square(patterns.weights).sum(-1), 1)


@pytest.mark.parametrize("wrong", [np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8)])
def test_arrays_of_wrong_shape_or_type_are_refused(wrong):
    with pytest.raises(BadData, match="expected uint8"):
        facesmith.detect(wrong)


def test_tiny_and_long_pictures_are_not_marked():
    for shape in ((1, 1, 3), (3, 900, 3), (64, 64, 1), (900, 3, 1)):
        assert not facesmith.detect(np.full(shape, 100, np.uint8)).significant

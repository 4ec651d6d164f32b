import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from pictures import photo

from facesmith.detection.align import (
    CHIN_BELOW_EYES,
    LAYOUT,
    Alignment,
    CenterCrop,
    align,
    framing_from_header,
    inside_photo,
    inverse,
    similarity,
    transform,
    warp,
)
from facesmith.errors import BadData

POINTS = np.array([(204.3, 101.1), (247.3, 103.2), (224.7, 129.1), (202.1, 139.6), (245.6, 141.7)])

similarities = st.builds(
    lambda scale, angle, x, y: np.array(
        [[scale * np.cos(angle), -scale * np.sin(angle), x], [scale * np.sin(angle), scale * np.cos(angle), y]]
    ),
    st.floats(0.01, 100),
    st.floats(-np.pi, np.pi),
    st.floats(-1e4, 1e4),
    st.floats(-1e4, 1e4),
)


@given(similarities)
def test_similarity_is_recovered_from_its_points(matrix):
    fitted = similarity(LAYOUT * 64, transform(matrix, LAYOUT * 64))
    np.testing.assert_allclose(fitted, matrix, rtol=1e-6, atol=1e-6)


@given(similarities)
def test_inverse_maps_points_back(matrix):
    mapped = transform(matrix, POINTS)
    np.testing.assert_allclose(transform(inverse(matrix), mapped), POINTS, atol=1e-4)


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0, 500)), min_size=5, max_size=5), similarities)
def test_similarity_minimizes_the_squared_error(points, other):
    points = np.array(points)
    error = np.square(transform(similarity(points, LAYOUT * 64), points) - LAYOUT * 64).sum()
    assert error <= np.square(transform(other, points) - LAYOUT * 64).sum() + 1e-6


def test_coinciding_points_give_scale_zero():
    matrix = similarity(np.full((5, 2), 7.0), LAYOUT)
    np.testing.assert_allclose(matrix[:, :2], 0, atol=1e-9)


@pytest.mark.parametrize("size", [16, 64, 256])
def test_aligned_landmarks_are_close_to_the_layout(size):
    crop, matrix = align(np.asarray(photo()), POINTS, Alignment(size))
    assert crop.shape == (size, size, 3)
    offsets = np.linalg.norm(transform(matrix, POINTS) - Alignment(size).targets(), axis=1)
    assert offsets.max() < 0.05 * size


def test_larger_frame_shows_more_of_the_photo():
    tight, wide = (align(np.asarray(photo()), POINTS, Alignment(64, frame))[1] for frame in (3.2, 6.4))
    np.testing.assert_allclose(tight[:, :2] / wide[:, :2], 2.0)


@pytest.mark.parametrize("frame", [2.0, 2.45, 3.0, 3.48, 16.0])
def test_the_frame_is_measured_in_eye_distances_and_contains_the_chin(frame):
    left_eye, right_eye, *_ = targets = Alignment(100, frame).targets()
    np.testing.assert_allclose(right_eye - left_eye, (100 / frame, 0))
    np.testing.assert_allclose(targets.mean(0)[0], 50)
    assert left_eye[1] + CHIN_BELOW_EYES * 100 / frame <= 100 + 1e-9
    assert left_eye[1] > 10


def test_identity_transform_changes_no_pixel():
    pixels = np.asarray(photo())
    identity = np.array([[1.0, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(warp(pixels, identity, 256), pixels[:256, :256])


def test_shift_by_whole_pixels_copies_pixels():
    pixels = np.asarray(photo())
    shift = np.array([[1.0, 0, -100], [0, 1, -30]])  # the point (100, 30) becomes the corner
    np.testing.assert_array_equal(warp(pixels, shift, 64), pixels[30:94, 100:164])


@pytest.mark.parametrize("times", [2, 3, 7, 16])
def test_large_faces_do_not_alias(times):
    """Stripes of one pixel are finer than a crop pixel: only their average may remain, without a pattern."""
    stripes = np.zeros((64 * times, 64 * times, 3), np.uint8)
    stripes[:, ::2] = 255
    reduced = warp(stripes, np.array([[1 / times, 0, 0], [0, 1 / times, 0]]), 64)[4:-4, 4:-4]
    assert reduced.std() < 8
    assert abs(float(reduced.mean()) - 127.5) < 8


@pytest.mark.parametrize("times", [1.0, 2.5, 6.3])
def test_reduction_keeps_positions(times):
    """A white square is within a tenth of a crop pixel of where the transform puts it."""
    side = int(64 * times)
    pixels = np.zeros((side, side, 3), np.uint8)
    low, high = side // 4, side // 2
    pixels[low:high, low:high] = 255
    crop = warp(pixels, np.array([[64 / side, 0, 0], [0, 64 / side, 0]]), 64)[..., 0].astype(float)
    center = (crop.sum(0) * (np.arange(64) + 0.5)).sum() / crop.sum()
    assert abs(center - (low + high) / 2 * 64 / side) < 0.1


def test_photo_continues_smoothly_beyond_its_edges():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    crop = warp(pixels, np.array([[1.0, 0, 20], [0, 1, 20]]), 80)  # 20 pixels more on each side
    np.testing.assert_array_equal(crop[20:60, 20:60], pixels)
    inside = inside_photo(np.array([[1.0, 0, 20], [0, 1, 20]]), (40, 40), 80)
    assert inside[20:60, 20:60].all()
    assert inside.sum() == 40 * 40
    border = crop[:10].astype(float)
    assert border.std() < 0.3 * pixels.std()
    assert abs(border.mean() - pixels.mean()) < 20


def test_a_photo_of_one_color_continues_in_that_color():
    crop = warp(np.full((33, 21, 3), 77, np.uint8), np.array([[0.7, 0.3, 9], [-0.3, 0.7, 25]]), 50)
    assert np.unique(crop).tolist() == [77]


def test_the_photo_beyond_a_crop_pixel_does_not_change_others():
    pixels = np.asarray(photo())[:100, :100]
    matrix = np.array([[1.0, 0, 30], [0, 1, 0]])
    inside = inside_photo(matrix, (100, 100), 90)
    np.testing.assert_array_equal(warp(pixels, matrix, 90)[inside].reshape(90, 60, 3), pixels[:90, :60])


@settings(deadline=None, max_examples=25)
@given(st.floats(0.02, 3), st.floats(-500, 500), st.floats(-500, 500))
def test_any_position_and_scale_gives_a_crop(scale, x, y):
    crop = warp(np.asarray(photo()), np.array([[scale, 0, x], [0, scale, y]]), 32)
    assert crop.shape == (32, 32, 3)


@pytest.mark.parametrize("framing", [Alignment(96, 4.0), CenterCrop(36, 90)])
def test_framing_survives_saving_to_a_header(framing):
    assert framing_from_header(framing.to_values()) == framing


@pytest.mark.parametrize(
    "values", [{}, {"layout": "other", "size": 64, "frame": 3.48}, {"layout": "eyes-nose-mouth-2"}]
)
def test_unknown_framing_is_an_error(values):
    with pytest.raises(BadData, match=r"Unknown alignment .* supports eyes-nose-mouth-2 and center-crop-1"):
        framing_from_header(values)


def test_center_crop_is_at_whole_pixels():
    matrix = CenterCrop(36, 90).matrix((250, 251))
    np.testing.assert_allclose(transform(matrix, np.array([(80.0, 80), (170, 170)])), [(0, 0), (36, 36)])

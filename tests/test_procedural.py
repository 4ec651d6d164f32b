from __future__ import annotations

import csv
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facesmith.detection.align import LANDMARK_COLUMNS
from facesmith.errors import OutputExists
from facesmith.pictures.images import read_picture
from facesmith.procedural import (
    HAIR_COLORS,
    HAIR_STYLES,
    SEEDS_PER_FOLDER,
    ProceduralFace,
    draw,
    draw_many,
    face_labels,
    landmarks,
    random_face,
    write_faces,
)

SEEDS = st.integers(min_value=0, max_value=2**63)
UNIT = st.floats(0, 1)
BOTH_WAYS = st.floats(-1, 1)


def plain(**changes) -> ProceduralFace:
    """A face that looks straight ahead, with light skin, brown hair and unobstructed features."""
    straight = replace(
        random_face(0),
        hair="short",
        hair_color="brown",
        skin=0.2,
        beard=0.0,
        glasses=False,
        smile=0.5,
        yaw=0.0,
        roll_degrees=0.0,
        light=0.0,
        part=0.0,
    )
    return replace(straight, **changes)


def change(face: ProceduralFace, other: ProceduralFace) -> np.ndarray:
    """The difference of two faces per pixel, `[64, 64]`, 0..255."""
    return np.abs(draw(face).astype(int) - draw(other)).max(axis=-1)


def brightness_at(face: ProceduralFace, x: float, y: float, radius_px: int) -> float:
    """Mean brightness of a square around (x, y) in the face at 128 px."""
    rows, columns = (slice(int(at) - radius_px, int(at) + radius_px + 1) for at in (y, x))
    return float(draw(face, 128)[rows, columns].mean())


def test_same_seed_gives_the_same_face():
    assert random_face(7) == random_face(7)
    np.testing.assert_array_equal(draw(random_face(7)), draw(random_face(7)))
    assert random_face(7) != random_face(8)


def test_faces_of_seeds_never_change_between_versions():
    face = random_face(0)
    assert (face.hair, face.hair_color, face.glasses) == ("bob", "black", False)
    assert face.skin == pytest.approx(0.6369616873214543, abs=1e-15)
    assert face.smile == pytest.approx(0.6066357757671799, abs=1e-15)


def test_different_seeds_give_different_pictures():
    pictures = draw_many(range(400), 32)
    assert len(np.unique(pictures.reshape(400, -1), axis=0)) == 400


def test_every_style_color_and_label_occurs_among_400_faces():
    faces = [random_face(seed) for seed in range(400)]
    assert {face.hair for face in faces} == set(HAIR_STYLES)
    assert {face.hair_color for face in faces} == set(HAIR_COLORS)
    shares = np.mean([list(face_labels(face).values()) for face in faces], axis=0)
    assert (shares > 0.02).all()
    assert (shares < 0.7).all()


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_attributes_are_in_their_documented_ranges(seed):
    face = random_face(seed)
    both_ways = {"hair_shade", "yaw", "light", "part", "brow_raise"}
    for field in fields(face):
        value = getattr(face, field.name)
        if isinstance(value, float):
            low, high = (-12, 12) if field.name == "roll_degrees" else (-1, 1) if field.name in both_ways else (0, 1)
            assert low <= value <= high, field.name


@settings(max_examples=40, deadline=None)
@given(
    seed=SEEDS,
    size_px=st.integers(16, 80),
    hair=st.sampled_from(HAIR_STYLES),
    smile=UNIT,
    beard=UNIT,
    skin=UNIT,
    yaw=BOTH_WAYS,
    light=BOTH_WAYS,
    roll_degrees=st.floats(-12, 12),
)
def test_every_face_has_its_features_in_the_frame_at_every_size(seed, size_px, **changes):
    face = replace(random_face(seed), **changes)
    picture = draw(face, size_px)
    assert picture.shape == (size_px, size_px, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 5
    points = landmarks(face, size_px)
    assert ((points > 0.1 * size_px) & (points < 0.9 * size_px)).all()
    left_eye, right_eye, nose, left_mouth, right_mouth = points
    assert left_eye[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


@pytest.mark.parametrize(("small_px", "large_px", "tolerance"), [(16, 64, 9), (64, 256, 3)])
def test_all_sizes_show_the_same_face(small_px, large_px, tolerance):
    face, cell = random_face(3), large_px // small_px
    averaged = draw(face, large_px).reshape(small_px, cell, small_px, cell, 3).mean(axis=(1, 3))
    assert np.abs(averaged - draw(face, small_px)).mean() < tolerance


def test_draw_many_gives_the_faces_of_the_seeds():
    pictures = draw_many([5, 2], 32)
    np.testing.assert_array_equal(pictures[0], draw(random_face(5), 32))
    np.testing.assert_array_equal(pictures[1], draw(random_face(2), 32))
    assert draw_many([], 32).shape == (0, 32, 32, 3)


def test_glasses_change_only_the_area_around_the_eyes():
    changed = change(plain(), plain(glasses=True))
    assert changed[22:42, 8:56].max() > 60
    assert changed[:20].max() == changed[44:].max() == 0
    below_eye = landmarks(plain(), 128)[0] + (0, 10)
    assert brightness_at(plain(glasses=True), *below_eye, 2) < brightness_at(plain(), *below_eye, 2) - 30


def test_smile_changes_only_mouth_and_cheeks():
    changed = change(plain(smile=0.0), plain(smile=1.0))
    assert changed[44:54, 22:42].max() > 60
    assert changed[:28].max() < 8
    assert changed[44:54, 22:42].mean() > 10 * changed[28:40].mean()


def test_smile_lifts_and_widens_the_mouth_and_shows_teeth():
    neutral, broad = landmarks(plain(smile=0.0), 128), landmarks(plain(smile=1.0), 128)
    assert broad[4, 0] - broad[3, 0] > 1.2 * (neutral[4, 0] - neutral[3, 0])
    assert (broad[3:, 1] < neutral[3:, 1] - 2).all()
    mouth = slice(84, 104), slice(52, 76)
    assert draw(plain(smile=1.0), 128)[mouth].min(axis=-1).max() > 220
    assert draw(plain(smile=0.0), 128)[mouth].min(axis=-1).max() < 220


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, yaw=st.floats(-0.6, 0.6), roll_degrees=st.floats(-10, 10))
def test_eye_landmarks_are_on_dark_pupils(seed, yaw, roll_degrees):
    face = replace(random_face(seed), hair="short", glasses=False, yaw=yaw, roll_degrees=roll_degrees)
    picture = draw(face, 128).astype(int).sum(axis=-1)
    for x, y in landmarks(face, 128)[:2]:
        around = picture[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3]
        assert around.min() < 150


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, turns=st.tuples(BOTH_WAYS, BOTH_WAYS, BOTH_WAYS, BOTH_WAYS))
def test_face_turned_the_other_way_is_the_mirror_image(seed, turns):
    yaw, roll, light, part = turns
    straight = replace(random_face(seed), hair="bald")
    face = replace(straight, yaw=yaw, roll_degrees=12 * roll, light=light, part=part)
    other = replace(straight, yaw=-yaw, roll_degrees=-12 * roll, light=-light, part=-part)
    difference = np.abs(draw(face, 48).astype(int) - draw(other, 48)[:, ::-1])
    assert difference.max() <= 2
    mirrored = landmarks(other, 48)[[1, 0, 2, 4, 3]] * (-1, 1) + (48, 0)
    np.testing.assert_allclose(landmarks(face, 48), mirrored, atol=1e-9)


def test_yaw_moves_the_nose_further_than_the_eyes():
    shift = landmarks(plain(yaw=0.8), 64)[:, 0] - landmarks(plain(), 64)[:, 0]
    assert shift[2] > shift[:2].max() > shift[:2].min() > 2


@pytest.mark.parametrize("style", [style for style in HAIR_STYLES if style != "bald"])
def test_hair_color_changes_every_style_but_not_bald_heads(style):
    forelock = (slice(2, 12), slice(28, 36))
    black, blond = (draw(plain(hair=style, hair_color=color))[forelock].mean() for color in ("black", "blond"))
    assert blond > black + 60
    bald = [draw(plain(hair="bald", hair_color=color))[forelock].mean() for color in ("black", "blond")]
    assert bald[0] == bald[1]


def test_darker_skin_and_fuller_beard_darken_the_chin():
    chin = (64, 112)
    assert brightness_at(plain(skin=0.9), *chin, 4) < brightness_at(plain(skin=0.1), *chin, 4) - 60
    shades = [brightness_at(plain(beard=beard), *chin, 4) for beard in (0.0, 0.4, 1.0)]
    assert shades[0] > shades[1] + 20
    assert shades[1] > shades[2] + 20


def test_folder_has_the_faces_with_their_labels_and_landmarks(tmp_path):
    out = write_faces(tmp_path / "faces", 3, size_px=32, seed=2)
    with (out / "metadata.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert sorted(path.name for path in out.iterdir()) == ["000000.png", "000001.png", "000002.png", "metadata.csv"]
    assert [row["file_name"] for row in rows] == ["000000.png", "000001.png", "000002.png"]
    for i, row in enumerate(rows):
        face = random_face(2 * SEEDS_PER_FOLDER + i)
        np.testing.assert_array_equal(read_picture(out / row["file_name"]), draw(face, 32))
        assert {name: int(row[name]) for name in face_labels(face)} == face_labels(face)
        written = np.array([float(row[name]) for name in LANDMARK_COLUMNS]).reshape(5, 2)
        np.testing.assert_allclose(written, landmarks(face, 32), atol=0.006)


def test_labels_match_the_face():
    labels = face_labels(plain(hair="bald", glasses=True, smile=0.9, yaw=-0.5, beard=0.0))
    assert [name for name, yes in labels.items() if yes] == ["smiling", "eyeglasses", "bald", "looking_left"]
    assert face_labels(plain(hair="long", hair_color="blond"))["blond_hair"] == 1


def test_folder_is_replaced_only_with_force(tmp_path):
    write_faces(tmp_path, 3, size_px=16)
    with pytest.raises(OutputExists, match="--force"):
        write_faces(tmp_path, 2, size_px=16)
    write_faces(tmp_path, 2, size_px=16, seed=1, force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000.png", "000001.png", "metadata.csv"]
    np.testing.assert_array_equal(read_picture(tmp_path / "000000.png"), draw(random_face(SEEDS_PER_FOLDER), 16))

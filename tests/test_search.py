"""Faces that are hard to see: photos on their side, faces cut by the edge, close-ups; reasons for no face."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from pictures import photo, portrait, without_face
from PIL import Image

from facesmith.detection import search as search_module
from facesmith.detection.align import Alignment, align
from facesmith.detection.detect import Detector
from facesmith.detection.search import NO_FACE, search, turn_back
from facesmith.errors import BadPicture
from facesmith.inversion.face_template import FaceTemplate, locate_face
from facesmith.inversion.paste import paste_into_original
from facesmith.pictures.original_photo import OriginalPhoto

TEMPLATE = FaceTemplate(Alignment(64).targets() / 64, "extracted")


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def turned(picture: Image.Image, quarter_turns: int) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(np.asarray(picture), quarter_turns))


def only(detector, pixels):
    (result,) = search(detector, [np.ascontiguousarray(pixels)])
    return result


@given(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9), st.data())
def test_turning_back_finds_the_pixel(quarter_turns, height, width, data):
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    picture = np.zeros((height, width))
    picture[y, x] = 1
    ((turned_y, turned_x),) = np.argwhere(np.rot90(picture, quarter_turns))
    point = turn_back(np.array([turned_x + 0.5, turned_y + 0.5]), quarter_turns, (height, width))
    np.testing.assert_array_equal(point, (x + 0.5, y + 0.5))


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_photo_on_its_side_gives_the_upright_face(detector, quarter_turns):
    picture = photo().crop((60, 0, 360, 400))
    upright = only(detector, np.asarray(picture))
    found = only(detector, turned(picture, quarter_turns))
    assert found.reason is None
    assert len(found.faces) == 1
    crops = [
        align(pixels, result.faces.landmarks[0], Alignment())[0].astype(int)
        for pixels, result in ((np.asarray(picture), upright), (turned(picture, quarter_turns), found))
    ]
    assert abs(crops[0] - crops[1]).mean() < 8
    # The box refers to the turned photo: it contains the landmarks there.
    left, top, width, height = found.faces.boxes[0]
    x, y = found.faces.landmarks[0].T
    assert ((left < x) & (x < left + width) & (top < y) & (y < top + height)).all()


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_face_is_pasted_back_into_a_photo_on_its_side(quarter_turns):
    sideways = turned(portrait(), quarter_turns)
    located = locate_face(sideways, TEMPLATE, 64, 3)
    original, points = OriginalPhoto(sideways, sideways), TEMPLATE.targets(64)
    same = paste_into_original(original, located.face, located.matrix, points, keys=())
    assert np.abs(same.astype(int) - sideways).mean() < 1.5
    flipped = paste_into_original(original, located.face[::-1], located.matrix, points, keys=())
    assert np.abs(flipped.astype(int) - sideways).mean() > 3


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_faces_cut_by_the_edge_are_found(detector, side):
    left, top, right, bottom = {"left": (75, 0, 200, 200), "right": (0, 0, 130, 200), "top": (0, 80, 200, 200),
        "bottom": (0, 0, 200, 125)}[side]  # fmt: skip
    full = only(detector, np.asarray(portrait())).faces
    found = only(detector, np.asarray(portrait())[top:bottom, left:right])
    assert found.reason is None
    assert np.abs(found.faces.landmarks[0] + (left, top) - full.landmarks[0]).mean() < 4


def test_close_ups_that_fill_the_photo_are_found(detector):
    left, top, width, height = 182, 75, 85, 85  # from the brows to the lips
    close_up = np.asarray(photo().crop((left, top, left + width, top + height)).resize((340, 340)))
    found = only(detector, close_up)
    assert found.reason is None
    assert found.faces.boxes[0, 3] > 340


def test_large_photos_cost_no_more_than_small_ones(detector, monkeypatch):
    sizes = []
    detect = Detector.detect

    def record(self, photos):
        sizes.append(max(each.size for each in photos))
        return detect(self, photos)

    monkeypatch.setattr(Detector, "detect", record)
    only(detector, np.asarray(without_face().resize((1200, 900))))
    assert max(sizes[1:]) < sizes[0] / 3


def test_a_certain_face_needs_no_second_pass(detector, monkeypatch):
    monkeypatch.setattr(search_module, "_second_pass", lambda *_: pytest.fail("looked again"))
    assert len(only(detector, np.asarray(portrait())).faces) == 1


def test_pictures_without_a_face_still_have_none(detector):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (size, size, 3), np.uint8) for size in (3, 6, 12, 24)]
    textures = [np.asarray(Image.fromarray(each).resize((160, 160), Image.Resampling.BICUBIC)) for each in noise]
    for pixels in (np.asarray(without_face()), *textures):
        assert only(detector, pixels).reason == NO_FACE


def test_small_faces_are_the_reason(detector):
    small = np.asarray(photo().resize((100, 100), Image.Resampling.LANCZOS))
    assert only(detector, small).reason == "too small: 20 px, less than --min-face 40"


def test_a_large_face_that_was_missed_is_not_called_too_small(detector):
    assert search_module._too_small(detector, np.asarray(portrait().resize((600, 600)))) is None


def test_a_face_that_only_looks_like_one_when_turned_is_a_question(detector, monkeypatch):
    monkeypatch.setattr(search_module, "CERTAIN", 1.1)  # no face is certain
    assert only(detector, turned(portrait(), 1)).reason == (
        "lying on its side?: perhaps a face; turn the photo by 90 degrees clockwise"
    )
    assert only(detector, turned(portrait(), 2)).reason.startswith("upside down?: ")
    left_half = np.asarray(portrait())[:, 110:]
    assert only(detector, left_half).reason.startswith("cut off by the photo's edge: perhaps a face, ")


def test_invert_gives_the_same_reason(monkeypatch):
    monkeypatch.setattr(search_module, "CERTAIN", 1.1)
    with pytest.raises(BadPicture, match=r"^lying on its side\?: .* \(in 200x200 pixels\)$"):
        locate_face(turned(portrait(), 1), TEMPLATE, 64, 3)

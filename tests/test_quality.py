import numpy as np
import pytest
from pictures import portrait
from PIL import Image, ImageEnhance, ImageFilter

from facesmith.detection.align import DEFAULT_FRAME, MAX_FRAME, MIN_FRAME, Alignment, similarity
from facesmith.detection.quality import MAX_BLUR, blur, geometry_fault

TARGETS = Alignment(64).targets()


def face() -> Image.Image:
    return portrait().crop((40, 30, 160, 150)).resize((64, 64), Image.Resampling.LANCZOS)


def test_blur_increases_with_blurring():
    blurs = [blur(np.asarray(face().filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 0.5, 1, 2, 4)]
    assert blurs == sorted(blurs)
    assert blurs[0] < MAX_BLUR < blurs[3]
    assert 0 < blurs[0] < blurs[-1] < 1


@pytest.mark.parametrize("change", [ImageEnhance.Brightness, ImageEnhance.Contrast])
def test_brightness_and_contrast_do_not_change_blur(change):
    assert blur(np.asarray(change(face()).enhance(0.5))) == pytest.approx(blur(np.asarray(face())), rel=0.2)


def test_uniform_color_is_fully_blurred():
    assert blur(np.full((64, 64, 3), 90, np.uint8)) == 1.0


def fault_of(box, points, photo_size=(400, 400), min_face_px=40, frame=DEFAULT_FRAME):
    alignment = Alignment(64, frame)
    matrix = similarity(np.array(points), alignment.targets())
    return geometry_fault(np.array(box, np.float32), matrix, photo_size, alignment, min_face_px)


def test_good_face_has_no_fault():
    assert fault_of((100, 100, 60, 60), TARGETS + 100) is None


def test_small_faces_are_rejected():
    assert fault_of((100, 100, 39, 30), TARGETS + 100) == "too small: 39 px, less than --min-face 40"


@pytest.mark.parametrize(("left", "share"), [(-20, "33%"), (500, "100%")])
def test_faces_cut_off_by_the_edge_are_rejected(left, share):
    reason = f"cut off by the photo's edge: {share} of the face"
    assert fault_of((left, 100, 60, 60), TARGETS + np.array((left, 100))) == reason


def test_faces_slightly_beyond_the_edge_are_good():
    assert fault_of((-10, 100, 60, 60), TARGETS + np.array((-10, 100))) is None


@pytest.mark.parametrize("frame", [MIN_FRAME, 2.45, 5, 9, MAX_FRAME])
def test_whether_landmarks_fit_the_box_does_not_depend_on_the_frame(frame):
    assert fault_of((100, 100, 60, 60), TARGETS + 100, frame=frame) is None
    assert fault_of((100, 100, 60, 60), TARGETS * 10 + 100, frame=frame) == "eyes and mouth do not fit the face"


@pytest.mark.parametrize("scale", [0.0, 0.1, 10.0])
def test_landmarks_that_do_not_fit_the_box_are_rejected(scale):
    """Otherwise the crop would be the whole photo, or a few pixels."""
    assert fault_of((100, 100, 60, 60), TARGETS * scale + 100) == "eyes and mouth do not fit the face"

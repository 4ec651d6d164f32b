import numpy as np
import pytest
from pictures import portrait
from PIL import Image, ImageEnhance, ImageFilter

from facesmith.photos.align import Alignment, similarity
from facesmith.photos.near_duplicates import perceptual_hash
from facesmith.photos.quality import MAX_BLUR, Known, blur, fault

TARGETS = Alignment(64).targets()


def face() -> Image.Image:
    return portrait().crop((40, 30, 160, 150)).resize((64, 64), Image.Resampling.LANCZOS)


def test_blur_rises_with_blurring():
    blurs = [blur(np.asarray(face().filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 0.5, 1, 2, 4)]
    assert blurs == sorted(blurs)
    assert blurs[0] < MAX_BLUR < blurs[3]
    assert 0 < blurs[0] < blurs[-1] < 1


@pytest.mark.parametrize("change", [ImageEnhance.Brightness, ImageEnhance.Contrast])
def test_dark_and_flat_photos_are_no_more_blurred(change):
    assert blur(np.asarray(change(face()).enhance(0.5))) == pytest.approx(blur(np.asarray(face())), rel=0.2)


def test_one_colour_is_blurred():
    assert blur(np.full((64, 64, 3), 90, np.uint8)) == 1.0


def judged(box, points, photo_size=(400, 400), min_face_px=40):
    return fault(np.array(box, np.float32), similarity(np.array(points), TARGETS), photo_size, 64, min_face_px)


def test_good_faces_have_no_fault():
    assert judged((100, 100, 60, 60), TARGETS + 100) is None


def test_small_faces_are_refused():
    assert judged((100, 100, 39, 30), TARGETS + 100) == "too small: 39 px, fewer than --min-face 40"


def test_faces_cut_off_by_the_edge_are_refused():
    assert judged((-20, 100, 60, 60), TARGETS + np.array((-20, 100))) == "cut off by the photo's edge: 33% of the face"
    assert judged((-10, 100, 60, 60), TARGETS + np.array((-10, 100))) is None
    assert judged((500, 100, 60, 60), TARGETS + np.array((500, 100))) == "cut off by the photo's edge: 100% of the face"


@pytest.mark.parametrize("scale", [0.0, 0.1, 10.0])
def test_landmarks_that_do_not_fit_the_box_are_refused(scale):
    """They would make a crop of the whole photo, or of a few pixels."""
    assert judged((100, 100, 60, 60), TARGETS * scale + 100) == "eyes and mouth do not fit the face"


def test_near_duplicates_are_known_again():
    known = Known()
    pictures = [np.asarray(face()), np.asarray(face().rotate(90)), np.asarray(face().rotate(180))]
    assert [known.nearest(perceptual_hash(picture)) for picture in pictures] == [None, None, None]
    assert [known.add(perceptual_hash(picture)) for picture in pictures] == [0, 1, 2]
    bright = np.asarray(ImageEnhance.Brightness(face().rotate(90)).enhance(1.2))
    assert known.nearest(perceptual_hash(bright)) == 1
    assert known.nearest(perceptual_hash(np.asarray(face().rotate(270)))) is None


def test_many_faces_are_remembered():
    known = Known()
    hashes = np.random.default_rng(0).integers(0, 2**64, (3000, 4), np.uint64, endpoint=False)
    for hash_ in hashes:
        known.add(hash_)
    assert [known.nearest(hashes[i]) for i in (0, 1023, 1024, 2999)] == [0, 1023, 1024, 2999]

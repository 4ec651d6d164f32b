"""How a model's faces are framed: where their eyes, noses and mouths lie, and a photo's face brought there.

Faces that `extract` has cut say so in the model's header. Those of other makers don't: there it is estimated from the
landmarks that the detector finds in the faces themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from facesmith.errors import BadModel, BadPicture
from facesmith.io.images import Pixels, as_rgb, crop_and_resize, resize, to_gray
from facesmith.photos.align import Alignment, Matrix, Points, framing_from_header, similarity, transform, warp
from facesmith.photos.detect import Detections, Detector

LOOKED_AT = 400  # faces from which a template is estimated
FEWEST, LEAST_SHARE = 20, 0.3  # faces with landmarks, below which there is no template
SEARCHED_PX = 96  # to which faces are resized to be searched: smaller ones hide their landmarks
FACE_SHARE = 0.4  # of a picture's side, from which a face fills it
SURE = 0.9
NEAR = 0.045  # parts of the side by which landmarks may miss the template, on average, in a face that is framed alike
COARSE, SMALLEST_FACE_PX = 16, 24  # a face is first looked for from a sixteenth of the photo's shorter side up


@dataclass(frozen=True)
class FaceTemplate:
    """Where landmarks lie in a model's faces.

    Attributes:
        points: `[5, 2]`: eyes, nose, corners of the mouth, in parts of the picture's side.
        source: "extracted", by extract's own settings, or "estimated" from faces.
        count: from how many faces it was estimated.
    """

    points: Points
    source: str
    count: int = 0

    def targets(self, size_px: int) -> Points:
        """Where they should lie in a face of that side, pixels."""
        return self.points * size_px

    def to_values(self) -> dict[str, Any]:
        """Plain values for a header."""
        return {"points": self.points.tolist(), "source": self.source, "count": self.count}


@dataclass(frozen=True)
class LocatedFace:
    """A face found in a photo and framed as the model knows faces.

    Attributes:
        face: uint8 `[S, S, C]`.
        matrix: from the photo to the face, `[2, 3]`.
        found: how many faces the photo shows; 0 where none was looked for.
        framed: whether the photo itself was a face framed alike, so nothing was turned.
    """

    face: Pixels
    matrix: Matrix
    found: int
    framed: bool


def read_template(values: object, name: str) -> FaceTemplate:
    """The template whose `to_values` gave these.

    Raises:
        BadModel: these are none; `name` says whose they are.
    """
    try:
        assert isinstance(values, Mapping)
        points = np.asarray(values["points"], np.float64)
        source, count = values["source"], values["count"]
        if points.shape != (5, 2) or not (np.abs(points) < 10).all():  # a NaN is not less either
            raise ValueError
        if source not in ("extracted", "estimated") or type(count) is not int:
            raise ValueError
    except (AssertionError, KeyError, ValueError, TypeError, OverflowError):
        raise BadModel(f"{name}: what it tells of the alignment of faces is damaged.") from None
    return FaceTemplate(points, source, count)


def extracted_template(header: Mapping[str, Any]) -> FaceTemplate | None:
    """The template of faces that extract has found and cut; None where the model's header names no such."""
    alignment = header.get("alignment")
    if not isinstance(alignment, Mapping) or alignment.get("layout") != "eyes-nose-mouth-1":
        return None
    held = framing_from_header(alignment)
    assert isinstance(held, Alignment)
    return FaceTemplate(held.targets() / held.size, "extracted")


def estimate_template(faces: Pixels) -> FaceTemplate | None:
    """The template that faces `[N, S, S, C]` have in common; None where too few of them show landmarks."""
    detector, found = Detector(int(FACE_SHARE * SEARCHED_PX), SURE), []
    for start in range(0, len(faces), 32):
        batch = [resize(as_rgb(face), SEARCHED_PX) for face in faces[start : start + 32]]
        found += [each.landmarks[by_size(each)[0]] for each in detector.detect(batch) if len(each)]
    if len(found) < max(FEWEST, LEAST_SHARE * len(faces)):
        return None
    # The median, since in some faces the detector takes a hand or a collar for a mouth.
    points = np.median(np.stack(found).astype(np.float64), axis=0) / SEARCHED_PX
    return FaceTemplate(points.round(5), "estimated", len(found))


def locate_face(
    photo: Pixels, template: FaceTemplate | None, size_px: int, channels: int, *, which: int = 1
) -> LocatedFace:
    """The face of a photo `[H, W, C]`, framed as the template says.

    Args:
        which: 1 is the largest, 2 the next.

    Raises:
        BadPicture: it shows no face, or fewer than `which`.
        BadModel: there is no template.
    """
    if template is None:
        raise BadModel(
            "How this model's faces are framed isn't known, since no landmarks were found in them. "
            "Give pictures framed like them, with --aligned."
        )
    photo = as_rgb(photo)
    found = find_faces(photo, which)
    if not len(found):
        height, width = photo.shape[:2]
        raise BadPicture(f"no face found in its {width}x{height} pixels; a face that is cut out already: --aligned")
    if which > len(found):
        raise BadPicture(f"--face {which}: it shows {len(found)} face{'s' if len(found) > 1 else ''}.")
    landmarks = found.landmarks[by_size(found)[which - 1]].astype(np.float64)
    if min(photo.shape[:2]) >= size_px and len(found) == 1:
        whole = middle(photo, size_px)
        missed = np.linalg.norm(transform(whole, landmarks) / size_px - template.points, axis=1).mean()
        if missed <= NEAR:
            return LocatedFace(crop_and_resize(photo, size_px, channels), whole, 1, True)
    matrix = similarity(landmarks, template.targets(size_px))
    face = warp(photo, matrix, size_px)
    return LocatedFace(to_gray(face) if channels == 1 else face, matrix, len(found), False)


def middle(photo: Pixels, size_px: int) -> Matrix:
    """The transform from a photo to its middle square of that side."""
    height, width = photo.shape[:2]
    side = min(height, width)
    scale = size_px / side
    return np.array([[scale, 0, -((width - side) // 2) * scale], [0, scale, -((height - side) // 2) * scale]])


def find_faces(photo: Pixels, which: int) -> Detections:
    """The faces of a photo `[H, W, 3]`: large ones first, and small ones where those do not suffice."""
    side = min(photo.shape[:2])
    sizes = sorted({max(SMALLEST_FACE_PX, side // COARSE), SMALLEST_FACE_PX}, reverse=True)
    for min_face_px in sizes:
        (found,) = Detector(min_face_px, SURE).detect([photo])
        if len(found) >= which:
            break
    return found


def by_size(found: Detections) -> list[int]:
    """Places of the faces, from the largest to the smallest."""
    return [int(i) for i in np.argsort(-found.boxes[:, 2:].prod(axis=1), kind="stable")]

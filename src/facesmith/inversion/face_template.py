"""Face templates: where eyes, nose and mouth lie in a model's faces.

A photo's face is aligned to the template of a model before it is inverted. Models trained on faces from
`facesmith extract` store the alignment in their header. For other models, the template is estimated from landmarks that
the face detector finds in the training faces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from facesmith.detection.align import (
    ALIGNED_LAYOUT,
    Alignment,
    Matrix,
    Points,
    framing_from_header,
    similarity,
    transform,
    warp,
)
from facesmith.detection.detect import Detections, Detector
from facesmith.detection.search import NO_FACE, SearchResult, search
from facesmith.errors import BadModel, BadOption, BadPicture
from facesmith.io.progress import bar
from facesmith.pictures.images import Pixels, as_rgb, crop_and_resize, resize, to_gray

MAX_ESTIMATION_FACES = 400  # faces from which a template is estimated
MIN_LANDMARK_FACES, MIN_LANDMARK_SHARE = 20, 0.3  # fewer faces with landmarks (or a smaller share) give no template
ESTIMATION_SIZE_PX = 96  # size of faces for the detector, which misses landmarks in smaller ones
BATCH_SIZE = 32  # faces that the detector searches at once, for the estimate
MIN_FACE_SHARE = 0.4  # of the picture's side that a face covers at least, for the estimate
CONFIDENCE_THRESHOLD = 0.9
ALIGNED_TOLERANCE = 0.045  # mean landmark error, as a share of the side, up to which a photo counts as aligned already
MIN_FACE_FRACTION, MIN_FACE_PX = 16, 24  # smallest faces: first 1/16 of the photo's shorter side, then 24 pixels


@dataclass(frozen=True)
class FaceTemplate:
    """Where the landmarks lie in a model's faces.

    Attributes:
        points: `[5, 2]`, x and y of eyes, nose and corners of the mouth, as shares of the picture's side.
        source: "extracted" from the alignment of `facesmith extract`, or "estimated" from faces.
        count: number of faces that the estimate is based on.
    """

    points: Points
    source: str
    count: int = 0

    def targets(self, size_px: int) -> Points:
        """Return the landmarks `[5, 2]` in pixels, for faces of `size_px` x `size_px`."""
        return self.points * size_px

    def to_values(self) -> dict[str, Any]:
        """Return JSON values for a header; `read_template` is the inverse."""
        return {"points": self.points.tolist(), "source": self.source, "count": self.count}


@dataclass(frozen=True)
class LocatedFace:
    """A face that was found in a photo and aligned to a template.

    Attributes:
        face: uint8 `[S, S, C]`.
        matrix: `[2, 3]`, the transform from photo to face.
        face_count: how many faces the detector found; 0 if the detector was not used.
        aligned_already: the photo was an aligned face itself, so it was only cropped and resized.
    """

    face: Pixels
    matrix: Matrix
    face_count: int
    aligned_already: bool


def read_template(values: object, name: str) -> FaceTemplate:
    """Return the template that `FaceTemplate.to_values` wrote.

    Args:
        name: of the file, for the error message.

    Raises:
        BadModel: the values are not a template.
    """
    damaged = BadModel(f"{name}: the face template in its header is damaged; expected points, source and count.")
    if not isinstance(values, Mapping):
        raise damaged
    try:
        points = np.asarray(values["points"], np.float64)
        source, count = values["source"], values["count"]
    except (KeyError, ValueError, TypeError, OverflowError):
        raise damaged from None
    if points.shape != (5, 2) or not (np.abs(points) < 10).all():  # NaN fails the comparison, too
        raise damaged
    if source not in ("extracted", "estimated") or type(count) is not int:
        raise damaged
    return FaceTemplate(points, source, count)


def extracted_template(header: Mapping[str, Any]) -> FaceTemplate | None:
    """Return the template of faces that `facesmith extract` aligned, or None if the model's header has no alignment."""
    values = header.get("alignment")
    if not isinstance(values, Mapping) or values.get("layout") != ALIGNED_LAYOUT:
        return None
    alignment = framing_from_header(values)
    assert isinstance(alignment, Alignment), "the only framing with this layout"
    return FaceTemplate(alignment.targets() / alignment.size, "extracted")


def estimate_template(faces: Pixels, console: Console | None = None) -> FaceTemplate | None:
    """Return the median landmarks of faces `[N, S, S, C]`, or None if the detector finds too few of them."""
    detector, landmarks = Detector(int(MIN_FACE_SHARE * ESTIMATION_SIZE_PX), CONFIDENCE_THRESHOLD), []
    starts, task = range(0, len(faces), BATCH_SIZE), f"finding landmarks in {len(faces)} faces, {BATCH_SIZE} at a time"
    for start in bar(starts, len(starts), task, console or Console(quiet=True)):
        batch = [resize(as_rgb(face), ESTIMATION_SIZE_PX) for face in faces[start : start + BATCH_SIZE]]
        landmarks += [each.landmarks[by_size(each)[0]] for each in detector.detect(batch) if len(each)]
    if len(landmarks) < max(MIN_LANDMARK_FACES, MIN_LANDMARK_SHARE * len(faces)):
        return None
    # The median, since the detector sometimes takes a hand or a collar for a mouth.
    points = np.median(np.stack(landmarks).astype(np.float64), axis=0) / ESTIMATION_SIZE_PX
    return FaceTemplate(points.round(5), "estimated", len(landmarks))


def locate_face(
    photo: Pixels, template: FaceTemplate | None, size_px: int, channels: int, *, which: int = 1
) -> LocatedFace:
    """Find a face in a photo and align it to the template.

    Args:
        photo: uint8 `[H, W, C]`.
        size_px: side of the aligned face.
        channels: of the aligned face, 1 or 3.
        which: 1 is the largest face, 2 the next.

    Raises:
        BadOption: `which` is below 1.
        BadPicture: the photo has no face, or fewer than `which`.
        BadModel: there is no template.
    """
    if which < 1:
        raise BadOption(f"face is {which}; the largest face is 1, the next 2.")
    if template is None:
        raise BadModel(
            "This model has no face template, since no landmarks were found in its faces. "
            "Use --aligned with pictures that are framed like the model's faces."
        )
    photo = as_rgb(photo)
    found = find_faces(photo, which)
    faces = found.faces
    if found.reason is not None:
        height, width = photo.shape[:2]
        may_be_crop = height == width and found.reason == NO_FACE
        advice = "; if it is a cropped face, use --aligned" if may_be_crop else ""
        raise BadPicture(f"{found.reason} (in {width}x{height} pixels){advice}")
    if which > len(faces):
        raise BadPicture(f"--face {which}: it shows {len(faces)} face{'s' if len(faces) > 1 else ''}.")
    landmarks = faces.landmarks[by_size(faces)[which - 1]].astype(np.float64)
    if min(photo.shape[:2]) >= size_px and len(faces) == 1:
        square = center_square_matrix(photo, size_px)
        error = np.linalg.norm(transform(square, landmarks) / size_px - template.points, axis=1).mean()
        if error <= ALIGNED_TOLERANCE:
            return LocatedFace(crop_and_resize(photo, size_px, channels), square, 1, True)
    matrix = similarity(landmarks, template.targets(size_px))
    face = warp(photo, matrix, size_px)
    return LocatedFace(to_gray(face) if channels == 1 else face, matrix, len(faces), False)


def center_square_matrix(photo: Pixels, size_px: int) -> Matrix:
    """Return the transform `[2, 3]` from a photo to its center square, resized to `size_px`."""
    height, width = photo.shape[:2]
    side = min(height, width)
    scale = size_px / side
    return np.array([[scale, 0, -((width - side) // 2) * scale], [0, scale, -((height - side) // 2) * scale]])


def find_faces(photo: Pixels, count: int) -> SearchResult:
    """Find faces in a photo `[H, W, 3]`: large ones first, then small ones if fewer than `count` were found."""
    side = min(photo.shape[:2])
    for min_face_px in sorted({max(MIN_FACE_PX, side // MIN_FACE_FRACTION), MIN_FACE_PX}, reverse=True):
        (found,) = search(Detector(min_face_px, CONFIDENCE_THRESHOLD), [photo])
        if len(found.faces) >= count:
            break
    return found


def by_size(faces: Detections) -> list[int]:
    """Return the indices of detected faces, the largest first."""
    return [int(i) for i in np.argsort(-faces.boxes[:, 2:].prod(axis=1), kind="stable")]

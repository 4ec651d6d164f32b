"""Find the faces of photos, and say why a photo has none.

First the detector searches each photo as it is. Where it finds nothing certain, a second pass follows: the photo is
reduced, surrounded by gray, and searched upright and turned by 90, 180 and 270 degrees. So it finds faces that lie on
their side, that the photo's edge cuts, or that are larger than the photo. Such a face counts only if the detector finds
it again in its own aligned crop, at the same place. This rejects most patterns that only look like a face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from facesmith.detection.align import Alignment, Points, align, transform
from facesmith.detection.detect import Detections, Detector
from facesmith.detection.quality import share_outside
from facesmith.pictures.images import Pixels

FIRST_PASS_CERTAIN = 0.98  # confidence from which a face needs no second pass
CERTAIN = 0.95  # lowest confidence of a second pass's face in its own crop
SECOND_PASS_PX = 240  # shorter side of the reduced photo
SECOND_PASS_MIN_FACE_PX = 40  # of the reduced photo
BORDER_SHARE = 0.3  # width of the gray border, as a share of the shorter side
GRAY_LEVEL = 127
HINT_THRESHOLD = 0.7  # candidates with less confidence say nothing about a photo
HINT_CUT_OFF = 0.25  # share of a candidate's box outside the photo; from this on, the edge is given as the reason

CROP = Alignment(112, 6.3)  # in which a face must be found again
CROP_MIN_FACE_PX = 30
CROP_THRESHOLD = 0.3
MAX_LANDMARK_SHIFT = 0.05  # of CROP's side, mean over the landmarks

TOO_SMALL_MAX_PIXELS = 500_000  # in larger photos, faces that are too small are not searched
TOO_SMALL_SHARE = 0.5  # of the smallest side of a face; smaller ones are not searched

NO_FACE = "no face found"


@dataclass(frozen=True)
class SearchResult:
    """The faces of a photo, and the reason if there is none.

    Attributes:
        faces: in pixels of the photo, whichever way they are turned.
        reason: one line; the text before its first colon is the kind. None if there are faces.
    """

    faces: Detections
    reason: str | None


@dataclass(frozen=True)
class _Candidate:
    """A possible face of the second pass.

    Attributes:
        faces: one face, in pixels of the photo.
        quarter_turns: by which the photo was turned counterclockwise to find it.
        score: the smaller one of its confidences in the photo and in its own crop.
        is_certain: the crop shows the same face.
    """

    faces: Detections
    quarter_turns: int
    score: float
    is_certain: bool


def search(detector: Detector, photos: Sequence[Pixels]) -> list[SearchResult]:
    """Find the faces of photos, uint8 `[H, W, 3]`.

    Args:
        detector: decides the size and probability of faces.
    """
    return [
        SearchResult(faces, None)
        if len(faces) and faces.confidence[0] >= FIRST_PASS_CERTAIN
        else _search_again(detector, photo, faces)
        for photo, faces in zip(photos, detector.detect(photos), strict=True)
    ]


def _search_again(detector: Detector, photo: Pixels, first: Detections) -> SearchResult:
    """The faces of a photo in which the first pass found no certain face."""
    candidates = _second_pass(detector, photo)
    certain = [each for each in candidates if each.is_certain and each.faces.confidence[0] > detector.threshold]
    if certain:
        best = max(certain, key=lambda each: each.score)
        faces = [each.faces for each in certain if each.quarter_turns == best.quarter_turns]
        if best.quarter_turns == 0:  # the first pass may have found faces that are too small for the second
            faces.append(_without(first, faces))
        return SearchResult(_concatenate(faces), None)
    if len(first):
        return SearchResult(first, None)
    size = (photo.shape[0], photo.shape[1])
    return SearchResult(first, _too_small(detector, photo) or _hint(candidates, size) or NO_FACE)


def _second_pass(detector: Detector, photo: Pixels) -> list[_Candidate]:
    """The possible faces of a photo in four orientations, in pixels of the photo."""
    scale = min(1.0, SECOND_PASS_PX / min(photo.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
    small = (
        np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.BILINEAR)) if scale < 1 else photo
    )
    border_px = round(BORDER_SHARE * min(height, width))
    padded = np.pad(small, ((border_px,) * 2, (border_px,) * 2, (0, 0)), constant_values=GRAY_LEVEL)
    turned = [np.ascontiguousarray(np.rot90(padded, turns)) for turns in range(4)]
    min_face_px = max(SECOND_PASS_MIN_FACE_PX, round(detector.min_face_px * scale))
    results = detector.with_settings(min_face_px, min(HINT_THRESHOLD, detector.threshold)).detect(turned)
    crop_detector = detector.with_settings(CROP_MIN_FACE_PX, CROP_THRESHOLD)
    to_photo = np.array((photo.shape[1] / width, photo.shape[0] / height))
    candidates = []
    for turns, faces in enumerate(results):
        for number in range(len(faces)):
            in_crop = _confidence_in_crop(crop_detector, turned[turns], faces.landmarks[number])
            corners = faces.boxes[number].reshape(2, 2).cumsum(0)
            points = np.concatenate((corners, faces.landmarks[number]))
            points = (turn_back(points, turns, (padded.shape[0], padded.shape[1])) - border_px) * to_photo
            low, high = points[:2].min(0), points[:2].max(0)
            confidence = faces.confidence[number : number + 1]
            face = Detections(
                np.concatenate((low, high - low))[None].astype(np.float32),
                confidence,
                points[None, 2:].astype(np.float32),
            )
            score = min(float(confidence[0]), in_crop)
            candidates.append(_Candidate(face, turns, score, in_crop >= CERTAIN))
    return candidates


def turn_back(points: Points, quarter_turns: int, size: tuple[int, int]) -> Points:
    """Points `[..., 2]` of a turned picture as points of the picture before.

    Args:
        quarter_turns: 0-3, by which `np.rot90` turned it counterclockwise.
        size: height and width before.
    """
    height, width = size
    x, y = points[..., 0], points[..., 1]
    before = ((x, y), (width - y, x), (width - x, height - y), (y, height - x))[quarter_turns]
    return np.stack(before, axis=-1)


def _confidence_in_crop(detector: Detector, picture: Pixels, landmarks: Points) -> float:
    """The confidence of a face in its own aligned crop; 0 if it is not at the same place there."""
    crop, matrix = align(picture, landmarks, CROP)
    (faces,) = detector.detect([crop])
    if not len(faces):
        return 0.0
    shifts = np.linalg.norm(transform(matrix, landmarks) - faces.landmarks[0], axis=1)
    return float(faces.confidence[0]) if shifts.mean() <= MAX_LANDMARK_SHIFT * CROP.size else 0.0


def _without(faces: Detections, others: Sequence[Detections]) -> Detections:
    """The faces whose boxes do not contain the center of another one."""
    centers = np.concatenate([each.boxes[:, :2] + each.boxes[:, 2:] / 2 for each in others])[:, None]
    contained = (faces.boxes[:, :2] <= centers) & (centers <= faces.boxes[:, :2] + faces.boxes[:, 2:])  # [others, K, 2]
    rows = ~contained.all(2).any(0)
    return Detections(faces.boxes[rows], faces.confidence[rows], faces.landmarks[rows])


def _concatenate(parts: Sequence[Detections]) -> Detections:
    """All faces, the most confident first."""
    boxes, confidence, landmarks = (
        np.concatenate([getattr(each, name) for each in parts]) for name in ("boxes", "confidence", "landmarks")
    )
    order = np.argsort(-confidence, kind="stable")
    return Detections(boxes[order], confidence[order], landmarks[order])


def _too_small(detector: Detector, photo: Pixels) -> str | None:
    """The reason if the only faces of a photo are too small."""
    if photo.shape[0] * photo.shape[1] > TOO_SMALL_MAX_PIXELS:
        return None
    min_face_px = max(12, round(TOO_SMALL_SHARE * detector.min_face_px))
    (faces,) = detector.with_settings(min_face_px, max(CERTAIN, detector.threshold)).detect([photo])
    if not len(faces) or faces.boxes[:, 2:].max() >= detector.min_face_px:  # a large face was missed for another reason
        return None
    return f"too small: {faces.boxes[:, 2:].max():.0f} px, less than --min-face {detector.min_face_px}"


def _hint(candidates: Sequence[_Candidate], size: tuple[int, int]) -> str | None:
    """What the best candidate that is not certain says about a photo of this (height, width)."""
    for candidate in sorted(candidates, key=lambda each: -each.faces.confidence[0]):
        outside = share_outside(candidate.faces.boxes[0], size)
        if candidate.quarter_turns == 0 and outside > HINT_CUT_OFF:
            return f"cut off by the photo's edge: perhaps a face, {outside:.0%} of it outside"
        if candidate.quarter_turns and candidate.score >= HINT_THRESHOLD:
            kind = "upside down?" if candidate.quarter_turns == 2 else "lying on its side?"
            return f"{kind}: perhaps a face; turn the photo by {360 - 90 * candidate.quarter_turns} degrees clockwise"
    return None

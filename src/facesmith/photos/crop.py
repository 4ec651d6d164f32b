"""One batch of photos -> faces and rejections: load, detect, align, check, encode. Runs in worker threads."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesmith.detection.align import HEAD_FRAME, Alignment, CenterCrop, Matrix, align, inside_photo, similarity, warp
from facesmith.detection.detect import Detections, Detector
from facesmith.detection.quality import MAX_BLUR, blur, fill_fault, geometry_fault
from facesmith.detection.search import search
from facesmith.errors import BadPicture
from facesmith.photos.near_duplicates import Hashes, perceptual_hash
from facesmith.photos.sources import Photo
from facesmith.pictures.images import FirstPicture, Pixels, center_square, resize
from facesmith.pictures.pages import count_text

FaceChoice = Literal["largest", "all"]

MAX_LOADED_PIXELS = 8_000_000  # loaded photos are searched as soon as there are more
THUMBNAIL_PX = 64
# Blur and hash are always computed on this crop, so that they don't depend on --size and --frame.
QUALITY_ALIGNMENT = Alignment(size=64, frame=HEAD_FRAME)


@dataclass(frozen=True)
class DetectedFace:
    """What the detector returns for a face besides its box: a probability, and the landmarks `[5, 2]`."""

    confidence: float
    landmarks: NDArray[np.float32]


@dataclass(frozen=True)
class CroppedFace:
    """A face of sufficient quality. It may still turn out to be a near-duplicate.

    Attributes:
        source: the photo.
        box: `[4]` left, top, width, height in the photo.
        detection: None for center crops, which need no detector.
        blur: see `quality.blur`.
        fill: share of the crop that lies beyond the photo.
        matrix: `[2, 3]` from photo to crop.
        hash: perceptual hash `[4]`.
        png: the encoded crop.
    """

    source: str
    box: NDArray[np.float32]
    detection: DetectedFace | None
    blur: float
    fill: float
    matrix: Matrix
    hash: Hashes
    png: bytes


@dataclass(frozen=True)
class Rejection:
    """A photo without a usable face, or a detected face that is not used.

    Attributes:
        source: the photo.
        reason: one line; the text before its first colon is the kind.
        thumbnail: a small PNG of the photo or face, or None.
    """

    source: str
    reason: str
    thumbnail: bytes | None = None


def kind_of(reason: str) -> str:
    """The kind of a reason, without the details: the text before its first colon."""
    return reason.split(":")[0]


@dataclass
class BatchResult:
    """The faces and rejections of a batch of photos, in the order of the photos."""

    n_photos: int = 0
    n_unreadable: int = 0
    n_faceless: int = 0
    n_generated: int = 0
    outcomes: list[CroppedFace | Rejection] = field(default_factory=list)


class Cropper(Protocol):
    """Turns photos into faces and rejections. Threads share one cropper."""

    def process(self, photos: Sequence[Photo]) -> BatchResult:
        """Faces and rejections of a batch. The result depends on the photos alone."""
        ...


@dataclass(frozen=True)
class AlignedCropper:
    """Detects the faces of photos and crops them aligned."""

    detector: Detector
    alignment: Alignment
    faces: FaceChoice
    min_face_px: int
    max_fill: float

    def process(self, photos: Sequence[Photo]) -> BatchResult:
        result = BatchResult(len(photos))
        loaded: list[tuple[Photo, FirstPicture]] = []
        for photo in photos:
            try:
                picture = photo.read()
                result.n_generated += picture.is_generated
                loaded.append((photo, picture))
            except BadPicture as error:
                result.n_unreadable += 1
                self._search(loaded, result)  # first, to keep the order of the photos
                result.outcomes.append(Rejection(photo.source, f"unreadable: {error}"))
            if sum(picture.pixels.shape[0] * picture.pixels.shape[1] for _, picture in loaded) > MAX_LOADED_PIXELS:
                self._search(loaded, result)
        self._search(loaded, result)
        return result

    def _search(self, loaded: list[tuple[Photo, FirstPicture]], result: BatchResult) -> None:
        """Add the faces of loaded photos to the result, and empty the list."""
        results = search(self.detector, [picture.pixels for _, picture in loaded])
        for (photo, picture), found in zip(loaded, results, strict=True):
            if found.reason is not None:
                result.n_faceless += 1
                result.outcomes.append(Rejection(photo.source, found.reason, _thumbnail(picture.pixels)))
            result.outcomes.extend(self._outcomes(photo.source, picture.pixels, found.faces))
            result.outcomes.extend(_left_out(photo, picture))
        loaded.clear()

    def _outcomes(self, source: str, pixels: Pixels, faces: Detections) -> Iterator[CroppedFace | Rejection]:
        main = main_face(faces.boxes, (pixels.shape[0], pixels.shape[1])) if len(faces) else 0
        for number in range(len(faces)):
            if self.faces == "largest" and number != main:
                yield Rejection(source, "not the main face of its photo: --faces all keeps it")
            else:
                yield self._crop(source, pixels, faces, number)

    def _crop(self, source: str, pixels: Pixels, faces: Detections, number: int) -> CroppedFace | Rejection:
        box, landmarks = faces.boxes[number], faces.landmarks[number]
        matrix = similarity(landmarks, self.alignment.targets())
        size_px = self.alignment.size
        photo_size = (pixels.shape[0], pixels.shape[1])
        reason = geometry_fault(box, matrix, photo_size, self.alignment, self.min_face_px)
        fill = 1 - float(inside_photo(matrix, photo_size, size_px).mean()) if reason is None else 0.0
        reason = reason or fill_fault(fill, self.max_fill)
        if reason is not None:
            return Rejection(source, reason, _thumbnail(_box_pixels(pixels, box)))
        crop = warp(pixels, matrix, size_px)
        is_same = self.alignment == QUALITY_ALIGNMENT
        quality_crop = crop if is_same else align(pixels, landmarks, QUALITY_ALIGNMENT)[0]
        detection = DetectedFace(float(faces.confidence[number]), landmarks)
        return _face_unless_blurred(source, box, detection, fill, matrix, crop, quality_crop)


@dataclass(frozen=True)
class CenterCropper:
    """Crops the middle of photos that are aligned already."""

    framing: CenterCrop

    def process(self, photos: Sequence[Photo]) -> BatchResult:
        result = BatchResult(len(photos))
        for photo in photos:
            try:
                picture = photo.read()
                result.n_generated += picture.is_generated
                result.outcomes += [self._crop(photo.source, picture.pixels), *_left_out(photo, picture)]
            except BadPicture as error:
                result.n_unreadable += 1
                result.outcomes.append(Rejection(photo.source, f"unreadable: {error}"))
        return result

    def _crop(self, source: str, pixels: Pixels) -> CroppedFace | Rejection:
        crop_px, (height, width) = self.framing.crop, pixels.shape[:2]
        if min(height, width) < crop_px:
            return Rejection(source, f"too small: {width}x{height} px, less than --crop {crop_px}", _thumbnail(pixels))
        middle = center_square(pixels, crop_px)
        box = np.array([(width - crop_px) // 2, (height - crop_px) // 2, crop_px, crop_px], np.float32)
        matrix = self.framing.matrix((height, width))
        crop = resize(middle, self.framing.size)
        # How much of the crop is face is unknown, so a crop of 64 px or less is checked at its own size.
        is_small = self.framing.size <= QUALITY_ALIGNMENT.size
        quality_crop = crop if is_small else resize(middle, QUALITY_ALIGNMENT.size)
        return _face_unless_blurred(source, box, None, 0.0, matrix, crop, quality_crop)


def _left_out(photo: Photo, picture: FirstPicture) -> Iterator[Rejection]:
    """A rejection for the pages or frames of a file after the first, if it has any."""
    if picture.n_pictures > 1:
        count = count_text(picture.n_pictures)
        yield Rejection(photo.source, f"further pages or frames of a file: only the first of {count} is used")


def _face_unless_blurred(
    source: str,
    box: NDArray[np.float32],
    detection: DetectedFace | None,
    fill: float,
    matrix: Matrix,
    crop: Pixels,
    quality_crop: Pixels,
) -> CroppedFace | Rejection:
    """The face in `crop`, or a rejection if `quality_crop` (the same face at the size of the check) is too blurred."""
    blurred = blur(quality_crop)
    if blurred > MAX_BLUR:
        return Rejection(source, f"too blurred: {blurred:.2f}, more than {MAX_BLUR}", _png(quality_crop))
    return CroppedFace(source, box, detection, blurred, fill, matrix, perceptual_hash(quality_crop), _png(crop))


def main_face(boxes: NDArray[np.float32], photo_size: tuple[int, int]) -> int:
    """Index of the main one of boxes `[K, 4]` in a photo of this (height, width): large and central.

    Each area is weighted by the distance of the box from the center: 1 in the center, near 0 in the corners.
    """
    center = np.array([photo_size[1] / 2, photo_size[0] / 2])
    offset = np.linalg.norm(boxes[:, :2] + boxes[:, 2:] / 2 - center, axis=1) / np.linalg.norm(center)
    return int(np.argmax(boxes[:, 2] * boxes[:, 3] * np.clip(1 - offset, 0.01, 1) ** 2))


def _box_pixels(pixels: Pixels, box: NDArray[np.float32]) -> Pixels:
    """The part of a photo inside a box `[4]`, at least one pixel."""
    left, top, width, height = box.astype(int).tolist()
    right, bottom = left + width, top + height
    top, left = min(max(top, 0), pixels.shape[0] - 1), min(max(left, 0), pixels.shape[1] - 1)
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def _thumbnail(pixels: Pixels) -> bytes:
    """A PNG of THUMBNAIL_PX, with white bars if the picture is not square."""
    small = Image.fromarray(np.ascontiguousarray(pixels))
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    square = Image.new("RGB", (THUMBNAIL_PX, THUMBNAIL_PX), "white")
    square.paste(small, ((THUMBNAIL_PX - small.width) // 2, (THUMBNAIL_PX - small.height) // 2))
    return _png(np.asarray(square))


def _png(pixels: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()

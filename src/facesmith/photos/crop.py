"""What one worker does with a run of photos: load, find faces (or take what is framed), align, judge, encode."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesmith.errors import BadPicture
from facesmith.io.images import Pixels, center_square, resize
from facesmith.photos.align import Alignment, CenterCrop, Matrix, align, similarity, warp
from facesmith.photos.detect import Detections, Detector
from facesmith.photos.near_duplicates import Hashes, perceptual_hash
from facesmith.photos.quality import MAX_BLUR, blur, fault
from facesmith.photos.sources import Photo

Which = Literal["largest", "all"]

PIXELS_AT_ONCE = 8_000_000
THUMB_PX = 64
JUDGED = Alignment(size=64)  # blur and hash are taken from a crop of this size, so --size and --margin don't count


@dataclass(frozen=True)
class Found:
    """What the detector tells of a face besides its box: a probability, and the landmarks `[5, 2]`."""

    confidence: float
    landmarks: NDArray[np.float32]


@dataclass(frozen=True)
class Face:
    """A face that is good enough, unless it turns out a near-duplicate; `found` is None where none was looked for."""

    source: str
    box: NDArray[np.float32]
    found: Found | None
    blur: float
    matrix: Matrix
    hash: Hashes
    png: bytes


@dataclass(frozen=True)
class Refusal:
    """Something that gives no face: a photo, or a face of it.

    Attributes:
        reason: in words; what stands before its first colon is the kind.
        thumb: a small PNG of it, or None.
    """

    source: str
    reason: str
    thumb: bytes | None = None


def kind_of(reason: str) -> str:
    """What a reason has in common with others of its kind: the words before its first colon."""
    return reason.split(":")[0]


@dataclass
class Cut:
    """What came out of a run of photos, in their order."""

    n_photos: int = 0
    n_unreadable: int = 0
    n_faceless: int = 0
    outcomes: list[Face | Refusal] = field(default_factory=list)


class Cutter(Protocol):
    """Turns photos into faces and refusals; used by many threads at once."""

    def cut(self, photos: Sequence[Photo]) -> Cut:
        """Faces and refusals of a run of photos. Same photos, same result, whatever ran before."""
        ...


@dataclass(frozen=True)
class FaceCutter:
    """Looks for the faces of photos."""

    detector: Detector
    alignment: Alignment
    which: Which
    min_face_px: int

    def cut(self, photos: Sequence[Photo]) -> Cut:
        done = Cut(len(photos))
        loaded: list[tuple[Photo, Pixels]] = []
        for photo in photos:
            try:
                loaded.append((photo, photo.load()))
            except BadPicture as error:
                done.n_unreadable += 1
                self._look_at(loaded, done)  # keeps the order
                done.outcomes.append(Refusal(photo.source, f"unreadable: {error}"))
            if sum(pixels.shape[0] * pixels.shape[1] for _, pixels in loaded) > PIXELS_AT_ONCE:
                self._look_at(loaded, done)
        self._look_at(loaded, done)
        return done

    def _look_at(self, loaded: list[tuple[Photo, Pixels]], done: Cut) -> None:
        """Find the faces of loaded photos and forget the photos."""
        for (photo, pixels), found in zip(loaded, self.detector.detect([p for _, p in loaded]), strict=True):
            if not len(found):
                done.n_faceless += 1
                done.outcomes.append(Refusal(photo.source, "no face found", _thumb(pixels)))
            done.outcomes.extend(self._faces(photo.source, pixels, found))
        loaded.clear()

    def _faces(self, source: str, pixels: Pixels, found: Detections) -> Iterator[Face | Refusal]:
        main = main_face(found.boxes, (pixels.shape[0], pixels.shape[1])) if len(found) else 0
        for number in range(len(found)):
            if self.which == "largest" and number != main:
                yield Refusal(source, "not the main face of its photo: --faces all keeps it")
            else:
                yield self._judged(source, pixels, found, number)

    def _judged(self, source: str, pixels: Pixels, found: Detections, number: int) -> Face | Refusal:
        box, landmarks = found.boxes[number], found.landmarks[number]
        matrix = similarity(landmarks, self.alignment.targets())
        size_px = self.alignment.size
        reason = fault(box, matrix, (pixels.shape[0], pixels.shape[1]), size_px, self.min_face_px)
        if reason is not None:
            return Refusal(source, reason, _thumb(_box_of(pixels, box)))
        crop = warp(pixels, matrix, size_px)
        judged = crop if self.alignment == JUDGED else align(pixels, landmarks, JUDGED)[0]
        told = Found(float(found.confidence[number]), landmarks)
        return _face(source, box, told, matrix, crop, judged)


@dataclass(frozen=True)
class MiddleCutter:
    """Takes the middle of photos whose faces are framed already."""

    framing: CenterCrop

    def cut(self, photos: Sequence[Photo]) -> Cut:
        done = Cut(len(photos))
        for photo in photos:
            try:
                done.outcomes.append(self._middle(photo.source, photo.load()))
            except BadPicture as error:
                done.n_unreadable += 1
                done.outcomes.append(Refusal(photo.source, f"unreadable: {error}"))
        return done

    def _middle(self, source: str, pixels: Pixels) -> Face | Refusal:
        crop_px, (height, width) = self.framing.crop, pixels.shape[:2]
        if min(height, width) < crop_px:
            return Refusal(source, f"too small: {width}x{height} px, fewer than --crop {crop_px}", _thumb(pixels))
        middle = center_square(pixels, crop_px)
        box = np.array([(width - crop_px) // 2, (height - crop_px) // 2, crop_px, crop_px], np.float32)
        matrix = self.framing.matrix((height, width))
        crop = resize(middle, self.framing.size)
        # Nobody knows how much of it is face, so it is judged as it will be seen: small faces may have been softer.
        judged = crop if self.framing.size <= JUDGED.size else resize(middle, JUDGED.size)
        return _face(source, box, None, matrix, crop, judged)


def _face(
    source: str, box: NDArray[np.float32], found: Found | None, matrix: Matrix, crop: Pixels, judged: Pixels
) -> Face | Refusal:
    """A crop as a face, unless `judged`, the same in the size that sharpness is told by, is too blurred."""
    blurred = blur(judged)
    if blurred > MAX_BLUR:
        return Refusal(source, f"too blurred: {blurred:.2f}, more than {MAX_BLUR}", _png(judged))
    return Face(source, box, found, blurred, matrix, perceptual_hash(judged), _png(crop))


def main_face(boxes: NDArray[np.float32], photo_size: tuple[int, int]) -> int:
    """Which of boxes `[K, 4]` is the subject of a photo (height, width): large and central.

    The area counts less the further a box lies from the centre: all of it there, none in the corners.
    """
    centre = np.array([photo_size[1] / 2, photo_size[0] / 2])
    away = np.linalg.norm(boxes[:, :2] + boxes[:, 2:] / 2 - centre, axis=1) / np.linalg.norm(centre)
    return int(np.argmax(boxes[:, 2] * boxes[:, 3] * np.clip(1 - away, 0.01, 1) ** 2))


def _box_of(pixels: Pixels, box: NDArray[np.float32]) -> Pixels:
    """What a box `[4]` shows of a photo, at least one pixel."""
    left, top, width, height = box.astype(int).tolist()
    top, left = min(max(top, 0), pixels.shape[0] - 1), min(max(left, 0), pixels.shape[1] - 1)
    return pixels[top : top + max(1, height), left : left + max(1, width)]


def _thumb(pixels: Pixels) -> bytes:
    """A PNG of at most THUMB_PX, on white where it isn't square."""
    small = Image.fromarray(np.ascontiguousarray(pixels))
    small.thumbnail((THUMB_PX, THUMB_PX))
    square = Image.new("RGB", (THUMB_PX, THUMB_PX), "white")
    square.paste(small, ((THUMB_PX - small.width) // 2, (THUMB_PX - small.height) // 2))
    return _png(np.asarray(square))


def _png(pixels: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()

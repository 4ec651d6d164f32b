"""Rotate, scale and crop a face so that eyes and mouth lie at the same place in every picture.

Coordinates are continuous: the upper left corner of a picture is (0, 0), the center of its first pixel (0.5, 0.5).
A transform is a float64 `[2, 3]` matrix that maps a point `(x, y, 1)` of the photo to a point of the crop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from PIL import Image

from facesmith.errors import BadData
from facesmith.io.json_files import as_schema
from facesmith.io.messages import shorten
from facesmith.pictures.images import Pixels

Matrix = NDArray[np.float64]
Points = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]

DEFAULT_FRAME = 2.45  # that of the bundled generator's faces, so that it can be fine-tuned
HEAD_FRAME = 3.48  # a little more than the CelebA crops of DCGAN tutorials, so that chins are complete
MIN_FRAME, MAX_FRAME = 2.0, 16.0
CHIN_BELOW_EYES = 1.725  # eye distances; every frame reaches at least as far down
MAX_SIZE_PX = 256

ALIGNED_LAYOUT = "eyes-nose-mouth-2"  # in headers
LANDMARK_NAMES = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")  # left is the viewer's left
LANDMARK_COLUMNS = tuple(f"{landmark}_{axis}" for landmark in LANDMARK_NAMES for axis in "xy")  # of tables

# The mean positions of MTCNN's landmarks, in this order, in the 108-pixel square that DCGAN
# tutorials crop from CelebA, as fractions of its side; made symmetric.
LAYOUT = np.array([(0.342, 0.433), (0.658, 0.433), (0.5, 0.627), (0.359, 0.767), (0.641, 0.767)])
EYE_DISTANCE = LAYOUT[1, 0] - LAYOUT[0, 0]
LANDMARKS = (LAYOUT - LAYOUT[:2].mean(0)) / EYE_DISTANCE  # in eye distances from the point between the eyes
CENTER_BELOW_EYES = (0.5 - LAYOUT[0, 1]) / EYE_DISTANCE  # of the CelebA square


@dataclass(frozen=True)
class Alignment:
    """How faces are cropped. Stored in `faces.json` and in models, so that a new photo can be aligned the same way.

    Attributes:
        size: side of the crops in pixels.
        frame: side of the crops in eye distances of an average face.
    """

    size: Annotated[int, Meta(ge=1, le=MAX_SIZE_PX)] = 64
    frame: Annotated[float, Meta(ge=MIN_FRAME, le=MAX_FRAME)] = DEFAULT_FRAME

    def targets(self) -> Points:
        """The positions that the five landmarks should have in the crop, `[5, 2]`, pixels.

        Frames of less than 3 eye distances lie lower, so that the chin stays inside.
        """
        center = np.array((0, max(CENTER_BELOW_EYES, CHIN_BELOW_EYES - self.frame / 2)))
        targets: Points = ((LANDMARKS - center) / self.frame + 0.5) * self.size
        return targets

    def to_values(self) -> dict[str, Any]:
        """Plain values for a JSON header."""
        return {"layout": ALIGNED_LAYOUT, **asdict(self)}


@dataclass(frozen=True)
class CenterCrop:
    """The middle square of photos that are aligned already; no face detection.

    Attributes:
        size: side of the faces in pixels, at most `crop`.
        crop: side in pixels of the square in the middle of each photo.
    """

    size: Annotated[int, Meta(ge=1, le=MAX_SIZE_PX)]
    crop: Annotated[int, Meta(ge=1)]

    def matrix(self, photo_size: tuple[int, int]) -> Matrix:
        """The transform from a photo of this (height, width) to its crop; its edges lie between pixels."""
        scale = self.size / self.crop
        top, left = ((side - self.crop) // 2 for side in photo_size)
        return np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])

    def to_values(self) -> dict[str, Any]:
        """Plain values for a JSON header."""
        return {"layout": "center-crop-1", **asdict(self)}


Framing = Alignment | CenterCrop


def framing_from_header(values: Mapping[str, Any]) -> Framing:
    """The framing that was saved with `to_values`.

    Raises:
        BadData: the layout is unknown, or a value is missing or out of range.
    """
    kinds: dict[str, type[Framing]] = {ALIGNED_LAYOUT: Alignment, "center-crop-1": CenterCrop}
    kind = kinds.get(str(values.get("layout")))
    if kind is None or any(each.name not in values for each in fields(kind)):
        raise BadData(
            f"Unknown alignment {shorten(repr(dict(values)))}; this version supports {' and '.join(kinds)}. "
            "Extract the faces again."
        )
    try:
        return as_schema(dict(values), kind)
    except ValueError as error:
        raise BadData(f"The alignment can't be used: {error}. Extract the faces again.") from None


def frame_from_header(values: object) -> float | None:
    """Side of the faces in eye distances, from the alignment in a header; None if it has none."""
    if not isinstance(values, dict) or values.get("layout") != ALIGNED_LAYOUT:
        return None
    frame = values.get("frame")
    if isinstance(frame, bool) or not isinstance(frame, int | float):
        return None
    return float(frame) if MIN_FRAME <= frame <= MAX_FRAME else None


def similarity(points: Points, targets: Points) -> Matrix:
    """The rotation, scaling and shift that brings points `[N, 2]` closest to targets `[N, 2]`; never a mirror image.

    Least squares over matrices `[[a, -b], [b, a]]`, the two-dimensional case of Umeyama (1991). If all points
    coincide, the scale is 0.
    """
    center, target_center = points.mean(0, dtype=np.float64), targets.mean(0, dtype=np.float64)
    x, y = (points - center).T
    u, v = (targets - target_center).T
    variance = max(float((x * x + y * y).sum()), 1e-12)
    a, b = float((x * u + y * v).sum()) / variance, float((x * v - y * u).sum()) / variance
    rotation = np.array([[a, -b], [b, a]])  # times the scale
    return np.hstack([rotation, (target_center - rotation @ center)[:, None]])


def inverse(matrix: Matrix) -> Matrix:
    """The transform from crop to photo."""
    rotation = np.linalg.inv(matrix[:, :2])
    return np.hstack([rotation, -rotation @ matrix[:, 2:]])


def transform(matrix: Matrix, points: Points) -> Points:
    """Points `[..., 2]` mapped by a transform."""
    moved: Points = points @ matrix[:, :2].T + matrix[:, 2]
    return moved


def align(photo: Pixels, landmarks: Points, alignment: Alignment) -> tuple[Pixels, Matrix]:
    """The aligned face, uint8 `[size, size, 3]`, and the transform from photo to crop.

    Args:
        photo: uint8 `[H, W, 3]`.
        landmarks: `[5, 2]` in pixels of the photo: eyes, nose, corners of the mouth.
    """
    matrix = similarity(landmarks, alignment.targets())
    return warp(photo, matrix, alignment.size), matrix


def warp(photo: Pixels, matrix: Matrix, size_px: int) -> Pixels:
    """The crop `[size_px, size_px, 3]` of a photo `[H, W, 3]`. What lies beyond the photo is filled by `extend`.

    One sample per crop pixel would alias large faces, so they are reduced in three steps. Blocks of photo pixels are
    averaged until two to four blocks are left per crop pixel. These are sampled bicubically on a grid that is at least
    as fine. Lanczos reduces that grid to the crop.
    """
    back = inverse(matrix)
    photo_px_per_crop_px = float(np.hypot(back[0, 0], back[1, 0]))
    block = max(1, int(photo_px_per_crop_px / 2))
    corners = transform(back, np.array([(0, 0), (size_px, 0), (0, size_px), (size_px, size_px)], np.float64))
    region, origin = _region(photo, corners, border_px=2 * block)
    source = Image.fromarray(region).reduce(block)
    oversampling = max(1, int(np.ceil(photo_px_per_crop_px / block)))
    # From a pixel of the fine grid to one of the reduced region.
    sampling = np.hstack([back[:, :2] / (oversampling * block), ((back[:, 2] - origin) / block)[:, None]])
    side = size_px * oversampling
    fine = source.transform((side, side), Image.Transform.AFFINE, sampling.ravel().tolist(), Image.Resampling.BICUBIC)
    crop = np.asarray(fine.resize((size_px, size_px), Image.Resampling.LANCZOS) if oversampling > 1 else fine)
    return extend(crop, inside_photo(matrix, (photo.shape[0], photo.shape[1]), size_px))


def inside_photo(matrix: Matrix, photo_size: tuple[int, int], size_px: int) -> NDArray[np.bool_]:
    """Whether the center of each crop pixel lies inside a photo of this (height, width); `[size_px, size_px]`."""
    centers = np.arange(size_px) + 0.5
    points = transform(inverse(matrix), np.stack(np.meshgrid(centers, centers), axis=-1))
    return np.asarray(((points >= 0) & (points <= photo_size[::-1])).all(-1), np.bool_)


def extend(crop: Pixels, inside: NDArray[np.bool_]) -> Pixels:
    """A crop `[S, S, 3]` whose pixels outside continue the inside smoothly, more and more blurred with distance.

    Sharp content, such as a mirror image, would look like hair or a second face to a generator.

    Source: push-pull interpolation, Gortler et al. 1996, "The Lumigraph", section 3.4.
    """
    if inside.all() or not inside.any():
        return crop
    weight = inside[..., None].astype(np.float64)
    filled = _push_pull(crop * weight, weight).round().clip(0, 255).astype(np.uint8)
    return np.where(inside[..., None], crop, filled)


def _push_pull(weighted: Floats, weight: Floats) -> Floats:
    """Colors `[S, S, 3]`; where the weight `[S, S, 1]` is below 1, averages of larger blocks are mixed in.

    Args:
        weighted: the colors times their weights, which are 0 to 1.
    """
    side = len(weight)
    if side == 1:
        return weighted / np.maximum(weight, 1e-12)
    coarse_side = -(-side // 2)
    odd = ((0, side % 2), (0, side % 2), (0, 0))
    color_sum, weight_sum = (
        np.pad(each, odd).reshape(coarse_side, 2, coarse_side, 2, -1).sum((1, 3)) for each in (weighted, weight)
    )
    share = np.maximum(weight_sum, 1.0)
    coarse = _push_pull(color_sum / share, weight_sum / share)
    planes = [Image.fromarray(plane.astype(np.float32)) for plane in np.moveaxis(coarse, 2, 0)]
    size = (2 * coarse_side, 2 * coarse_side)
    larger = np.stack(
        [np.asarray(plane.resize(size, Image.Resampling.BICUBIC), np.float64) for plane in planes], axis=2
    )
    return weighted + (1 - weight) * larger[:side, :side]


def _region(photo: Pixels, corners: Points, border_px: int) -> tuple[Pixels, NDArray[np.int64]]:
    """The part of a photo around points `[N, 2]`, and its upper left corner (x, y); edge pixels repeat outside."""
    low = np.floor(corners.min(0)).astype(np.int64) - border_px
    high = np.ceil(corners.max(0)).astype(np.int64) + border_px
    rows = np.arange(low[1], high[1]).clip(0, photo.shape[0] - 1)
    columns = np.arange(low[0], high[0]).clip(0, photo.shape[1] - 1)
    return np.ascontiguousarray(photo[np.ix_(rows, columns)]), low

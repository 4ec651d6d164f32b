"""Turn, scale and cut a face out of its photo, so that eyes and mouth lie at the same place in every picture.

Coordinates are continuous: the upper left corner of a picture is (0, 0), the centre of its first pixel (0.5, 0.5).
A transform is a float64 `[2, 3]` matrix that takes a point `(x, y, 1)` of the photo to a point of the crop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesmith.errors import BadData
from facesmith.io.images import Pixels

Matrix = NDArray[np.float64]
Points = NDArray[np.floating[Any]]

DEFAULT_MARGIN = 0.05
MAX_MARGIN = 2.0
MAX_SIZE_PX = 256

# Where MTCNN finds the eyes, the nose and the corners of the mouth on average in the 108-pixel square that DCGAN
# tutorials cut out of CelebA, in parts of its side; made symmetric.
LAYOUT = np.array([(0.342, 0.433), (0.658, 0.433), (0.5, 0.627), (0.359, 0.767), (0.641, 0.767)])


@dataclass(frozen=True)
class Alignment:
    """How faces are cut out; kept in `faces.json` and in models, so that a new photo can be treated alike.

    Attributes:
        size: side of the crops in pixels.
        margin: what is added on each side, in parts of the square that holds a face from forehead to chin.
    """

    size: int = 64
    margin: float = DEFAULT_MARGIN

    def targets(self) -> Points:
        """Where the five landmarks should be in the crop, `[5, 2]`, pixels."""
        return (LAYOUT + self.margin) / (1 + 2 * self.margin) * self.size

    def to_values(self) -> dict[str, Any]:
        """Plain values for a header."""
        return {"layout": "eyes-nose-mouth-1", **asdict(self)}


@dataclass(frozen=True)
class CenterCrop:
    """How faces are cut out of photos that are framed already: no face is looked for.

    Attributes:
        size: side of the faces in pixels, at most `crop`.
        crop: side of the square in the middle of each photo that becomes the face, pixels.
    """

    size: int
    crop: int

    def matrix(self, photo_size: tuple[int, int]) -> Matrix:
        """From a photo (height, width) to its crop, at whole pixels of the photo."""
        scale = self.size / self.crop
        top, left = ((side - self.crop) // 2 for side in photo_size)
        return np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])

    def to_values(self) -> dict[str, Any]:
        """Plain values for a header."""
        return {"layout": "center-crop-1", **asdict(self)}


Framing = Alignment | CenterCrop


def framing_from_header(values: Mapping[str, Any]) -> Framing:
    """The framing whose `to_values` gave these.

    Raises:
        BadData: these values are of another layout, or incomplete.
    """
    kinds: dict[str, type[Framing]] = {"eyes-nose-mouth-1": Alignment, "center-crop-1": CenterCrop}
    kind = kinds.get(str(values.get("layout")))
    try:
        if kind is None:
            raise KeyError
        return kind(**{each.name: values[each.name] for each in fields(kind)})
    except KeyError:
        raise BadData(f"Faces were cut out in a way that this version doesn't know: {dict(values)}.") from None


def similarity(points: Points, targets: Points) -> Matrix:
    """The rotation, scaling and shift that brings points `[N, 2]` closest to targets `[N, 2]`; never a mirror image.

    Least squares over matrices `[[a, -b], [b, a]]`, which Umeyama's solution (1991) comes down to in the plane.
    Points that all coincide give a matrix of scale 0.
    """
    from_centre, to_centre = points.mean(0, dtype=np.float64), targets.mean(0, dtype=np.float64)
    x, y = (points - from_centre).T
    u, v = (targets - to_centre).T
    spread = max(float((x * x + y * y).sum()), 1e-12)
    a, b = float((x * u + y * v).sum()) / spread, float((x * v - y * u).sum()) / spread
    turn = np.array([[a, -b], [b, a]])
    return np.hstack([turn, (to_centre - turn @ from_centre)[:, None]])


def inverse(matrix: Matrix) -> Matrix:
    """The transform back, from crop to photo."""
    turn = np.linalg.inv(matrix[:, :2])
    return np.hstack([turn, -turn @ matrix[:, 2:]])


def transform(matrix: Matrix, points: Points) -> Points:
    """Points `[..., 2]` after a transform."""
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
    """What a transform shows of a photo `[H, W, 3]`, as `[size_px, size_px, 3]`; beyond its edges it is mirrored.

    Large faces are reduced in three steps, since one sample per crop pixel would alias: whole blocks of photo pixels
    are averaged until two to four are left per crop pixel, those are sampled bicubically on a grid at least as fine,
    and Lanczos reduces that grid.
    """
    back = inverse(matrix)
    photo_px_per_crop_px = float(np.hypot(back[0, 0], back[1, 0]))
    block = max(1, int(photo_px_per_crop_px / 2))
    corners = transform(back, np.array([(0, 0), (size_px, 0), (0, size_px), (size_px, size_px)], np.float64))
    region, origin = _region(photo, corners, border_px=2 * block)
    source = Image.fromarray(region).reduce(block)
    finer = max(1, int(np.ceil(photo_px_per_crop_px / block)))
    # From a pixel of the fine grid to one of the reduced region.
    sampling = np.hstack([back[:, :2] / (finer * block), ((back[:, 2] - origin) / block)[:, None]])
    side = size_px * finer
    fine = source.transform((side, side), Image.Transform.AFFINE, sampling.ravel().tolist(), Image.Resampling.BICUBIC)
    return np.asarray(fine.resize((size_px, size_px), Image.Resampling.LANCZOS) if finer > 1 else fine)


def _region(photo: Pixels, corners: Points, border_px: int) -> tuple[Pixels, NDArray[np.int64]]:
    """The part of a photo around points `[N, 2]`, mirrored at the photo's edges, and its upper left corner (x, y)."""
    low = np.floor(corners.min(0)).astype(np.int64) - border_px
    high = np.ceil(corners.max(0)).astype(np.int64) + border_px
    rows, columns = (_mirrored(low[1], high[1], photo.shape[0]), _mirrored(low[0], high[0], photo.shape[1]))
    return np.ascontiguousarray(photo[np.ix_(rows, columns)]), low


def _mirrored(start: int, stop: int, length: int) -> NDArray[np.int64]:
    """Indices start to stop into a line of pixels that is continued by its own mirror image."""
    turned = np.arange(start, stop) % (2 * length)
    return np.where(turned < length, turned, 2 * length - 1 - turned)

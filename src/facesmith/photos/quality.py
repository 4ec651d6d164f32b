"""Which faces are good enough to learn from, and in which words the others are refused."""

from __future__ import annotations

import numpy as np

from facesmith.io.images import Pixels, to_gray
from facesmith.photos.align import Matrix
from facesmith.photos.near_duplicates import NEAR_BITS, Hashes, distance

HALF_BLURRED = 0.08  # chosen by looking at a thousand faces in order of their sharpness
MAX_BLUR = 0.5
CROP_SIDES = (0.6, 4.0)  # a crop's side in sides of the detected box; beyond it the landmarks make no sense
MAX_CUT_OFF = 0.25


def blur(crop: Pixels) -> float:
    """How blurred an aligned face `[64, 64, 3]` is: near 0 is sharp, 0.5 the limit, near 1 has no detail at all.

    The detail is the variance of the Laplacian (Pech-Pacheco et al. 2000) over the variance of the brightness, which
    takes out light and contrast, in the middle half of the picture, where the face is. It changes with the size of a
    picture: compare crops of one size only.
    """
    quarter = crop.shape[0] // 4
    grey = to_gray(crop)[..., 0].astype(np.float64)[quarter:-quarter, quarter:-quarter]
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    detail = float(laplacian.var() / (grey.var() + 1.0))
    return 1 / (1 + detail / HALF_BLURRED)


def fault(box: np.ndarray, matrix: Matrix, photo_size: tuple[int, int], size_px: int, min_face_px: int) -> str | None:
    """Why a face is not worth cutting out, or None.

    Args:
        box: `[4]` left, top, width, height in the photo.
        matrix: `[2, 3]` from photo to crop of `size_px`.
        photo_size: height and width.
    """
    left, top, width, height = box.tolist()
    side = max(width, height)
    if side < min_face_px:
        return f"too small: {side:.0f} px, fewer than --min-face {min_face_px}"
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if not CROP_SIDES[0] * side * scale <= size_px <= CROP_SIDES[1] * side * scale:
        return "eyes and mouth do not fit the face"
    inside = max(0.0, min(left + width, photo_size[1]) - max(left, 0.0)) * max(
        0.0, min(top + height, photo_size[0]) - max(top, 0.0)
    )
    if inside < (1 - MAX_CUT_OFF) * width * height:
        return f"cut off by the photo's edge: {1 - inside / (width * height):.0%} of the face"
    return None


class Known:
    """Perceptual hashes of the faces kept so far: 32 bytes a face."""

    def __init__(self) -> None:
        self._hashes: Hashes = np.empty((1024, 4), np.uint64)
        self._count = 0

    def nearest(self, wanted: Hashes) -> int | None:
        """The number of the first kept face that is a near-duplicate of hash `[4]`, or None."""
        near = np.flatnonzero(distance(self._hashes[: self._count], wanted) <= NEAR_BITS)
        return int(near[0]) if len(near) else None

    def add(self, new: Hashes) -> int:
        """Remember the hash `[4]` of a face that is kept; gives the face's number, from 0."""
        if self._count == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._hashes[self._count] = new
        self._count += 1
        return self._count - 1

"""Which faces are good enough to train on, and the reasons to reject the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facesmith.detection.align import HEAD_FRAME, Alignment, Matrix
from facesmith.pictures.images import Pixels, to_gray

DETAIL_AT_HALF_BLUR = 0.08  # chosen by looking at a thousand faces sorted by their sharpness
MAX_BLUR = 0.5
# Side of a crop of the whole head / side of the detected box. Outside this range the landmarks are wrong.
CROP_TO_BOX_RANGE = (0.6, 4.0)
MAX_CUT_OFF = 0.25  # share of the box outside the photo
DEFAULT_MAX_FILL = 0.2  # share of the crop; chosen by looking at crops sorted by it: from a quarter on, heads dissolve


def blur(crop: Pixels) -> float:
    """How blurred an aligned face `[64, 64, 3]` is: near 0 is sharp, 0.5 is the limit, near 1 has no detail.

    Detail is the variance of the Laplacian (Pech-Pacheco et al. 2000) in the middle half of the picture. It is divided
    by the variance of the brightness, so that light and contrast cancel out. It depends on the size of the picture:
    compare only crops of one size.
    """
    quarter = crop.shape[0] // 4
    gray = to_gray(crop)[..., 0].astype(np.float64)[quarter:-quarter, quarter:-quarter]
    laplacian = 4 * gray[1:-1, 1:-1] - gray[:-2, 1:-1] - gray[2:, 1:-1] - gray[1:-1, :-2] - gray[1:-1, 2:]
    detail = float(laplacian.var() / (gray.var() + 1.0))
    return 1 / (1 + detail / DETAIL_AT_HALF_BLUR)


def geometry_fault(
    box: np.ndarray, matrix: Matrix, photo_size: tuple[int, int], alignment: Alignment, min_face_px: int
) -> str | None:
    """The reason to reject a face for its size or place, or None.

    Args:
        box: `[4]` left, top, width, height in the photo.
        matrix: `[2, 3]` from photo to crop.
        photo_size: height and width.
        alignment: of the crop.
    """
    side = float(box[2:].max())
    if side < min_face_px:
        return f"too small: {side:.0f} px, less than --min-face {min_face_px}"
    box_px = side * float(np.hypot(matrix[0, 0], matrix[1, 0]))  # in the crop
    crop_px = alignment.size * HEAD_FRAME / alignment.frame
    if not CROP_TO_BOX_RANGE[0] * box_px <= crop_px <= CROP_TO_BOX_RANGE[1] * box_px:
        return "eyes and mouth do not fit the face"
    if (outside := share_outside(box, photo_size)) > MAX_CUT_OFF:
        return f"cut off by the photo's edge: {outside:.0%} of the face"
    return None


def fill_fault(fill: float, max_fill: float) -> str | None:
    """The reason to reject a face for the share of its crop that lies beyond the photo, or None."""
    if fill <= max_fill:
        return None
    return f"beyond the photo: {fill:.0%} of the crop, more than --max-fill {max_fill:g}; a smaller --frame needs less"


def share_outside(box: NDArray[np.float32], photo_size: tuple[int, int]) -> float:
    """The share of a box `[4]` (left, top, width, height) outside a photo of this (height, width)."""
    left, top, width, height = (float(value) for value in box)
    inside_width = max(0.0, min(left + width, photo_size[1]) - max(left, 0.0))
    inside_height = max(0.0, min(top + height, photo_size[0]) - max(top, 0.0))
    return 1 - inside_width * inside_height / max(width * height, 1e-12)

"""Paste a generated face into the photo that it belongs to: transform it back, match colors at the border, blend.

After Pérez et al. 2003, "Poisson Image Editing", section 3.1 (seamless cloning): the color correction is fixed along
the border and smooth inside. But here it fades out within some 17 pixels of the small face. The exact solution would
carry differences of hair and background at the border into the whole face. On five portraits at 128 px, the mean color
of the face's center differs from the photo's by 4 to 9 levels; with the exact solution by 6 to 27.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesmith.detection.align import Matrix, Points, inverse, transform, warp
from facesmith.pictures.color_profiles import from_srgb
from facesmith.pictures.images import Pixels, as_rgb
from facesmith.pictures.original_photo import OriginalPhoto
from facesmith.watermark.embed import watermarked
from facesmith.watermark.key import PUBLIC_KEY, SIDES

FEATHER_SHARE = 0.35  # width of the mask's soft edge, as a share of its radius
HALF_WIDTH, DOWN, UP = 1.25, 1.55, 1.35  # half axes of the mask, in units of the distance between eyes and mouth
MARGIN_PX = 1.0  # between the mask and the edge of the face
ITERATIONS = 600  # of Jacobi relaxation: the correction spreads about 17 pixels, the square root of half of them

Floats = NDArray[np.float64]


def paste_into_original(
    photo: OriginalPhoto, face: Pixels, matrix: Matrix, points: Points, *, keys: Sequence[str] = (PUBLIC_KEY,)
) -> Pixels:
    """Return the stored pixels of a photo with a new face: `[H, W, 3]`, or `[H, W, 4]` with transparency.

    The face is converted to the photo's color profile. Other pixels keep their stored values exactly.

    Args:
        face: uint8 `[S, S, C]`, aligned.
        matrix: `[2, 3]`, the transform from photo to face.
        points: `[5, 2]`, the landmarks of the face in its own pixels.
        keys: of the invisible watermark in the pasted face; empty for no watermark.
    """
    size_px = face.shape[0]
    mask = face_mask(size_px, points)
    original = warp(photo.pixels, matrix, size_px).astype(np.float64)
    matched = _match_colors(as_rgb(face).astype(np.float64), original, mask)
    top, left, bottom, right = _bounding_box(photo.pixels, matrix, size_px)
    out = photo.stored.copy()
    if bottom > top and right > left:
        new, alpha = (
            _transform_back(layer, matrix, (top, left, bottom, right))
            for layer in (matched, mask[..., None].repeat(3, axis=2))
        )
        region = out[top:bottom, left:right].astype(np.float64)
        blended = region + alpha.clip(0, 1) * (_to_profile(new, photo.profile) - region)
        pasted = np.rint(blended).clip(0, 255).astype(np.uint8)
        out[top:bottom, left:right] = _marked(pasted, alpha[..., 0].clip(0, 1), keys) if keys else pasted
    return out if photo.alpha is None else np.dstack((out, photo.alpha))


def _to_profile(colors: Floats, profile: bytes | None) -> Floats:
    """Return sRGB colors in those of a profile; unchanged for None."""
    if profile is None:
        return colors
    return from_srgb(np.rint(colors).clip(0, 255).astype(np.uint8), profile).astype(np.float64)


def _marked(pasted: Pixels, opacity: Floats, keys: Sequence[str]) -> Pixels:
    """Return a part of a photo `[H, W, 3]` with the watermark where its new face is opaque.

    The watermark's frame is parallel to the photo and has one of the sides at which the detector looks first.
    A face that is too small for the smallest of them is returned unchanged.
    """
    rows, columns = np.nonzero(opacity > 0.5)
    if not len(rows):
        return pasted
    sizes = np.ptp(rows) + 1, np.ptp(columns) + 1
    sides = [side for side in SIDES if side <= min(sizes)]
    if not sides:
        return pasted
    side = max(sides)
    top, left = (int(each.min() + (size - side) // 2) for each, size in zip((rows, columns), sizes, strict=True))
    frame = slice(top, top + side), slice(left, left + side)
    out = pasted.copy()
    out[frame] = watermarked(pasted[frame][None], keys, opacity[frame].astype(np.float32))[0]
    return out


def face_mask(size_px: int, points: Points) -> Floats:
    """Return the opacity of the face at each pixel, 0 to 1, `[size_px, size_px]`: an oval with a soft edge.

    It is 0 at the edges of the picture, wherever the landmarks `[5, 2]` are.
    """
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    center, unit = (eyes + mouth) / 2, max(float(np.linalg.norm(mouth - eyes)), 1e-6)
    x, y = np.meshgrid(*(np.arange(size_px) + 0.5,) * 2)
    half_height = np.where(y > center[1], DOWN, UP) * unit
    radius = np.hypot((x - center[0]) / (HALF_WIDTH * unit), (y - center[1]) / half_height)
    edge_distance = np.minimum.reduce([x, y, size_px - x, size_px - y]) - MARGIN_PX
    inside = np.minimum((1 - radius) / FEATHER_SHARE, edge_distance / (FEATHER_SHARE * unit))
    return _smoothstep(inside.clip(0, 1))


def _smoothstep(t: Floats) -> Floats:
    return t * t * (3 - 2 * t)


def _match_colors(face: Floats, original: Floats, mask: Floats) -> Floats:
    """Return the face `[S, S, 3]` plus a smooth correction that makes it equal to the original at the mask's border.

    The correction fades out towards the center. Where it has spread, it approaches the solution of Laplace's equation.
    """
    inside = (mask > 0)[..., None]
    difference = original - face
    correction = np.where(inside, 0.0, difference)
    for _ in range(ITERATIONS):
        padded = np.pad(correction, [(1, 1), (1, 1), (0, 0)], mode="edge")
        neighbor_mean = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4
        correction = np.where(inside, neighbor_mean, difference)
    return face + correction


def _bounding_box(photo: Pixels, matrix: Matrix, size_px: int) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right of the part of the photo that the face covers."""
    corners = np.array([(0, 0), (size_px, 0), (0, size_px), (size_px, size_px)], np.float64)
    on_photo = transform(inverse(matrix), corners)
    left, top = np.floor(on_photo.min(0)).astype(int).clip(0)
    right, bottom = np.ceil(on_photo.max(0)).astype(int)
    return int(top), int(left), min(int(bottom), photo.shape[0]), min(int(right), photo.shape[1])


def _transform_back(layer: Floats, matrix: Matrix, box: tuple[int, int, int, int]) -> Floats:
    """Resample a layer `[S, S, 3]` at the photo's pixels within a bounding box (bicubic; 0 beyond the layer)."""
    top, left, bottom, right = box
    sampling = matrix.copy()
    sampling[:, 2] += matrix[:, :2] @ (left, top)
    parts = []
    for plane in np.moveaxis(layer, 2, 0):
        picture = Image.fromarray(plane.astype(np.float32))
        resampled = picture.transform(
            (right - left, bottom - top), Image.Transform.AFFINE, sampling.ravel().tolist(), Image.Resampling.BICUBIC
        )
        parts.append(np.asarray(resampled, np.float64))
    return np.stack(parts, axis=2)

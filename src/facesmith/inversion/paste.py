"""A drawn face back into the photo that it was found in: turned back, its colours matched at the border, blended.

Source: a correction that is given along the border and smooth within is Pérez et al. 2003, "Poisson Image Editing",
section 3.1 (seamless cloning), here solved at the small face's resolution.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesmith.io.images import Pixels, as_rgb
from facesmith.photos.align import Matrix, Points, inverse, transform, warp

FEATHER = 0.35  # of the mask's radius: how broad its soft edge is
WIDE, BELOW, ABOVE = 1.25, 1.55, 1.35  # the mask's half axes, in parts of the distance between eyes and mouth
EDGE_PX = 1.0  # what is left between mask and the face's own edge
ROUNDS = 600  # of relaxation; at 64 px the border is felt everywhere after a third of them

Floats = NDArray[np.float64]


def paste(photo: Pixels, face: Pixels, matrix: Matrix, points: Points) -> Pixels:
    """The photo `[H, W, 3]` with a face `[S, S, C]` where another one was; beyond the mask not a pixel changes.

    Args:
        matrix: from the photo to the face.
        points: where the face's five landmarks lie, `[5, 2]`, pixels of the face.
    """
    size_px = face.shape[0]
    mask = face_mask(size_px, points)
    was = warp(photo, matrix, size_px).astype(np.float64)
    matched = _matched(as_rgb(face).astype(np.float64), was, mask)
    top, left, bottom, right = _reach(photo, matrix, size_px)
    if bottom <= top or right <= left:
        return photo.copy()
    new, share = (
        _turned_back(layer, matrix, (top, left, bottom, right))
        for layer in (matched, mask[..., None].repeat(3, axis=2))
    )
    out = photo.copy()
    region = out[top:bottom, left:right].astype(np.float64)
    blended = region + share.clip(0, 1) * (new - region)
    out[top:bottom, left:right] = np.rint(blended).clip(0, 255).astype(np.uint8)
    return out


def face_mask(size_px: int, points: Points) -> Floats:
    """How much of each pixel is the face, 0 to 1, `[size_px, size_px]`: an oval around the landmarks, soft at its edge.

    It is 0 along the picture's own edges, whatever the landmarks.
    """
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    centre, unit = (eyes + mouth) / 2, max(float(np.linalg.norm(mouth - eyes)), 1e-6)
    x, y = np.meshgrid(*(np.arange(size_px) + 0.5,) * 2)
    down = np.where(y > centre[1], BELOW, ABOVE) * unit
    radius = np.hypot((x - centre[0]) / (WIDE * unit), (y - centre[1]) / down)
    edge = np.minimum.reduce([x, y, size_px - x, size_px - y]) - EDGE_PX
    inside = np.minimum((1 - radius) / FEATHER, edge / (FEATHER * unit))
    return _smooth(inside.clip(0, 1))


def _smooth(share: Floats) -> Floats:
    return share * share * (3 - 2 * share)


def _matched(face: Floats, was: Floats, mask: Floats) -> Floats:
    """The face `[S, S, 3]` plus a smooth field that makes it the photo's where the mask ends.

    The field solves Laplace's equation within the mask, by Jacobi's relaxation.
    """
    inside = (mask > 0)[..., None]
    difference = was - face
    field = np.where(inside, 0.0, difference)
    for _ in range(ROUNDS):
        padded = np.pad(field, [(1, 1), (1, 1), (0, 0)], mode="edge")
        around = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4
        field = np.where(inside, around, difference)
    return face + field


def _reach(photo: Pixels, matrix: Matrix, size_px: int) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of the part of the photo that the face covers."""
    corners = np.array([(0, 0), (size_px, 0), (0, size_px), (size_px, size_px)], np.float64)
    on_photo = transform(inverse(matrix), corners)
    left, top = np.floor(on_photo.min(0)).astype(int).clip(0)
    right, bottom = np.ceil(on_photo.max(0)).astype(int)
    return int(top), int(left), min(int(bottom), photo.shape[0]), min(int(right), photo.shape[1])


def _turned_back(layer: Floats, matrix: Matrix, reach: tuple[int, int, int, int]) -> Floats:
    """What a layer `[S, S, 3]` shows at each pixel of a part of the photo, bicubically; 0 beyond its edges."""
    top, left, bottom, right = reach
    sampling = matrix.copy()
    sampling[:, 2] += matrix[:, :2] @ (left, top)
    parts = []
    for plane in np.moveaxis(layer, 2, 0):
        picture = Image.fromarray(plane.astype(np.float32))
        turned = picture.transform(
            (right - left, bottom - top), Image.Transform.AFFINE, sampling.ravel().tolist(), Image.Resampling.BICUBIC
        )
        parts.append(np.asarray(turned, np.float64))
    return np.stack(parts, axis=2)

"""How directions change the color of the skin, and how to take that out of them.

The skin color of a face is the mean over nose and cheeks, in CIE L*a*b* (D65): L is lightness from 0 to 100, a is from
green to red, b from blue to yellow. Differences are distances in this space; people notice them from about 2.3 on
(Mahy et al. 1994).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facesmith.attributes import DatasetLabels
from facesmith.detection.align import Points
from facesmith.detection.detect import BLACK, Detector
from facesmith.directions.linear_fit import fit_slopes
from facesmith.faces import Faces
from facesmith.gan.contracts import Generator
from facesmith.latent.synthesis import synthesize
from facesmith.latent.whitening import Whitening
from facesmith.pictures.images import Pixels, as_rgb, resize

NOTICEABLE = 2.3  # smaller changes are not called a side effect
DETECTION_SIDE_PX, MIN_FACE_PX, THRESHOLD, BATCH_SIZE = 64, 30, 0.5, 64
TOP, BOTTOM = 0.3, 0.75  # of the region, on the way from the eyes to the mouth
REAL_FACES = 2_500  # whose skin color is measured
MIN_FACES = 20  # with an attribute, and without it
CORRECTIONS = 3
GOAL, MARGIN = 0.7, 0.85  # of the allowed change: what a correction aims at, and what it must reach
SRGB_TO_XYZ = np.array([(0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)])
WHITE_XYZ = SRGB_TO_XYZ.sum(1)

Color = NDArray[np.float64]  # `[3]` or `[N, 3]`: L, a, b


@dataclass(frozen=True)
class SkinSamples:
    """Generated faces whose skin is visible.

    Attributes:
        w: latents `[N, w_dim]`.
        landmarks: of each face, `[5, 2]` as fractions of the side.
        colors: `[N, 3]`.
    """

    w: Tensor
    landmarks: list[Points]
    colors: Color


def skin_samples(w: Tensor, images: Pixels) -> SkinSamples | None:
    """The samples in which the detector finds a face; None if these are too few.

    Args:
        w: latents `[N, w_dim]`.
        images: their faces, uint8 `[N, S, S, C]`.
    """
    landmarks = find_landmarks(images)
    rows = [i for i, points in enumerate(landmarks) if points is not None]
    if len(rows) < MIN_FACES:
        return None
    points = [landmarks[i] for i in rows]
    return SkinSamples(w[rows], points, skin_colors(images[rows], points))


def find_landmarks(pictures: Pixels) -> list[Any]:
    """The five landmarks of each picture uint8 `[N, S, S, C]`, as fractions of the side; None without a face."""
    detector = Detector(MIN_FACE_PX, THRESHOLD, BLACK)
    found: list[Any] = []
    for start in range(0, len(pictures), BATCH_SIZE):
        batch = [resize(picture, DETECTION_SIDE_PX) for picture in as_rgb(pictures[start : start + BATCH_SIZE])]
        found += [each.landmarks[0] / DETECTION_SIDE_PX if len(each) else None for each in detector.detect(batch)]
    return found


def skin_colors(pictures: Pixels, landmarks: list[Points]) -> Color:
    """The mean color of nose and cheeks, `[N, 3]`, of pictures uint8 `[N, S, S, C]`."""
    colors = np.empty((len(pictures), 3))
    for i, (picture, points) in enumerate(zip(as_rgb(pictures), landmarks, strict=True)):
        side = len(picture)
        eyes, mouth = points[:2].mean(0), points[3:].mean(0)
        left, right = sorted(points[:2, 0] * side)
        top, bottom = ((eyes[1] + part * (mouth[1] - eyes[1])) * side for part in (TOP, BOTTOM))
        x, y = max(0, min(side - 1, round(left))), max(0, min(side - 1, round(top)))
        region = picture[y : max(y + 1, round(bottom)), x : max(x + 1, round(right))]
        colors[i] = to_lab(region.reshape(-1, 3)).mean(0)
    return colors


def to_lab(pixels: NDArray[np.uint8]) -> Color:
    """CIE L*a*b* (D65) of sRGB pixels, uint8 `[N, 3]`."""
    srgb = pixels / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ SRGB_TO_XYZ.T / WHITE_XYZ
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def skin_change(G: Generator, samples: SkinSamples, step: Tensor) -> Color:
    """The mean change of the skin color `[3]` if a step `[w_dim]` is added to the latents of faces."""
    with torch.inference_mode():
        edited = synthesize(G, samples.w + step)
    change: Color = (skin_colors(edited, samples.landmarks) - samples.colors).mean(0)
    return change


def real_skin_differences(faces: Faces, labels: DatasetLabels) -> dict[str, Color]:
    """By attribute, the mean skin color of real faces with it minus that of faces without it, `[3]`.

    Attributes that too few faces have, or lack, are missing.
    """
    rows = faces.part("train")
    rows = rows[np.linspace(0, len(rows) - 1, min(REAL_FACES, len(rows))).astype(int)]
    pixels = np.asarray(faces.pixels[rows])
    landmarks = find_landmarks(pixels)
    seen = [i for i, points in enumerate(landmarks) if points is not None]
    colors = skin_colors(pixels[seen], [landmarks[i] for i in seen])
    differences = {}
    for name, target in zip(labels.names, labels.targets[rows[seen]].T, strict=True):
        has, lacks = target > 0.5, target <= 0.5
        if min(has.sum(), lacks.sum()) >= MIN_FACES:
            differences[name] = colors[has].mean(0) - colors[lacks].mean(0)
    return differences


def allowed_change(real: Color | None) -> float:
    """How far a direction may change the skin color: as far as real faces with and without the attribute differ."""
    return max(NOTICEABLE, 0.0 if real is None else float(np.linalg.norm(real)))


def without_skin_change(
    G: Generator, whitening: Whitening, samples: SkinSamples, direction: Tensor, real: Color | None
) -> Tensor:
    """A direction `[w_dim]` that changes the skin color no further than real faces with and without it differ.

    A direction that does so already is returned itself.

    The slopes of the skin color in the latent space give the smallest step that takes the excess back. The generator is
    not linear, so this is repeated a few times.

    Args:
        samples: faces to measure the change on.
        real: the difference of real faces; None if it is unknown, as 0.
    """
    u = whitening.to_u(samples.w)
    slopes = fit_slopes(u, torch.from_numpy(samples.colors))  # [3, d]
    target = np.zeros(3) if real is None else GOAL * real
    for _ in range(CORRECTIONS):
        change = skin_change(G, samples, direction)
        if np.linalg.norm(change) <= MARGIN * allowed_change(real):
            break
        step = torch.linalg.pinv(slopes) @ torch.from_numpy(target - change)  # [d]
        direction = direction + whitening.to_w_offset(step[None])[0].float()
    return direction


def described_change(change: Color, real: Color | None) -> str:
    """A change of the skin color, such as "skin color changes by 4, lighter; real faces: 6"; empty if not noticeable.

    The numbers are distances in CIE Lab.

    Args:
        real: the difference of real faces with and without the attribute.
    """
    distance = float(np.linalg.norm(change))
    if distance < NOTICEABLE:
        return ""
    how = "" if abs(change[0]) <= distance / 2 else ", lighter" if change[0] > 0 else ", darker"
    difference = "" if real is None else f"; real faces: {np.linalg.norm(real):.0f}"
    return f"skin color changes by {distance:.0f}{how}{difference}"

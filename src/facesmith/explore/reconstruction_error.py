"""How near reconstructions come to their pictures: numbers, and what they are worth beside simpler answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.io.images import Pixels
from facesmith.metrics.features import cached_features, extract_features, open_extractor
from facesmith.model import Model

FEATURES = "lite0"
SAMPLES = 1000  # seeds 0 to 999: the best of them is the yardstick


@dataclass(frozen=True)
class ReconstructionError:
    """One reconstruction, the model's average face and its samples, all held against one picture.

    Attributes:
        psnr_db: peak signal-to-noise ratio of the reconstruction's pixels, decibels.
        average_psnr_db: that of the average face.
        distance: of features (`FEATURES`) of reconstruction and picture.
        average_distance: of the average face and the picture.
        best_distance: of the picture and the sample that is nearest to it.
        samples_nearer: how many samples are nearer than the reconstruction.
        samples: how many there are.
    """

    psnr_db: float
    average_psnr_db: float
    distance: float
    average_distance: float
    best_distance: float
    samples_nearer: int
    samples: int = SAMPLES

    def told(self) -> str:
        """Numbers and a verdict, on one line."""
        return (
            f"{self.psnr_db:.1f} dB (the average face {self.average_psnr_db:.1f} dB); feature distance "
            f"{self.distance:.1f} (average face {self.average_distance:.1f}, best of {self.samples:,} samples "
            f"{self.best_distance:.1f}): {self.verdict()}"
        )

    def verdict(self) -> str:
        """How near it is, in words."""
        if self.distance >= self.average_distance:
            return "no nearer than the average face: this model can't draw such a face"
        if self.samples_nearer:
            return f"nearer than the average face, but {self.samples_nearer:,} of {self.samples:,} samples are nearer"
        return f"nearer than any of {self.samples:,} samples"

    def to_values(self) -> dict[str, Any]:
        """Plain values for a header; what is infinite (equal pictures) is left out."""
        return {name: value for name, value in asdict(self).items() if np.isfinite(value)}


def reconstruction_errors(
    model: Model, pictures: Pixels, rebuilt: Pixels, console: Console
) -> list[ReconstructionError]:
    """How near each of rebuilt `[N, S, S, C]` is to its picture."""
    extractor = open_extractor(FEATURES)
    average = model.synthesize(model.G.w_avg[None].cpu().numpy())
    drawn = model.sample(range(SAMPLES))
    looked_at = extract_features(extractor, np.concatenate([pictures, rebuilt, average]), "faces", console)
    samples = cached_features(extractor, drawn, "samples to compare with", console).astype(np.float64)
    of_pictures, of_rebuilt = looked_at[: len(pictures)], looked_at[len(pictures) : -1]
    return [
        _judged(*each)
        for each in zip(
            of_pictures.astype(np.float64),
            of_rebuilt,
            [looked_at[-1]] * len(pictures),
            [samples] * len(pictures),
            psnr(pictures, rebuilt),
            psnr(pictures, average),
            strict=True,
        )
    ]


def _judged(
    picture: NDArray[np.float64],
    rebuilt: NDArray[np.float32],
    average: NDArray[np.float32],
    samples: NDArray[np.float64],
    psnr_db: float,
    average_psnr_db: float,
) -> ReconstructionError:
    distance, from_average = (float(np.linalg.norm(picture - other)) for other in (rebuilt, average))
    from_samples = np.linalg.norm(samples - picture, axis=1)
    nearer = int((from_samples < distance).sum())
    return ReconstructionError(
        float(psnr_db), float(average_psnr_db), distance, from_average, float(from_samples.min()), nearer, len(samples)
    )


def psnr(pictures: Pixels, others: Pixels) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of pictures `[N, H, W, C]` and others, decibels `[N]`: infinite where they are equal.

    10 log10(255² / mean squared difference); about 20 is alike at a glance, 30 hard to tell apart.
    """
    squared = np.square(pictures.astype(np.float64) - others).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        decibels: NDArray[np.float64] = 10 * np.log10(255**2 / squared)
    return decibels

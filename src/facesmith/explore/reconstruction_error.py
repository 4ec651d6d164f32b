"""How close reconstructions are to their pictures, compared with the average face and with random samples."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.metrics.features import cached_features, extract_features, open_extractor
from facesmith.model import Model
from facesmith.pictures.images import Pixels

FEATURES = "lite0"
SAMPLES = 1000  # seeds 0 to 999, among which the closest sample is looked up


@dataclass(frozen=True)
class ReconstructionError:
    """One reconstruction compared with its picture, next to simpler answers: the average face and random samples.

    Attributes:
        psnr_db: peak signal-to-noise ratio of the reconstruction, in decibels; higher is closer.
        average_psnr_db: that of the average face.
        distance: feature distance (`FEATURES`) between reconstruction and picture; lower is closer.
        average_distance: between the average face and the picture.
        best_distance: between the closest sample and the picture.
        closer_samples: how many samples are closer than the reconstruction.
        samples: how many there are.
    """

    psnr_db: float
    average_psnr_db: float
    distance: float
    average_distance: float
    best_distance: float
    closer_samples: int
    samples: int = SAMPLES

    def summary(self) -> str:
        """Return the numbers and the verdict, on one line."""
        return (
            f"{self.psnr_db:.1f} dB (average face {self.average_psnr_db:.1f} dB); feature distance {self.distance:.1f} "
            f"(average face {self.average_distance:.1f}, closest of {self.samples:,} samples "
            f"{self.best_distance:.1f}): {self.verdict()}"
        )

    def verdict(self) -> str:
        """Return what the feature distance means."""
        if self.distance >= self.average_distance:
            return "no closer than the average face: this model can't draw such a face"
        if self.closer_samples:
            return f"closer than the average face, but {self.closer_samples:,} of {self.samples:,} samples are closer"
        return f"closer than all {self.samples:,} samples"

    def to_values(self) -> dict[str, Any]:
        """Return JSON values for a header, without infinite ones (the PSNR of equal pictures)."""
        return {name: value for name, value in asdict(self).items() if np.isfinite(value)}


def reconstruction_errors(
    model: Model, pictures: Pixels, rebuilt: Pixels, console: Console
) -> list[ReconstructionError]:
    """Compare reconstructions with their pictures, both uint8 `[N, S, S, C]`."""
    extractor = open_extractor(FEATURES)
    average = model.synthesize(model.G.w_avg[None].cpu().numpy())
    samples = model.sample(range(SAMPLES))
    features = extract_features(extractor, np.concatenate([pictures, rebuilt, average]), "faces", console)
    sample_features = cached_features(extractor, samples, "samples for comparison", console).astype(np.float64)
    average_features = features[-1]
    return [
        _compare(picture, reconstruction, average_features, sample_features, float(psnr_db), float(average_psnr_db))
        for picture, reconstruction, psnr_db, average_psnr_db in zip(
            features[: len(pictures)].astype(np.float64),
            features[len(pictures) : -1],
            psnr(pictures, rebuilt),
            psnr(pictures, average),
            strict=True,
        )
    ]


def _compare(
    picture: NDArray[np.float64],
    rebuilt: NDArray[np.float32],
    average: NDArray[np.float32],
    samples: NDArray[np.float64],
    psnr_db: float,
    average_psnr_db: float,
) -> ReconstructionError:
    """Compare one picture with the others, by their features `[D]` (samples: `[M, D]`)."""
    distance, average_distance = (float(np.linalg.norm(picture - other)) for other in (rebuilt, average))
    sample_distances = np.linalg.norm(samples - picture, axis=1)
    closer = int((sample_distances < distance).sum())
    return ReconstructionError(
        psnr_db, average_psnr_db, distance, average_distance, float(sample_distances.min()), closer, len(samples)
    )


def psnr(pictures: Pixels, others: Pixels) -> NDArray[np.float64]:
    """Return the peak signal-to-noise ratio between pictures `[N, H, W, C]`, in decibels, `[N]`.

    It is 10 log10(255² / mean squared difference), and infinite for equal pictures. At about 20 dB two pictures look
    alike at a glance; at 30 dB they are hard to tell apart.
    """
    squared = np.square(pictures.astype(np.float64) - others).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        decibels: NDArray[np.float64] = 10 * np.log10(255**2 / squared)
    return decibels

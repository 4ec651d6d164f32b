"""Precision, recall, density and coverage: the quality of samples, apart from their variety.

Papers: Kynkäänniemi et al. 2019, arXiv:1904.06991 (precision and recall); Naeem et al. 2020, "Reliable fidelity and
diversity metrics for generative models", arXiv:2002.09797 (density and coverage). Each picture of a set is the center
of a ball that reaches to its k-th nearest neighbor in the same set.
"""

from __future__ import annotations

import numpy as np

from facesmith.errors import BadData
from facesmith.metrics.arrays import ROWS, Doubles, Features, check_features, squared_distances


def prdc(real: Features, fake: Features, k: int = 5) -> dict[str, float]:
    """Four metrics of features `[N, D]` and `[M, D]`, by their k nearest neighbors.

    Returns:
        `precision`: share of fakes that are in a ball of a real picture.
        `recall`: share of real pictures that are in a ball of a fake.
        `density`: in how many balls of real pictures a fake is, divided by k; can exceed 1, and outliers count little.
        `coverage`: share of real pictures with a fake in their ball.

    Raises:
        BadData: the arrays don't match, or one has fewer than k + 1 rows.
    """
    if k < 1:
        raise BadData(f"k is {k}; expected at least 1 neighbor.")
    real, fake = check_features(real, fake, min_rows=k + 1)
    real_radii, fake_radii = _squared_radii(real, k), _squared_radii(fake, k)
    balls_around_fake, n_recalled, n_covered = np.zeros(len(fake), np.int64), 0, 0
    for top in range(0, len(real), ROWS):
        squared = squared_distances(real[top : top + ROWS], fake)  # [rows, M]
        in_real_ball = squared < real_radii[top : top + ROWS, None]
        balls_around_fake += in_real_ball.sum(0)
        n_covered += int(in_real_ball.any(1).sum())
        n_recalled += int((squared < fake_radii).any(1).sum())
    return {
        "precision": float((balls_around_fake > 0).mean()),
        "recall": n_recalled / len(real),
        "density": float(balls_around_fake.mean() / k),
        "coverage": n_covered / len(real),
    }


def _squared_radii(features: Doubles, k: int) -> Doubles:
    """The squared distance of each row to its k-th neighbor among the others, `[N]`."""
    radii = np.empty(len(features))
    for top in range(0, len(features), ROWS):
        squared = squared_distances(features[top : top + ROWS], features)
        rows = np.arange(len(squared))
        squared[rows, top + rows] = 0  # the distance to itself, without rounding errors
        radii[top : top + ROWS] = np.partition(squared, k, axis=1)[:, k]
    return radii

"""Precision, recall, density and coverage: whether samples look real, apart from whether they are as varied.

Papers: Kynkäänniemi et al. 2019, arXiv:1904.06991 (precision and recall); Naeem et al. 2020, "Reliable fidelity and
diversity metrics for generative models", arXiv:2002.09797 (density and coverage). A set is thought of as the balls
around its members that reach to their k-th neighbours within it.
"""

from __future__ import annotations

import numpy as np

from facesmith.errors import BadData
from facesmith.metrics.arrays import ROWS, Doubles, Features, checked, squared_distances


def prdc(real: Features, fake: Features, k: int = 5) -> dict[str, float]:
    """Four shares of features `[N, D]` and `[M, D]`, by their k nearest neighbours.

    Returns:
        `precision`: the share of fakes in a ball of the real ones.
        `recall`: the share of real ones in a ball of the fakes.
        `density`: in how many real balls a fake lies, over k; can exceed 1, and outliers weigh little.
        `coverage`: the share of real balls that hold a fake.

    Raises:
        BadData: the arrays don't fit each other, or one has no more than k rows.
    """
    if k < 1:
        raise BadData(f"k is {k}; expected 1 or more neighbours.")
    real, fake = checked(real, fake, at_least=k + 1)
    real_radii, fake_radii = _radii(real, k), _radii(fake, k)
    in_real, recalled, covered = np.zeros(len(fake), np.int64), 0, 0
    for top in range(0, len(real), ROWS):
        squared = squared_distances(real[top : top + ROWS], fake)  # [rows, M]
        radii = real_radii[top : top + ROWS, None]
        in_real += (squared < radii).sum(0)
        covered += int((squared < radii).any(1).sum())
        recalled += int((squared < fake_radii).any(1).sum())
    return {
        "precision": float((in_real > 0).mean()),
        "recall": recalled / len(real),
        "density": float(in_real.mean() / k),
        "coverage": covered / len(real),
    }


def _radii(features: Doubles, k: int) -> Doubles:
    """The squared distance of each row to its k-th neighbour among the others; `[N]`."""
    radii = np.empty(len(features))
    for top in range(0, len(features), ROWS):
        squared = squared_distances(features[top : top + ROWS], features)
        rows = np.arange(len(squared))
        squared[rows, top + rows] = 0  # to itself, whatever was rounded
        radii[top : top + ROWS] = np.partition(squared, k, axis=1)[:, k]
    return radii

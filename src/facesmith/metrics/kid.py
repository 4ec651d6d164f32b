"""Kernel distance: how far apart two sets are by a polynomial kernel, unbiased for small sets.

Paper: Bińkowski et al. 2018, "Demystifying MMD GANs", arXiv:1801.01401, section 4. On features of InceptionV3 it is the
kernel Inception distance.
"""

from __future__ import annotations

import numpy as np

from facesmith.metrics.arrays import Doubles, Features, check_features

SUBSETS, SUBSET_SIZE = 100, 1000


def kid(
    real: Features, fake: Features, *, subsets: int = SUBSETS, subset_size: int = SUBSET_SIZE, seed: int = 0
) -> float:
    """The mean of `kid_of_subsets`. For two sets of one distribution it is around 0, sometimes negative."""
    return float(kid_of_subsets(real, fake, subsets=subsets, subset_size=subset_size, seed=seed).mean())


def kid_of_subsets(
    real: Features, fake: Features, *, subsets: int = SUBSETS, subset_size: int = SUBSET_SIZE, seed: int = 0
) -> Doubles:
    """One estimate per random subset, `[subsets]`.

    The subsets are drawn without replacement, with the same random numbers and in the same order as by clean-fid.

    Args:
        real: `[N, D]`.
        fake: `[M, D]`.
        subset_size: pictures of each kind in a subset, or as many as there are.

    Raises:
        BadData: the arrays don't match, or one has fewer than two rows.
    """
    real, fake = check_features(real, fake, min_rows=2)
    rng = np.random.RandomState(seed)
    size = min(len(real), len(fake), subset_size)
    estimates = np.empty(subsets)
    for i in range(subsets):
        fake_subset = fake[rng.choice(len(fake), size, replace=False)]
        real_subset = real[rng.choice(len(real), size, replace=False)]
        estimates[i] = _squared_mmd(real_subset, fake_subset)
    return estimates


def _squared_mmd(x: Doubles, y: Doubles) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy of two sets of equal size (Gretton 2012, lemma 6)."""
    within = _off_diagonal_mean(_kernel(x, x)) + _off_diagonal_mean(_kernel(y, y))
    return within - 2 * float(_kernel(x, y).mean())


def _kernel(x: Doubles, y: Doubles) -> Doubles:
    values: Doubles = x @ y.T / x.shape[1] + 1
    return values * values * values  # much faster than ** 3


def _off_diagonal_mean(values: Doubles) -> float:
    count = len(values)
    return float((values.sum() - np.trace(values)) / (count * (count - 1)))

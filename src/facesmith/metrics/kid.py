"""Kernel distance: how far apart two sets are by a polynomial kernel, without the bias of small sets.

Paper: Bińkowski et al. 2018, "Demystifying MMD GANs", arXiv:1801.01401, section 4. On features of InceptionV3 it is the
kernel Inception distance.
"""

from __future__ import annotations

import numpy as np

from facesmith.metrics.arrays import Doubles, Features, checked

SUBSETS, SUBSET_SIZE = 100, 1000


def kid(
    real: Features, fake: Features, *, subsets: int = SUBSETS, subset_size: int = SUBSET_SIZE, seed: int = 0
) -> float:
    """The mean of `kid_of_subsets`; around 0, at times below it, for sets of the same distribution."""
    return float(kid_of_subsets(real, fake, subsets=subsets, subset_size=subset_size, seed=seed).mean())


def kid_of_subsets(
    real: Features, fake: Features, *, subsets: int = SUBSETS, subset_size: int = SUBSET_SIZE, seed: int = 0
) -> Doubles:
    """One estimate for each of some random subsets, `[subsets]`.

    They are drawn without replacement, from the same random numbers and in the same order as clean-fid draws them.

    Args:
        real: `[N, D]`.
        fake: `[M, D]`.
        subset_size: pictures of each kind in a subset, fewer where there are fewer.

    Raises:
        BadData: the arrays don't fit each other, or one has fewer than two rows.
    """
    real, fake = checked(real, fake, at_least=2)
    rng = np.random.RandomState(seed)
    size = min(len(real), len(fake), subset_size)
    estimates = np.empty(subsets)
    for i in range(subsets):
        some_fake = fake[rng.choice(len(fake), size, replace=False)]
        some_real = real[rng.choice(len(real), size, replace=False)]
        estimates[i] = _squared_distance(some_real, some_fake)
    return estimates


def _squared_distance(x: Doubles, y: Doubles) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy of two sets of equal size (lemma 6 of Gretton 2012)."""
    within = _off_diagonal_mean(_kernel(x, x)) + _off_diagonal_mean(_kernel(y, y))
    return within - 2 * float(_kernel(x, y).mean())


def _kernel(x: Doubles, y: Doubles) -> Doubles:
    values: Doubles = x @ y.T / x.shape[1] + 1
    return values * values * values  # many times as fast as a power


def _off_diagonal_mean(values: Doubles) -> float:
    count = len(values)
    return float((values.sum() - np.trace(values)) / (count * (count - 1)))

"""The Fréchet distance between two sets, each modeled as a Gaussian.

Paper: Heusel et al. 2017, "GANs trained by a two time-scale update rule", arXiv:1706.08500, equation 6. It is called
FID only on features of InceptionV3.
"""

from __future__ import annotations

import numpy as np

from facesmith.metrics.arrays import Doubles, Features, check_features


def frechet_distance(real: Features, fake: Features) -> float:
    """`|m_r - m_f|² + tr(C_r + C_f - 2 (C_r C_f)^½)` of features `[N, D]` and `[M, D]`; 0 for equal sets.

    It is biased upwards, more so for fewer pictures: only compare values of equal counts.

    Raises:
        BadData: the arrays don't match, or one has fewer than two rows.
    """
    real, fake = check_features(real, fake, min_rows=2)
    mean_difference = real.mean(0) - fake.mean(0)
    root_real, root_fake = _covariance_root(real), _covariance_root(fake)
    # The eigenvalues of C_r C_f are the squares of these singular values. So no root of a rounded zero is taken.
    trace_of_root = np.linalg.svd(root_real @ root_fake.T, compute_uv=False).sum()
    traces = np.square(root_real).sum() + np.square(root_fake).sum()
    return float(mean_difference @ mean_difference + traces - 2 * trace_of_root)


def _covariance_root(features: Doubles) -> Doubles:
    """R `[min(N, D), D]`, where `RᵀR` is the covariance of features `[N, D]`."""
    centered = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return np.asarray(np.linalg.qr(centered, mode="r"), np.float64)

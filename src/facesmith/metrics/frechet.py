"""The Fréchet distance of two sets, each taken for a Gaussian.

Paper: Heusel et al. 2017, "GANs trained by a two time-scale update rule", arXiv:1706.08500, equation 6. On features of
InceptionV3 it is called FID, and on those alone.
"""

from __future__ import annotations

import numpy as np

from facesmith.metrics.arrays import Doubles, Features, checked


def frechet_distance(real: Features, fake: Features) -> float:
    """`|m_r - m_f|² + tr(C_r + C_f - 2 (C_r C_f)^½)` of features `[N, D]` and `[M, D]`; 0 for equal sets.

    It is biased upwards, the more so the fewer pictures: compare numbers of equal counts only.

    Raises:
        BadData: the arrays don't fit each other, or one has fewer than two rows.
    """
    real, fake = checked(real, fake, at_least=2)
    apart = real.mean(0) - fake.mean(0)
    root_real, root_fake = _root(real), _root(fake)
    # The eigenvalues of C_r C_f are the squares of these singular values; no root of a rounded zero is taken.
    overlap = np.linalg.svd(root_real @ root_fake.T, compute_uv=False).sum()
    spread = np.square(root_real).sum() + np.square(root_fake).sum()
    return float(apart @ apart + spread - 2 * overlap)


def _root(features: Doubles) -> Doubles:
    """R `[min(N, D), D]` with `RᵀR` the covariance of features `[N, D]`."""
    centred = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return np.asarray(np.linalg.qr(centred, mode="r"), np.float64)

"""Checks of the metrics' input, and squared distances."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from facesmith.errors import BadData

Features: TypeAlias = NDArray[np.floating]
Doubles: TypeAlias = NDArray[np.float64]
ROWS = 1024  # of a distance matrix computed in one go: some tens of megabytes


def check_features(real: Features, fake: Features, min_rows: int) -> tuple[Doubles, Doubles]:
    """Return both sets in double precision.

    Raises:
        BadData: they are not `[N, D]` with the same D, have too few rows, or contain numbers that are not finite.
    """
    real, fake = np.asarray(real), np.asarray(fake)
    for name, features in (("real", real), ("fake", fake)):
        if features.ndim != 2:
            raise BadData(f"The {name} features have the shape {list(features.shape)}; expected [N, D].")
        if len(features) < min_rows:
            raise BadData(f"{len(features)} {name} pictures are too few; this metric needs at least {min_rows}.")
        if not np.isfinite(features).all():
            raise BadData(f"The {name} features contain numbers that are not finite.")
    if real.shape[1] != fake.shape[1]:
        raise BadData(
            f"The real features have {real.shape[1]} dimensions, the fake ones {fake.shape[1]}; "
            "both must come from the same extractor."
        )
    return real.astype(np.float64), fake.astype(np.float64)


def squared_distances(a: Doubles, b: Doubles) -> Doubles:
    """Squared Euclidean distances `[N, M]` between the rows of `a` `[N, D]` and `b` `[M, D]`."""
    squared: Doubles = np.einsum("nd,nd->n", a, a)[:, None] + np.einsum("md,md->m", b, b)[None]
    squared -= 2 * (a @ b.T)
    return np.maximum(squared, 0, out=squared)

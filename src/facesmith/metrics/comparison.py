"""All metrics of one comparison, with 95 % intervals over disjoint sets of generated pictures."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from facesmith.metrics.arrays import Features
from facesmith.metrics.copies import wilson_upper_bound
from facesmith.metrics.frechet import frechet_distance
from facesmith.metrics.kid import SUBSETS, kid
from facesmith.metrics.prdc import prdc

K = 5  # nearest neighbors of precision, recall, density and coverage
SETS = 5  # disjoint sets of generated pictures, for the intervals
Z_95 = 1.96  # standard deviations that contain 95 % of a normal distribution
STUDENT_T = 2.776  # 97.5 % quantile of Student's t with SETS - 1 degrees of freedom
SUBSETS_PER_SET = 5  # of KID, in each of the disjoint sets
MIN_SAMPLES = SETS * (K + 1)  # generated pictures that all metrics need
RANGES: dict[str, tuple[float, float]] = {  # of possible values
    "fd": (0, np.inf),
    "kid": (-np.inf, np.inf),
    "precision": (0, 1),
    "recall": (0, 1),
    "density": (0, np.inf),
    "coverage": (0, 1),
}


@dataclass(frozen=True)
class Score:
    """A value with its 95 % interval over other sets of generated pictures."""

    value: float
    low: float
    high: float


def scores(real: Features, fake: Features, *, subsets: int = SUBSETS) -> dict[str, float]:
    """All metrics by short name, of features `[N, D]` and `[M, D]`. Raises what the metrics raise."""
    return {"fd": frechet_distance(real, fake), "kid": kid(real, fake, subsets=subsets), **prdc(real, fake, K)}


def scores_with_intervals(real: Features, fake: Features) -> dict[str, Score]:
    """All metrics with their intervals.

    A bootstrap would draw some pictures several times, and these metrics would take the duplicates for structure. So
    the pictures are divided into disjoint sets. Their standard deviation, divided by the square root of their number,
    is the standard error of the whole. The value itself is that of all pictures together, since small sets are biased.
    """
    whole = scores(real, fake)
    parts = [scores(real, part, subsets=SUBSETS_PER_SET) for part in np.array_split(fake, SETS)]
    return {
        name: interval_around(value, [part[name] for part in parts], *RANGES[name]) for name, value in whole.items()
    }


def interval_around(value: float, set_values: list[float], minimum: float = 0, maximum: float = np.inf) -> Score:
    """The 95 % interval around a value of all pictures, from its values on the disjoint sets.

    Args:
        minimum, maximum: the smallest and the largest possible value.
    """
    half_width = STUDENT_T * float(np.std(set_values, ddof=1)) / sqrt(len(set_values))
    low, high = max(value - half_width, minimum), min(value + half_width, maximum)
    return Score(value, min(value, low), max(value, high))


def share_with_interval(hits: NDArray[np.bool_]) -> Score:
    """The share of True with Wilson's 95 % interval."""
    n_hits, count = int(hits.sum()), len(hits)
    low = 1 - wilson_upper_bound(count - n_hits, count, Z_95)
    return Score(n_hits / count, low, wilson_upper_bound(n_hits, count, Z_95))


def protocol_name(metric: str, count: int, extractor: str, *, fid: bool = False) -> str:
    """A metric's name with the number of samples and the extractor: `fd5k_lite0`, or `fid5k_inception`."""
    samples = f"{count / 1000:g}k" if count >= 1000 and count % 100 == 0 else str(count)
    return f"{'fid' if metric == 'fd' and fid else metric}{samples}_{extractor}"

"""All numbers of one comparison, by names that say their protocol, with intervals over disjoint generated sets."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from facesmith.metrics.arrays import Features
from facesmith.metrics.frechet import frechet_distance
from facesmith.metrics.kid import SUBSETS, kid
from facesmith.metrics.prdc import prdc

K = 5
SETS = 5  # disjoint parts of the generated pictures, for the intervals
STUDENT_T = 2.776  # of Student's t with SETS - 1 degrees of freedom: 95 % lie within
SUBSETS_OF_A_SET = 5
MIN_SAMPLES = SETS * (K + 1)  # generated pictures with which every number can be computed
HIGHER_IS_BETTER = {"fd": False, "kid": False, "precision": True, "recall": True, "density": True, "coverage": True}


@dataclass(frozen=True)
class Score:
    """A number with the interval in which it lies with another set of generated pictures, 95 times of 100."""

    value: float
    low: float
    high: float


def scores(real: Features, fake: Features, *, subsets: int = SUBSETS) -> dict[str, float]:
    """All metrics by their short names, of features `[N, D]` and `[M, D]`; raises as they do."""
    return {"fd": frechet_distance(real, fake), "kid": kid(real, fake, subsets=subsets), **prdc(real, fake, K)}


def scores_with_intervals(real: Features, fake: Features) -> dict[str, Score]:
    """All metrics with their intervals.

    Drawing again from the same pictures with replacement would put copies among them, which these metrics take for
    structure. So the pictures are cut into disjoint sets; their spread, divided by the root of their number, is that of
    the whole. The value itself is that of all pictures at once, since small sets are biased.
    """
    whole = scores(real, fake)
    parts = [scores(real, part, subsets=SUBSETS_OF_A_SET) for part in np.array_split(fake, SETS)]
    return {
        name: interval_around(value, [part[name] for part in parts], least=-np.inf if name == "kid" else 0)
        for name, value in whole.items()
    }


def interval_around(value: float, of_sets: list[float], least: float = 0) -> Score:
    """The interval around a number of all pictures, by its values on the disjoint sets.

    Args:
        least: what the number can't be below.
    """
    reach = STUDENT_T * float(np.std(of_sets, ddof=1)) / sqrt(len(of_sets))
    return Score(value, min(value, max(value - reach, least)), value + reach)


def protocol_name(metric: str, count: int, extractor: str, *, fid: bool = False) -> str:
    """Such as `fd5k_lite0`, or `fid5k_inception`: the metric, how many pictures were generated, whose features."""
    many = f"{count / 1000:g}k" if count >= 1000 and count % 100 == 0 else str(count)
    return f"{'fid' if metric == 'fd' and fid else metric}{many}_{extractor}"

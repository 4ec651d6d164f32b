"""Which people does a generator draw? How often each labeled attribute occurs in the data and among samples.

The counts of a probe (`measure_attributes.py`) are corrected by its errors on held-out faces.

Source of the correction: Rogan and Gladen 1978; of its interval: Lang and Reiczigel 2014, "Confidence limits for
prevalence of disease adjusted for estimated sensitivity and specificity".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from facesmith.metrics.comparison import Z_95, Score
from facesmith.modelfiles.evaluation_file import UNCERTAIN

BOOTSTRAPS, EM_STEPS = 200, 300
PSEUDO_COUNT = 0.01  # of held-out faces for each pair of classes, so that no pair is impossible
MIN_AUC = 0.8  # below, the probe is too weak to compare an attribute
RARER = 2 / 3  # an attribute is lost in part if its share among samples is smaller than this times that of the data
LABELED = (
    "A probe, trained on labeled training faces, recognizes the attributes of the samples. “data” is the share of the "
    "labels in the training split. “samples” is corrected by the errors that the probe makes on held-out faces, which "
    "are as soft as the samples. In brackets: 95 % intervals. “accuracy” is the mean accuracy on held-out faces with "
    "and without the attribute, so 50 % is chance. “uncertain” means that the probe is too weak to compare."
)
RECOGNIZED = (
    "The data has no labels. The bundled attribute classifier takes their place: “data” is the share of the training "
    "faces in which it finds an attribute. How often it is right on this data is unknown, and it knows no age groups "
    "and no population groups. A probe, trained on such faces as soft as the samples, counts the samples. "
    "“samples” is corrected by its disagreement with the classifier on held-out faces. In brackets: 95 % intervals. "
    "“accuracy” is how often the probe agrees with the classifier; 50 % is chance."
)


@dataclass(frozen=True)
class AttributeShare:
    """How often an attribute occurs in the data and among samples.

    Attributes:
        data: share of the labeled training faces that have it.
        samples: share of the samples, corrected by the errors of the probe.
        counted: share of the samples in which the probe finds it, not corrected.
        sensitivity, specificity: share of held-out faces with it, and without it, that the probe recognizes.
        auc: of the probe on these faces; 0.5 is chance.
        recognized: whether a classifier took the place of the labels.
        column: whose class it is, such as age_group; empty if it is no class.
    """

    name: str
    data: Score
    samples: Score
    counted: float
    sensitivity: float
    specificity: float
    auc: float
    recognized: bool = False
    column: str = ""

    @property
    def accuracy(self) -> float:
        """Balanced accuracy of the probe; 0.5 is chance."""
        return (self.sensitivity + self.specificity) / 2

    @property
    def certain(self) -> bool:
        """Whether the probe recognizes the attribute well enough to compare samples with data."""
        return self.auc >= MIN_AUC

    @property
    def difference(self) -> str:
        """What the numbers mean: "rarer", "more frequent", "uncertain" or "" for no difference that is certain."""
        if not self.certain:
            return UNCERTAIN
        if self.samples.high < self.data.value and self.samples.value < RARER * self.data.value:
            return "rarer"
        if self.samples.low > self.data.value and self.data.value < RARER * self.samples.value:
            return "more frequent"
        return ""


def corrected_share(
    counted: float, samples: int, sensitivity: float, n_with: int, specificity: float, n_without: int
) -> Score:
    """The true share with its 95 % interval, from the share that an imperfect classifier counts.

    If the classifier is no better than chance, the share is unknown: the interval is 0 to 1. If it finds fewer
    faces than its rate of false alarms predicts, that rate is lower on the samples. The upper limit then assumes no
    false alarms. The same applies to faces without the attribute.

    Args:
        counted: share of `samples` in which the classifier finds the attribute.
        sensitivity, specificity: measured on `n_with` faces that have it, and on `n_without` that lack it.
    """
    gain = sensitivity + specificity - 1
    z2 = Z_95**2
    n, n1, n0 = samples + z2, n_with + 2, n_without + 2
    q, se, sp = (samples * counted + z2 / 2) / n, (n_with * sensitivity + 1) / n1, (n_without * specificity + 1) / n0
    adjusted_gain = se + sp - 1
    if min(gain, adjusted_gain) <= 0:
        return Score(counted, 0.0, 1.0)
    value = min(1.0, max(0.0, (counted + specificity - 1) / gain))
    p = (q + sp - 1) / adjusted_gain
    shift = 2 * z2 * (p * se * (1 - se) / n1 - (1 - p) * sp * (1 - sp) / n0)
    variance = q * (1 - q) / n + p**2 * se * (1 - se) / n1 + (1 - p) ** 2 * sp * (1 - sp) / n0
    half_width = Z_95 * sqrt(variance) / adjusted_gain
    low, high = p + shift - half_width, p + shift + half_width
    margin = Z_95 * sqrt(q * (1 - q) / n)
    if high < 0:
        high = (q + margin) / se
    if low > 1:
        low = 1 - (1 - q + margin) / sp
    return Score(value, max(0.0, min(low, value)), min(1.0, max(high, value)))


def class_shares(
    samples: NDArray[np.int64], held_out: NDArray[np.int64], labels: NDArray[np.int64], classes: int
) -> list[Score]:
    """The true shares of classes of which each face has one, from the classes that an imperfect probe predicts.

    The shares are those of maximum likelihood (expectation maximization), given how often the probe takes one class for
    another. They add up to 1. The 95 % intervals are those of a bootstrap of samples and held-out faces.

    Args:
        samples: the predicted class of each sample, `[N]`.
        held_out, labels: the predicted class and the true class of held-out faces, `[M]`.
    """
    rng = np.random.default_rng(0)
    everything = np.arange(len(samples)), np.arange(len(labels))
    bootstraps = [
        (rng.choice(everything[0], len(samples)), rng.choice(everything[1], len(labels))) for _ in range(BOOTSTRAPS)
    ]
    observed, confusion = [], []
    for rows, faces in (everything, *bootstraps):
        observed.append(np.bincount(samples[rows], minlength=classes) / len(samples))
        counts = np.full((classes, classes), PSEUDO_COUNT)  # [true, predicted]
        np.add.at(counts, (labels[faces], held_out[faces]), 1)
        confusion.append(counts / counts.sum(1, keepdims=True))
    shares = _most_likely_shares(np.array(observed), np.array(confusion))
    low, high = np.quantile(shares[1:], (0.025, 0.975), axis=0)
    return [Score(float(s), float(min(a, s)), float(max(b, s))) for s, a, b in zip(shares[0], low, high, strict=True)]


def _most_likely_shares(observed: NDArray[np.float64], confusion: NDArray[np.float64]) -> NDArray[np.float64]:
    """The true shares `[B, K]` from the predicted ones `[B, K]` and the confusions `[B, K, K]` (true, predicted)."""
    shares = np.full_like(observed, 1 / observed.shape[1])
    for _ in range(EM_STEPS):
        expected = np.einsum("bt,btp->bp", shares, confusion)
        shares = shares * np.einsum("btp,bp->bt", confusion, observed / expected)
    result: NDArray[np.float64] = shares / shares.sum(1, keepdims=True)
    return result


def attribute_table(shares: Sequence[AttributeShare]) -> list[list[str]]:
    """The rows of a table; the first is the header. What is rarer among samples comes first."""
    order = {"rarer": 0, "more frequent": 1, "": 2, UNCERTAIN: 3}
    rows = [["attribute", "data", "samples", "difference", "accuracy"]]
    for share in sorted(shares, key=lambda each: (order[each.difference], each.samples.value - each.data.value)):
        rows.append(
            [
                share.name,
                _with_interval(share.data),
                _with_interval(share.samples) if share.certain else "unknown",
                share.difference,
                f"{share.accuracy:.0%}",
            ]
        )
    return rows


def lost_attributes(shares: Sequence[AttributeShare]) -> list[str]:
    """The attributes that the generator lost in part; "not young" or "beard" if it exaggerates young or no_beard."""
    lost = [share.name for share in shares if share.difference == "rarer"]
    for share in shares:
        absent = Score(1 - share.data.value, 1 - share.data.high, 1 - share.data.low)
        absent_samples = Score(1 - share.samples.value, 1 - share.samples.high, 1 - share.samples.low)
        rarer = absent_samples.high < absent.value and absent_samples.value < RARER * absent.value
        if share.certain and not share.column and rarer:
            lost.append(share.name.removeprefix("no_") if share.name.startswith("no_") else f"not {share.name}")
    return lost


def attribute_summary(shares: Sequence[AttributeShare]) -> str:
    """One or two sentences: what is rarer among the samples than in the data."""
    lost, uncertain = lost_attributes(shares), sum(not share.certain for share in shares)
    compared = len(shares) - uncertain
    sentence = (
        f"Rarer among the samples than in the data: {', '.join(lost)}."
        if lost
        else f"None of {compared} attributes is clearly rarer among the samples than in the data."
    )
    if uncertain:
        sentence += f" Of {len(shares)} attributes, {uncertain} could not be compared: the probe is too weak."
    if any(share.recognized for share in shares):
        sentence += " The data has no labels: a classifier took their place, whose accuracy on this data is unknown."
    return sentence


def explanation(shares: Sequence[AttributeShare]) -> str:
    """How the shares were measured, and what the columns of the table mean."""
    return RECOGNIZED if any(share.recognized for share in shares) else LABELED


def _with_interval(score: Score) -> str:
    return f"{score.value:.1%} ({score.low:.1%} to {score.high:.1%})"

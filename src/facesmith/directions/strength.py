"""How long a direction is to be: strength 1 brings an attribute clearly into faces that lack it, and no further.

Where nearly all faces have it (young, say), there is little to bring: then -1 is to take it away as clearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facesmith.attributes import Classifier, predict_logits
from facesmith.gan.contracts import Generator
from facesmith.latent.synthesis import synthesize

WANTED = 0.74  # of the faces without an attribute, the share that is to have it at strength 1
LEAST = 0.5  # a direction that brings it to fewer than that doesn't work
SHARES = (0.4, 0.7, 1.0, 1.4, 2.0)  # of the length that a direction has so far, at which faces are looked at
LONGEST = 5.0  # deviations of latents that strength 1 may go: beyond, faces break
MOSTLY = 0.75  # of all faces: an attribute that more of them have is measured by taking it away
FEWEST = 24  # faces without an attribute, to measure by


@dataclass(frozen=True)
class Reach:
    """What was measured of one direction.

    Attributes:
        sign: 1 where it was measured by adding it to faces that lack the attribute; -1 by taking it from those that
            have it.
        share: of the length that it had, which it is to have.
        faces: how many were looked at.
        reached: share of those in which the attribute came, or went.
        average: logit of the average face with it added, or taken away.
    """

    sign: int
    share: float
    faces: int
    reached: float
    average: float


def reach(
    G: Generator,
    classifier: Classifier,
    w: Tensor,
    logits: Tensor,
    step: Tensor,
    deviations: float,
    attribute: int,
) -> Reach:
    """Measure a direction that was refined to be about as long as needed.

    Args:
        w: latents `[N, w_dim]` that the direction was not fitted to.
        logits: `[N, A]` of their faces.
        step: `[w_dim]`.
        deviations: the step's length in deviations of latents.
        attribute: which of the classifier's it is of.
    """
    sign = usual_sign(logits[:, attribute])
    has_less = sign * logits[:, attribute]
    some = w[has_less < 0]
    if len(some) < FEWEST:  # hardly any: go by those that are nearest to it
        some = w[has_less.argsort()[:FEWEST]]
    step = sign * step
    most = LONGEST / max(deviations, 1e-6)
    shares = [*(share for share in SHARES if share < most), most]
    told = torch.stack([sign * _told(G, classifier, some + share * step, attribute) for share in shares])  # [S, N]
    share = crossing(torch.quantile(told, 1 - WANTED, dim=1), shares)
    final = sign * _told(G, classifier, some + share * step, attribute)
    average = _told(G, classifier, G.w_avg[None] + share * step, attribute)
    return Reach(sign, share, len(some), float((final > 0).float().mean()), float(average[0]))


def usual_sign(logits: Tensor) -> int:
    """1 for an attribute that is to be brought into faces, -1 for one that nearly all have, by logits `[N]`."""
    return -1 if float((logits > 0).float().mean()) > MOSTLY else 1


def _told(G: Generator, classifier: Classifier, w: Tensor, attribute: int) -> Tensor:
    return predict_logits(classifier, synthesize(G, w))[:, attribute]


def crossing(lowest: Tensor, shares: Sequence[float]) -> float:
    """The first share at which logits `[S]` reach 0, on straight lines between those measured; else the last."""
    if lowest[0] >= 0:
        return shares[0]
    for i in range(1, len(shares)):
        if lowest[i] >= 0:
            part = float(-lowest[i - 1] / (lowest[i] - lowest[i - 1]))
            return shares[i - 1] + part * (shares[i] - shares[i - 1])
    return shares[-1]

"""The length of directions: strength 1 makes an attribute clearly visible in faces that lack it, and goes no further.

Where nearly all faces have an attribute (young, say), there are few faces to add it to. Such a direction is measured by
strength -1, which removes the attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facesmith.attributes import Classifier, predict_logits
from facesmith.gan.contracts import Generator
from facesmith.latent.synthesis import synthesize

TARGET_RATE = 0.74  # of the faces without an attribute, the share that has it at strength 1
MIN_SUCCESS_RATE = 0.5  # a direction with a lower rate does not work
SCALES = (0.4, 0.7, 1.0, 1.4, 2.0)  # tried lengths, relative to the current length of a direction
MAX_DEVIATIONS = 5.0  # longest strength 1, in standard deviations of latents: beyond, faces break
COMMON_SHARE = 0.75  # an attribute that more of all faces have is measured by removing it
MIN_FACES = 24  # without an attribute, to measure with


@dataclass(frozen=True)
class StrengthCalibration:
    """What was measured of one direction.

    Attributes:
        sign: 1 if it was added to faces that lack the attribute; -1 if it was subtracted from faces that have it.
        scale: the length it should have, relative to the length it had.
        faces: how many were edited.
        success_rate: share of those in which the attribute appeared (or disappeared).
        average_face_logit: of the average face after the edit.
    """

    sign: int
    scale: float
    faces: int
    success_rate: float
    average_face_logit: float


def calibrate_strength(
    G: Generator,
    classifier: Classifier,
    w: Tensor,
    logits: Tensor,
    direction: Tensor,
    deviations: float,
    attribute: int,
) -> StrengthCalibration:
    """Find the length at which a direction reaches `TARGET_RATE`.

    Args:
        w: latents `[N, w_dim]` that the direction was not fitted to.
        logits: `[N, A]` of their faces.
        direction: `[w_dim]`, about as long as needed.
        deviations: its length in standard deviations of latents.
        attribute: its index among the classifier's outputs.
    """
    sign = edit_sign(logits[:, attribute])
    own_logits = sign * logits[:, attribute]
    lacking = w[own_logits < 0]
    if len(lacking) < MIN_FACES:
        lacking = w[own_logits.argsort()[:MIN_FACES]]
    step = sign * direction
    max_scale = MAX_DEVIATIONS / max(deviations, 1e-6)
    scales = [*(scale for scale in SCALES if scale < max_scale), max_scale]
    edited = torch.stack([
        sign * _attribute_logits(G, classifier, lacking + scale * step, attribute) for scale in scales
    ])  # fmt: skip  # [scales, N]
    scale = zero_crossing(torch.quantile(edited, 1 - TARGET_RATE, dim=1), scales)
    final = sign * _attribute_logits(G, classifier, lacking + scale * step, attribute)
    average = _attribute_logits(G, classifier, G.w_avg[None] + scale * step, attribute)
    return StrengthCalibration(sign, scale, len(lacking), float((final > 0).float().mean()), float(average[0]))


def edit_sign(logits: Tensor) -> int:
    """Return 1 for an attribute to add, or -1 for one to remove because most faces have it, by their logits `[N]`."""
    return -1 if float((logits > 0).float().mean()) > COMMON_SHARE else 1


def _attribute_logits(G: Generator, classifier: Classifier, w: Tensor, attribute: int) -> Tensor:
    return predict_logits(classifier, synthesize(G, w))[:, attribute]


def zero_crossing(logits: Tensor, scales: Sequence[float]) -> float:
    """Return the first scale at which logits reach 0, by linear interpolation; the last scale if they never do.

    Args:
        logits: `[S]`, one per scale.
    """
    if logits[0] >= 0:
        return scales[0]
    for i in range(1, len(scales)):
        if logits[i] >= 0:
            t = float(-logits[i - 1] / (logits[i] - logits[i - 1]))
            return scales[i - 1] + t * (scales[i] - scales[i - 1])
    return scales[-1]

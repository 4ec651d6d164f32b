"""Directions improved by what they do to faces: gradients flow through the classifier and the generator.

A linear fit gives the direction in which logits grow on average. Refinement changes each direction so that adding it to
any face makes its own attribute clearly visible, and subtracting it removes the attribute. Meanwhile the classifier's
output for other attributes and the layout of the picture must stay the same. Faces are degraded at random (blur, light,
noise) before they are classified, so that a direction can't exploit details that people would not see.

Related: Shen et al. 2020, "InterFaceGAN", arXiv:1907.10786 (the linear fit); Jahanian et al. 2020, arXiv:1907.07171
(directions learned through the generator).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from rich.console import Console
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import smooth_l1_loss

from facesmith.attributes.classifier import Classifier
from facesmith.attributes.degrade import degrade_seeded
from facesmith.gan.contracts import Generator
from facesmith.io.progress import bar
from facesmith.latent.whitening import Whitening
from facesmith.pictures.images import Pixels, to_float

TARGET_LOGIT = 2.5  # "clearly visible": a probability of 92 %
BATCH_SIZE = 32
REVERSED_SHARE = 0.3  # share of faces on which a direction is tried with the opposite sign
LR = 0.03
SEED = 11


@dataclass(frozen=True)
class PenaltyWeights:
    """Weights of the penalties on what a direction must not do.

    Attributes:
        attributes: change other attributes.
        appearance: change the picture, as the classifier's feature maps see it.
        length: be long.
    """

    attributes: float
    appearance: float
    length: float


STRICT, LOOSE = (
    PenaltyWeights(1.0, 3.0, 0.02),
    PenaltyWeights(0.3, 1.0, 0.003),
)  # LOOSE for directions too weak at first


def keep_weights(own: list[int], keep: list[list[int]], logits: Tensor) -> Tensor:
    """Return how strongly each direction must preserve each attribute, `[A', A]`.

    The weight is 1 for attributes in `keep` and 0 for the direction's own. For others it is 1 minus the absolute
    correlation with the own attribute: attributes that usually occur together may change together.

    Args:
        own: index of each direction's attribute, A' numbers.
        keep: for each direction, the indices of attributes that must not change.
        logits: `[N, A]` of faces.
    """
    correlation = torch.corrcoef(logits.double().T).reshape(logits.shape[1], -1)  # of one attribute it is a scalar
    correlation = correlation.nan_to_num(0).abs().float()
    weights = 1 - correlation[own]
    for row, kept in enumerate(keep):
        weights[row, kept] = 1.0
    weights[torch.arange(len(own)), own] = 0.0
    return weights


def refine_directions(
    G: Generator,
    classifier: Classifier,
    w: Tensor,
    images: Pixels,
    start: Tensor,
    whitening: Whitening,
    own: list[int],
    keep: Tensor,
    signs: Tensor,
    console: Console,
    *,
    steps: int,
    precision: torch.dtype,
    penalties: PenaltyWeights = STRICT,
) -> Tensor:
    """Return refined directions in whitened coordinates, `[A', d]`; their length is roughly that of strength 1.

    Args:
        w: latents `[N, w_dim]` of example faces.
        images: the example faces, uint8 `[N, S, S, C]`.
        start: directions `[A', d]`, long enough to have a visible effect.
        whitening: of the latents.
        own: index of each direction's attribute among the classifier's outputs.
        keep: `[A', A]`, as `keep_weights` returns it.
        signs: `[A']`, 1 for directions that are mostly added, -1 for those that are mostly subtracted.
    """
    directions = start.detach().float().clone().requires_grad_(True)
    root = whitening.root.float()
    optimizer = torch.optim.Adam([directions], LR, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    own_index = torch.tensor(own)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        for step in bar(range(steps), steps, f"refining {len(own)} directions", console):
            rows = torch.randint(len(w), (BATCH_SIZE,))
            before = to_float(torch.from_numpy(images[rows.numpy()]))
            which = (torch.arange(BATCH_SIZE) + step * BATCH_SIZE) % len(own)  # directions take turns
            sign = signs[which] * torch.where(torch.rand(BATCH_SIZE) < REVERSED_SHARE, -1.0, 1.0)
            with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                after = G.synthesis(w[rows] + sign[:, None] * (directions[which] @ root))
            loss = _edit_loss(classifier, before, after, own_index[which], sign, keep[which], precision, penalties)
            loss = loss + penalties.length * directions.square().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return directions.detach()


def _edit_loss(
    classifier: Classifier,
    before: Tensor,
    after: Tensor,
    own: Tensor,
    sign: Tensor,
    keep: Tensor,
    precision: torch.dtype,
    penalties: PenaltyWeights,
) -> Tensor:
    """Return the loss of edits: is the own attribute clearly visible (or removed), and has all else stayed the same?

    Args:
        before: faces `[N, C, S, S]` in `[-1, 1]`.
        after: the edited faces.
        own: `[N]`, the edited attribute.
        sign: `[N]`, 1 if the attribute was added, -1 if it was removed.
        keep: `[N, A]`, weights of the attributes that should stay the same.
    """
    seed = int(torch.randint(2**31, ()))
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        with torch.no_grad():
            logits, maps = classifier.logits_and_maps(degrade_seeded(before, seed))
        logits_after, maps_after = classifier.logits_and_maps(degrade_seeded(after.float(), seed))
    rows = torch.arange(len(own))
    own_logit, own_logit_after = sign * logits[rows, own], sign * logits_after[rows, own]
    edit = smooth_l1_loss(own_logit_after, own_logit.clamp_min(TARGET_LOGIT))
    # Kullback-Leibler divergence of the attributes' probabilities: cross-entropy minus entropy.
    probabilities = logits.sigmoid()
    divergence = cross_entropy(logits_after, probabilities, reduction="none") - cross_entropy(
        logits, probabilities, reduction="none"
    )
    attributes = (keep * divergence).sum(1).mean()
    # The change of the feature maps, relative to the difference between two random faces.
    maps, maps_after = maps.float(), maps_after.float()
    between_faces = (maps - maps.roll(1, 0)).square().mean()
    appearance = (maps_after - maps).square().mean() / between_faces.clamp_min(1e-6)
    return edit + penalties.attributes * attributes + penalties.appearance * appearance

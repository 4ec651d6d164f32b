"""Directions made better by looking at what they do: through the generator to the classifier, and back by gradients.

A linear fit says where logits grow on average. Here each direction is moved so that added to any face it brings its
own attribute to clearly there, taken away clearly not, while what the classifier says of all else, and what is where
in the picture, stays. The face is softened by chance before it is judged, so that a direction has to please the
classifier by what people see, too.

Kin: Shen et al. 2020, "InterFaceGAN", arXiv:1907.10786 (the linear fit); Jahanian et al. 2020, arXiv:1907.07171 (a
walk learnt through the generator).
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
from facesmith.io.images import Pixels, to_float
from facesmith.io.progress import bar
from facesmith.latent.whitening import Whitening

CLEAR = 2.5  # the logit of what is clearly there: 92 %
BATCH = 32
OTHER_WAY = 0.3  # share of the faces on which a direction is tried the other way round than it is measured
LR = 0.03
SEED = 11


@dataclass(frozen=True)
class Restraint:
    """What a direction must not do, by weight.

    Attributes:
        stay: alter what is said of other attributes.
        look: alter what is seen.
        short: be long.
    """

    stay: float
    look: float
    short: float


STRICT, LOOSE = Restraint(1.0, 3.0, 0.02), Restraint(0.3, 1.0, 0.003)  # at first, and where that brings too little


def stay_weights(chosen: list[int], keep: list[int], logits: Tensor) -> Tensor:
    """`[A', A]`: 1 for what is to stay, of all others the less the more they go along with the attribute itself.

    Args:
        logits: `[N, A]` of real or generated faces.
    """
    together = torch.corrcoef(logits.double().T).nan_to_num(0).abs().float()
    weights = 1 - together[chosen]
    weights[:, keep] = 1.0
    weights[torch.arange(len(chosen)), chosen] = 0.0
    return weights


def refined(
    G: Generator,
    classifier: Classifier,
    w: Tensor,
    pictures: Pixels,
    start: Tensor,
    coordinates: Whitening,
    chosen: list[int],
    stay: Tensor,
    signs: Tensor,
    console: Console,
    *,
    steps: int,
    precision: torch.dtype,
    restraint: Restraint = STRICT,
) -> Tensor:
    """Steps in coordinates, `[A', d]`, begun at `start`; length 1 of them is to be strength 1, roughly.

    Args:
        w: latents `[N, w_dim]` to try them on.
        pictures: their faces, uint8 `[N, S, S, C]`.
        start: steps `[A', d]`, already of a length that shows.
        chosen: which of the classifier's attributes each step is of.
        stay: weights `[A', A]`.
        signs: `[A']`, 1 for what is mostly to be added, -1 for what is mostly to be taken away.
    """
    step = start.detach().float().clone().requires_grad_(True)
    root = coordinates.root.float()
    optimizer = torch.optim.Adam([step], LR, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    own = torch.tensor(chosen)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        for number in bar(range(steps), steps, f"refining {len(chosen)} directions", console):
            rows = torch.randint(len(w), (BATCH,))
            some, before = w[rows], to_float(torch.from_numpy(pictures[rows.numpy()]))
            which = (torch.arange(BATCH) + number * BATCH) % len(chosen)
            sign = signs[which] * torch.where(torch.rand(BATCH) < OTHER_WAY, -1.0, 1.0)
            with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                after = G.synthesis(some + sign[:, None] * (step[which] @ root))
            loss = _loss(classifier, before, after, own[which], sign, stay[which], precision, restraint)
            loss = loss + restraint.short * step.square().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return step.detach()


def _loss(
    classifier: Classifier,
    before: Tensor,
    after: Tensor,
    own: Tensor,
    sign: Tensor,
    stay: Tensor,
    precision: torch.dtype,
    restraint: Restraint,
) -> Tensor:
    """Of faces and of what became of them: has their own attribute come, and all else stayed?"""
    seed = int(torch.randint(2**31, ()))
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        with torch.no_grad():
            told, maps = classifier.logits_and_maps(degrade_seeded(before, seed))
        told_after, maps_after = classifier.logits_and_maps(degrade_seeded(after.float(), seed))
    rows = torch.arange(len(own))
    signed, signed_after = sign * told[rows, own], sign * told_after[rows, own]
    come = smooth_l1_loss(signed_after, signed.clamp_min(CLEAR))
    verdicts = told.sigmoid()
    # The cross entropy of two verdicts, less what it is where they are the same: their Kullback-Leibler divergence.
    drift = cross_entropy(told_after, verdicts, reduction="none") - cross_entropy(told, verdicts, reduction="none")
    stayed = (stay * drift).sum(1).mean()
    maps, maps_after = maps.float(), maps_after.float()
    usual = (maps - maps.roll(1, 0)).square().mean()  # how unlike two faces are
    look = (maps_after - maps).square().mean() / usual.clamp_min(1e-6)
    return come + restraint.stay * stayed + restraint.look * look

"""The latent whose face comes nearest to a picture, by gradient descent from an encoder's guess.

First by pixels alone: that is cheap, and leads far down where a generator can draw the very picture. Features by
themselves have many hollows; in the end they see to it that what pixels leave open looks right.

Source: optimising a latent for pixels and features is Zhu et al. 2016, "Generative Visual Manipulation on the Natural
Image Manifold", arXiv:1609.03552; beginning at an encoder's guess and staying near what the generator knows, Zhu et al.
2020, arXiv:2004.00049, section 3.2; latents for each layer, held together, Tov et al. 2021, arXiv:2102.02766.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from rich.console import Console
from torch import Tensor
from torch.optim import Adam

from facesmith.gan.contracts import Generator
from facesmith.inversion.perceptual_distance import PerceptualDistance, pixel_distance
from facesmith.inversion.prior import norm_penalty
from facesmith.io.progress import bar
from facesmith.latent.whitening import Whitening

STEPS = 170
BY_PIXELS = 0.65  # of the steps
AT_ONCE = 8  # pictures
LR, LR_BOTH = 0.1, 0.08  # of numbers that are spread like N(0, 1): by pixels, and by both; each rises, then falls to 0
WARMING = 0.1
PIXELS, FEATURES = 4.0, 10.0
PLAUSIBLE = 0.1  # for latents longer than those the generator knows
NEAR = 0.002  # to the encoder's guess
TOGETHER = 0.02  # of the layers' latents, where there is one for each

OnStep = Callable[[int, int], None]


def optimize_latents(
    G: Generator,
    prior: Whitening,
    start: Tensor,
    images: Tensor,
    *,
    steps: int,
    console: Console,
    on_step: OnStep | None = None,
) -> Tensor:
    """Latents `[N, w_dim]`, or `[N, num_ws, w_dim]` of a generator with layers, of pictures.

    Args:
        start: `w` `[N, w_dim]` to begin from.
        images: `[N, C, S, S]` in `[-1, 1]`.
        on_step: called before each step with how many are done and how many there are, of each `AT_ONCE` pictures; it
            may raise to stop.
    """
    likeness = PerceptualDistance()
    parts = [
        _optimize(G, prior, likeness, *each, steps, console, on_step)
        for each in zip(torch.split(start, AT_ONCE), torch.split(images, AT_ONCE), strict=True)
    ]
    w = torch.cat(parts) if parts else start[:, None]
    return w if G.num_ws > 1 else w[:, 0]


def _optimize(
    G: Generator,
    prior: Whitening,
    likeness: PerceptualDistance,
    start: Tensor,
    images: Tensor,
    steps: int,
    console: Console,
    on_step: OnStep | None,
) -> Tensor:
    with torch.no_grad():
        wanted = likeness.features(images)
        begun = prior.to_u(start)[:, None].repeat(1, G.num_ws, 1)  # [N, K, w_dim]
    u = begun.clone().requires_grad_()
    first = round(BY_PIXELS * steps)
    for step in bar(range(steps), steps, f"coming nearer, {len(u)} at a time", console):
        if on_step is not None:
            on_step(step, steps)
        if step in (0, first):  # what an optimizer remembers of the first slope leads astray on the second
            optimizer = Adam([u], betas=(0.9, 0.99))
        optimizer.param_groups[0]["lr"] = (
            LR * lr_factor(step / first) if step < first else LR_BOTH * lr_factor((step - first) / (steps - first))
        )
        w = prior.to_w(u)
        drawn = G.synthesis(w if G.num_ws > 1 else w[:, 0]).float()
        loss = (
            PIXELS * pixel_distance(drawn, images)
            + PLAUSIBLE * norm_penalty(u)
            + NEAR * (u - begun).square().mean((1, 2))
            + TOGETHER * (u - u.mean(1, keepdim=True)).square().mean((1, 2))
        )
        if step >= first:
            loss = loss + FEATURES * likeness.distance(likeness.features(drawn), wanted)
        optimizer.zero_grad(set_to_none=True)
        # Summed, not averaged: a picture's latent is not to depend on how many are beside it.
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return prior.to_w(u.detach())


def lr_factor(progress: float) -> float:
    """The learning rate, in parts of the highest, at a progress of 0 to 1."""
    return min(1.0, (progress + 0.01) / WARMING) * 0.5 * (1 + math.cos(math.pi * progress))

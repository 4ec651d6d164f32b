"""Optimization-based inversion: gradient descent on the latent, so that its image becomes similar to a given one.

It starts from the encoder's guess. At first the loss compares pixels only, which is cheap and suffices if the generator
can draw the exact image. The perceptual distance has many local minima, so it is added for the last third only. It
makes the result look right where pixels leave a choice.

Sources: optimizing a latent for pixels and features is Zhu et al. 2016, "Generative Visual Manipulation on the Natural
Image Manifold", arXiv:1609.03552. The encoder's guess as a start, and a penalty that keeps the latent in the
generator's domain, are Zhu et al. 2020, arXiv:2004.00049, section 3.2. The penalty on differences between the layers'
latents is Tov et al. 2021, arXiv:2102.02766.
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
PIXELS_ONLY_SHARE = 0.65  # of the steps, at the beginning
BATCH_SIZE = 8  # images that are optimized together
PIXELS_LR, FULL_LR = 0.1, 0.08  # peak learning rates of the two phases, for whitened latents
WARM_UP_SHARE = 0.1  # of a phase
PIXEL_WEIGHT, FEATURE_WEIGHT = 4.0, 10.0
NORM_WEIGHT = 0.1  # penalty on latents with an unusually large norm
START_WEIGHT = 0.002  # penalty on the distance to the encoder's guess
LAYER_WEIGHT = 0.02  # penalty on differences between the latents of the layers

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
    """Return the optimized latents of images, `[N, w_dim]`, or `[N, num_ws, w_dim]` of a generator with layers.

    Args:
        start: `w` `[N, w_dim]`, the initial guess.
        images: `[N, C, S, S]` in `[-1, 1]`.
        on_step: called with (steps done, steps in all) before each step of each batch; it may raise to stop.
    """
    perceptual = PerceptualDistance()
    parts = [
        _optimize_batch(G, prior, perceptual, *each, steps, console, on_step)
        for each in zip(torch.split(start, BATCH_SIZE), torch.split(images, BATCH_SIZE), strict=True)
    ]
    w = torch.cat(parts) if parts else start[:, None]
    return w if G.num_ws > 1 else w[:, 0]


def _optimize_batch(
    G: Generator,
    prior: Whitening,
    perceptual: PerceptualDistance,
    start: Tensor,
    images: Tensor,
    steps: int,
    console: Console,
    on_step: OnStep | None,
) -> Tensor:
    with torch.no_grad():
        targets = perceptual.features(images)
        u_start = prior.to_u(start)[:, None].repeat(1, G.num_ws, 1)  # [N, num_ws, w_dim]
    u = u_start.clone().requires_grad_()
    pixel_steps = round(PIXELS_ONLY_SHARE * steps)
    for step in bar(range(steps), steps, f"optimizing latents, {len(u)} at a time", console):
        if on_step is not None:
            on_step(step, steps)
        if step in (0, pixel_steps):  # moments of the first loss would mislead Adam on the second
            optimizer = Adam([u], betas=(0.9, 0.99))
        optimizer.param_groups[0]["lr"] = (
            PIXELS_LR * lr_factor(step / pixel_steps)
            if step < pixel_steps
            else FULL_LR * lr_factor((step - pixel_steps) / (steps - pixel_steps))
        )
        w = prior.to_w(u)
        rebuilt = G.synthesis(w if G.num_ws > 1 else w[:, 0]).float()
        loss = (
            PIXEL_WEIGHT * pixel_distance(rebuilt, images)
            + NORM_WEIGHT * norm_penalty(u)
            + START_WEIGHT * (u - u_start).square().mean((1, 2))
            + LAYER_WEIGHT * (u - u.mean(1, keepdim=True)).square().mean((1, 2))
        )
        if step >= pixel_steps:
            loss = loss + FEATURE_WEIGHT * perceptual.distance(perceptual.features(rebuilt), targets)
        optimizer.zero_grad(set_to_none=True)
        # The sum, not the mean: a latent's gradient must not depend on the number of images in the batch.
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return prior.to_w(u.detach())


def lr_factor(progress: float) -> float:
    """Return the learning rate as a share of its peak: linear warm-up, then cosine decay to 0.

    Args:
        progress: of the phase, 0 to 1.
    """
    return min(1.0, (progress + 0.01) / WARM_UP_SHARE) * 0.5 * (1 + math.cos(math.pi * progress))

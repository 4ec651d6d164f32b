"""Which latents are plausible: those that the mapping network produces, approximated by a Gaussian."""

from __future__ import annotations

import torch
from torch import Tensor

from facesmith.gan.contracts import Generator
from facesmith.latent.from_seeds import draw_latents
from facesmith.latent.whitening import Whitening, whiten

SAMPLE_COUNT, SAMPLE_SEED = 8192, 4_099
MIN_DEVIATION = 0.02  # of an axis, as a share of the widest axis


@torch.no_grad()
def latent_prior(G: Generator) -> Whitening:
    """Return coordinates `u` in which the latents of a generator follow N(0, I), from samples with a fixed seed."""
    rng = torch.Generator().manual_seed(SAMPLE_SEED)
    return whiten(draw_latents(G, SAMPLE_COUNT, rng), MIN_DEVIATION).float()


def norm_penalty(u: Tensor) -> Tensor:
    """Penalize whitened latents `[N, K, w_dim]` with an unusually large norm.

    Returns:
        `[N]`, at least 0: (mean u² - 1)² where the mean exceeds 1, averaged over the K layers.
    """
    return (u.square().mean(2) - 1).clamp_min(0).square().mean(1)

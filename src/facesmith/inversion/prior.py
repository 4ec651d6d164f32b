"""Which latents are plausible: those that the generator's own mapping gives, taken for a Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from facesmith.gan.contracts import Generator
from facesmith.latent.seeds import draw_latents

DRAWN = 8192
LEAST_SPREAD = 0.02  # of an axis, in parts of the widest: along narrower ones nothing is known
SEED = 4_099


@dataclass(frozen=True)
class Prior:
    """Latents as numbers `u` that are spread like N(0, I): `w = mean + u @ factor`.

    Attributes:
        mean: `[w_dim]`.
        factor: `[w_dim, w_dim]`.
        inverse: of the factor.
    """

    mean: Tensor
    factor: Tensor
    inverse: Tensor

    def to_w(self, u: Tensor) -> Tensor:
        """Latents `[..., w_dim]`."""
        return self.mean + u @ self.factor

    def to_u(self, w: Tensor) -> Tensor:
        """The numbers `[..., w_dim]` that stand for latents."""
        return (w - self.mean) @ self.inverse


@torch.no_grad()
def prior_of(G: Generator) -> Prior:
    """The generator's prior, from latents drawn with a fixed seed."""
    rng = torch.Generator().manual_seed(SEED)
    w = draw_latents(G, DRAWN, rng).double()
    axes, spread, _ = torch.linalg.svd(torch.cov(w.T))
    spread = spread.sqrt()
    spread = spread.clamp_min(LEAST_SPREAD * float(spread[0]))
    # The symmetric root: of all roots the one that doesn't depend on the axes' signs, which libraries choose freely.
    factor, inverse = axes * spread @ axes.T, axes / spread @ axes.T
    return Prior(w.mean(0).float(), factor.float(), inverse.float())


def implausibility(u: Tensor) -> Tensor:
    """How much longer than usual latents `[N, K, w_dim]` are, 0 and up, `[N]`: (mean u² - 1)² where that is above 1."""
    return (u.square().mean(2) - 1).clamp_min(0).square().mean(1)

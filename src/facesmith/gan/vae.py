"""Variational autoencoding: the two errors of a VAE, and the objective of a plain one.

Source: Kingma and Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facesmith.gan.contracts import Batch, Generator, Loss, Objective


def reparameterize(mean: Tensor, log_variance: Tensor, rng: torch.Generator | None = None) -> Tensor:
    """Sample latents `[N, z_dim]` from q(z|x) so that gradients reach mean and variance.

    Args:
        mean, log_variance: of q(z|x), `[N, z_dim]` each.
        rng: a generator on the CPU; by default torch's global generator.

    Source: section 2.4.
    """
    noise = torch.randn_like(mean) if rng is None else torch.randn(mean.shape, generator=rng).to(mean.device)
    return mean + (0.5 * log_variance).exp() * noise


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL kl_divergence of q(z|x) from N(0, I), in nats per face. Source: appendix B."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


def reconstruction_error(rebuilt: Tensor, real: Tensor, noise: float) -> Tensor:
    """Minus log p(x|z) for Gaussian pixels, in nats per face, less a constant.

    Args:
        rebuilt, real: `[N, C, H, W]` in `[-1, 1]`.
        noise: standard deviation that a pixel is allowed.
    """
    return (rebuilt.float() - real).square().sum((1, 2, 3)).mean() / (2 * noise**2)


class VAEObjective(Objective):
    """A VAE's loss for the player "G", who trains encoder and decoder."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = noise

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        mean, log_variance = nets["E"](batch.real)
        G = nets["G"]
        assert isinstance(G, Generator)
        rebuilt = G.synthesis(reparameterize(mean, log_variance))
        reconstruction = reconstruction_error(rebuilt, batch.real, self.noise)
        prior = kl_divergence(mean, log_variance)
        total = reconstruction + prior
        return Loss(total, {"G/loss": total, "G/prior": prior, "G/reconstruction": reconstruction})

"""The loss terms of a variational autoencoder, and the objective of a plain VAE.

Source: Kingma and Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facesmith.gan.contracts import Batch, Generator, Loss, Objective


def reparameterize(mean: Tensor, log_variance: Tensor, rng: torch.Generator | None = None) -> Tensor:
    """Sample latents `[N, z_dim]` from q(z|x) as `μ + σ ε`, so that gradients reach μ and σ.

    Args:
        mean, log_variance: `[N, z_dim]` each.
        rng: a generator on the CPU; None for torch's global generator.

    Source: section 2.4.
    """
    noise = torch.randn_like(mean) if rng is None else torch.randn(mean.shape, generator=rng).to(mean.device)
    return mean + (0.5 * log_variance).exp() * noise


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """`KL(q(z|x) ‖ N(0, I))`, in nats per image. Source: appendix B."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


def reconstruction_error(reconstruction: Tensor, real: Tensor, noise: float) -> Tensor:
    """`-log p(x|z)` for Gaussian pixels, in nats per image, without its constant term.

    Args:
        reconstruction, real: `[N, C, H, W]` in `[-1, 1]`.
        noise: standard deviation of a pixel under p(x|z).
    """
    return (reconstruction.float() - real).square().sum((1, 2, 3)).mean() / (2 * noise**2)


class VAEObjective(Objective):
    """The negative evidence lower bound, for the player "G", which trains encoder and decoder."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = noise

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        mean, log_variance = nets["E"](batch.real)
        G = nets["G"]
        assert isinstance(G, Generator)
        reconstructed = G.synthesis(reparameterize(mean, log_variance))
        reconstruction = reconstruction_error(reconstructed, batch.real, self.noise)
        prior = kl_divergence(mean, log_variance)
        total = reconstruction + prior
        return Loss(total, {"G/loss": total, "G/prior": prior, "G/reconstruction": reconstruction})

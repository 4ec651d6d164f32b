"""The networks of "Face synthesis with GANs in PyTorch" for gray images: few channels and no normalization."""

from __future__ import annotations

from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn

from facesmith.gan import contracts
from facesmith.nets.layers import Blur, single_w

Prior = Literal["normal", "uniform", "poisson"]


class Generator(contracts.Generator):
    """A linear layer to 4x4 maps, four transposed convolutions to 64x64, and a 1x1 convolution.

    Args:
        width: channels of the last two transposed convolutions; 128 in the tutorial.
        prior: distribution of latents, with mean 0 and variance 1: normal, uniform in ±√3, or Poisson(1) minus 1.
        smooth: blur the image, to remove the checkerboard pattern of the transposed convolutions.
    """

    def __init__(
        self, z_dim: int = 200, width: int = 128, prior: Prior = "normal", channels: int = 1, smooth: bool = True
    ) -> None:
        super().__init__(resolution=64, channels=channels, z_dim=z_dim)
        self.prior, self.spherical = prior, prior == "normal"
        first = width // 8
        self.dense = nn.Linear(z_dim, first * 4 * 4)
        self.layers = nn.Sequential(
            nn.LeakyReLU(0.2),
            nn.Unflatten(1, (first, 4, 4)),
            nn.ConvTranspose2d(first, 2 * first, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(2 * first, 4 * first, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(4 * first, width, 4, 2, 1),
            nn.LeakyReLU(0.01),
            nn.ConvTranspose2d(width, width, 4, 2, 1),
            nn.LeakyReLU(0.01),
            nn.Conv2d(width, channels, 1),
            *([Blur()] if smooth else []),
            nn.Tanh(),
        )

    def draw_z(self, count: int, rng: torch.Generator) -> Tensor:
        if self.prior == "normal":
            return super().draw_z(count, rng)
        if self.prior == "uniform":
            return (torch.rand(count, self.z_dim, generator=rng) * 2 - 1) * sqrt(3)
        return torch.poisson(torch.ones(count, self.z_dim), generator=rng) - 1

    def synthesis(self, w: Tensor) -> Tensor:
        images: Tensor = self.layers(self.dense(single_w(w)))
        return images


class Discriminator(contracts.Discriminator):
    """Three convolutions with spatial dropout, two linear layers, and two classes: real and fake."""

    def __init__(self, channels: int = 1, dropout: float = 0.2) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 4, 3, 2),
            nn.LeakyReLU(0.2),
            nn.Dropout2d(dropout),
            nn.Conv2d(4, 8, 3),
            nn.LeakyReLU(0.2),
            nn.Dropout2d(dropout),
            nn.Conv2d(8, 16, 3),
            nn.LeakyReLU(0.2),
            nn.Dropout2d(dropout),
            nn.Flatten(),
            nn.Linear(16 * 27 * 27, 100),
            nn.LeakyReLU(0.2),
            nn.Linear(100, 9),
            nn.Linear(9, 2),
        )

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        real, fake = self.layers(x).float().unbind(1)
        logits: Tensor = real - fake  # log-softmax over two classes depends on their difference only
        return logits

"""The networks of "Generating Faces with Torch": an upsampling generator, a max-pooling discriminator, an encoder.

The tutorial describes the first two. It does not describe the encoder of its VAE, so this one is plain.
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil
from typing import Literal

import torch
from torch import Tensor, nn

from facesmith.gan import contracts
from facesmith.nets.layers import UpConv2d, pooled_conv, single_w

DiscriminatorNorm = Literal["none", "batch"]
Output = Literal["tanh", "linear"]


class Generator(contracts.Generator):
    """A linear layer to an eighth of the resolution, then three times nearest-neighbor upsampling and a convolution.

    If the resolution is not a multiple of 8, the image is the middle of the next larger one.

    Args:
        width: channels of the first and the last maps; the others have twice as many.
        dropout: spatial dropout rate after each convolution.
        output: "tanh", or "linear" for unbounded values.
    """

    def __init__(
        self,
        z_dim: int = 100,
        width: int = 128,
        resolution: int = 64,
        channels: int = 3,
        dropout: float = 0.0,
        output: Output = "tanh",
    ) -> None:
        super().__init__(resolution=resolution, channels=channels, z_dim=z_dim)
        self.output = output
        side = ceil(resolution / 8)
        self.first_pixel = (8 * side - resolution) // 2
        layers: list[nn.Module] = [
            nn.Linear(z_dim, width * side**2),
            nn.Unflatten(1, (width, side, side)),
            nn.ReLU(inplace=True),
        ]
        for c_in, c_out in pairwise((width, 2 * width, 2 * width, width)):
            layers += [UpConv2d(c_in, c_out), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]
            if dropout:
                layers.append(nn.Dropout2d(dropout))
        self.layers = nn.Sequential(*layers)
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def synthesis(self, w: Tensor) -> Tensor:
        images: Tensor = self.last(self.layers(single_w(w)))
        middle = slice(self.first_pixel, self.first_pixel + self.resolution)
        images = images[..., middle, middle]
        return images.tanh() if self.output == "tanh" else images


class GeneratorWithFittedPrior(Generator):
    """The generator of a VAE. After training, its `w` is drawn from a Gaussian fitted to the latents of real faces.

    Source: Ghosh et al. 2020, "From Variational to Deterministic Autoencoders", arXiv:1903.12436, section 4.
    """

    spherical, fits_prior = False, True
    w_mean: Tensor  # [w_dim]
    w_factor: Tensor  # [w_dim, w_dim], the Cholesky factor of the covariance

    def __init__(
        self, z_dim: int = 100, width: int = 128, resolution: int = 64, channels: int = 3, output: Output = "tanh"
    ) -> None:
        super().__init__(z_dim, width, resolution, channels, output=output)
        self.register_buffer("w_mean", torch.zeros(z_dim))
        self.register_buffer("w_factor", torch.eye(z_dim))

    def fit_prior(self, w: Tensor) -> None:
        w = w.cpu()  # not every device has float64
        covariance = torch.cov(w.double().T)
        # With few faces, the sample covariance is unreliable, so it is shrunk towards its diagonal.
        weight = len(w) / (len(w) + self.w_dim)
        covariance = weight * covariance + (1 - weight) * torch.diag(covariance.diagonal().clamp_min(1e-6))
        self.w_mean.copy_(w.mean(0))
        self.w_factor.copy_(torch.linalg.cholesky(covariance))

    def reset_prior(self) -> None:
        for buffer, identity in ((self.w_mean, 0.0), (self.w_avg, 0.0), (self.w_factor, torch.eye(self.w_dim))):
            buffer.copy_(torch.as_tensor(identity))

    def mapping(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.w_mean + z @ self.w_factor.T


class Discriminator(contracts.Discriminator):
    """Three 5x5 convolutions with max-pooling and spatial dropout, a wide linear layer, and one logit.

    Args:
        norm: "batch" adds BatchNorm after each convolution. The tutorial shows that D becomes too strong.
        width: channels of the first layer. The next two have 2 and 3 times as many, the wide layer 32 times.
    """

    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        norm: DiscriminatorNorm = "none",
        dropout: float = 0.2,
        width: int = 32,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        hidden = 32 * width
        for c_in, c_out in pairwise((channels, width, 2 * width, 3 * width)):
            layers += pooled_conv(c_in, c_out, 5, dropout, batch_norm=norm == "batch")
        layers += [nn.Flatten(), nn.Linear(3 * width * (resolution // 8) ** 2, hidden), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(hidden, 1))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        logits: Tensor = self.layers(x).flatten()
        return logits.float()


class Encoder(contracts.Encoder):
    """Strided convolutions with BatchNorm down to 4x4, then mean and log-variance of the latent."""

    def __init__(self, z_dim: int = 100, width: int = 64, resolution: int = 64, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        side, c_in, c_out = resolution, channels, width
        while side > 4:
            layers += [nn.Conv2d(c_in, c_out, 4, 2, 1), nn.BatchNorm2d(c_out), nn.LeakyReLU(0.2, inplace=True)]
            side, c_in, c_out = side // 2, c_out, min(2 * c_out, 4 * width)
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(c_in * side**2, 2 * z_dim))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.layers(x).float().chunk(2, 1)
        return mean, log_variance

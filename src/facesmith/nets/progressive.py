"""Networks that grow from 4x4 to the full resolution. They contain all layers from the start.

The buffer `level`, 0 to 1, says how far they have grown. Layers above the current resolution are not computed.

Source: Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation",
arXiv:1710.10196, section 2, figure 2 and table 2.
"""

from __future__ import annotations

from itertools import pairwise
from math import log2

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from facesmith.gan import contracts
from facesmith.nets.layers import EqualizedLR, MinibatchStd, PixelNorm, single_w

FIRST_SIDE = 4  # the lowest resolution


class Generator(contracts.Generator):
    """4x4 from the latent, then for each scale an upsampling, two 3x3 convolutions and a layer to RGB.

    Below the full resolution, its images are those of the current scale, upsampled.
    """

    level: Tensor

    def __init__(
        self, z_dim: int = 128, width: int = 16, max_channels: int = 128, resolution: int = 64, channels: int = 3
    ) -> None:
        super().__init__(resolution=resolution, channels=channels, z_dim=z_dim)
        widths = _widths(resolution, width, max_channels)
        self.growths = len(widths) - 1
        first = nn.Sequential(
            PixelNorm(),
            EqualizedLR(nn.Linear(z_dim, widths[0] * FIRST_SIDE**2), gain=2**0.5 / 4),  # as in the authors' code
            nn.Unflatten(1, (widths[0], FIRST_SIDE, FIRST_SIDE)),
            nn.LeakyReLU(0.2),
            PixelNorm(),
            *_conv(widths[0], widths[0]),
            PixelNorm(),
        )
        later = [
            nn.Sequential(*_conv(c_in, c_out), PixelNorm(), *_conv(c_out, c_out), PixelNorm())
            for c_in, c_out in pairwise(widths)
        ]
        self.scales = nn.ModuleList([first, *later])
        self.to_rgb = nn.ModuleList([EqualizedLR(nn.Conv2d(c, channels, 1), gain=1.0) for c in widths])
        self.register_buffer("level", torch.zeros(()))

    def synthesis(self, w: Tensor) -> Tensor:
        scale, alpha = scale_and_alpha(self.level, self.growths)
        x = self.scales[0](single_w(w))
        for layers in self.scales[1 : scale + 1]:
            x = layers(upsample(x))
        rgb: Tensor = self.to_rgb[scale](x)
        if alpha:
            x = self.scales[scale + 1](upsample(x))
            rgb = upsample(rgb).lerp(self.to_rgb[scale + 1](x), alpha)
            scale += 1
        # The paper's output is linear. With tanh it is bounded, like the images of all recipes.
        return upsample(rgb.tanh(), self.growths - scale)


class Discriminator(contracts.Discriminator):
    """The mirror image of the generator. Average pooling reduces its input to the current resolution."""

    level: Tensor

    def __init__(self, width: int = 16, max_channels: int = 128, resolution: int = 64, channels: int = 3) -> None:
        super().__init__()
        widths = _widths(resolution, width, max_channels)
        self.growths = len(widths) - 1
        self.from_rgb = nn.ModuleList(
            [nn.Sequential(EqualizedLR(nn.Conv2d(channels, c, 1)), nn.LeakyReLU(0.2)) for c in widths]
        )
        later = [nn.Sequential(*_conv(c, c), *_conv(c, c_next), nn.AvgPool2d(2)) for c_next, c in pairwise(widths)]
        last = nn.Sequential(
            MinibatchStd(),
            *_conv(widths[0] + 1, widths[0]),
            nn.Flatten(),
            EqualizedLR(nn.Linear(widths[0] * FIRST_SIDE**2, widths[0])),
            nn.LeakyReLU(0.2),
            EqualizedLR(nn.Linear(widths[0], 1), gain=1.0),
        )
        self.scales = nn.ModuleList([last, *later])
        self.register_buffer("level", torch.zeros(()))

    def limit_detail(self, x: Tensor) -> Tensor:
        """Images at full size with no more detail than fakes have at the current level, as in the authors' code."""
        scale, alpha = scale_and_alpha(self.level, self.growths)
        halvings = self.growths - scale
        coarse = upsample(avg_pool2d(x, 2**halvings), halvings)
        if not alpha:
            return coarse
        fine = upsample(avg_pool2d(x, 2 ** (halvings - 1)), halvings - 1)
        return coarse.lerp(fine, alpha)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        scale, alpha = scale_and_alpha(self.level, self.growths)
        top = scale + (alpha > 0)
        if top < self.growths:
            x = avg_pool2d(x, 2 ** (self.growths - top))
        features = self.from_rgb[top](x)
        if alpha:
            features = self.from_rgb[scale](avg_pool2d(x, 2)).lerp(self.scales[top](features), alpha)
        for layers in reversed(self.scales[1 : scale + 1]):
            features = layers(features)
        logits: Tensor = self.scales[0](features).flatten()
        return logits.float()


def scale_and_alpha(level: Tensor | float, growths: int) -> tuple[int, float]:
    """The current scale, 0 for 4x4, and how far the next one is faded in: the paper's alpha, 0 to 1."""
    if isinstance(level, Tensor) and level.is_meta:  # parameters and cost are counted at full size
        return growths, 0.0
    # Rounded, since 0.6 * 5 is slightly more than 3 in float32.
    grown = round(float(level) * growths, 5)
    scale = min(int(grown), growths)
    return scale, grown - scale if scale < growths else 0.0


def upsample(x: Tensor, times: int = 1) -> Tensor:
    """Nearest-neighbor upsampling by `2 ** times`."""
    return interpolate(x, scale_factor=2**times) if times else x


def _widths(resolution: int, width: int, max_channels: int) -> list[int]:
    """Channels at 4x4, 8x8, ..., `resolution`: `width` at the last, doubled per halving, at most `max_channels`."""
    scales = int(log2(resolution // FIRST_SIDE)) + 1
    return [min(max_channels, width * 2**i) for i in reversed(range(scales))]


def _conv(c_in: int, c_out: int) -> list[nn.Module]:
    return [EqualizedLR(nn.Conv2d(c_in, c_out, 3, padding=1)), nn.LeakyReLU(0.2)]

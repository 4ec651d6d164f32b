"""Networks that grow from 4x4 upwards, built whole and faded in by one number.

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

SMALLEST = 4


def channels_of(resolution: int, width: int, max_channels: int) -> list[int]:
    """Channels at 4x4, 8x8, ... `resolution`: `width` at the full one, doubled downwards up to `widest`."""
    scales = int(log2(resolution // SMALLEST)) + 1
    return [min(max_channels, width * 2**i) for i in reversed(range(scales))]


def stage(level: Tensor | float, growths: int) -> tuple[int, float]:
    """The scale that stands whole, counted from 0, and how far (0 to 1) the next has faded in."""
    if (
        isinstance(level, Tensor) and level.is_meta
    ):  # networks without memory have no level; what is counted of them is the whole
        return growths, 0.0
    grown = round(float(level) * growths, 5)  # in float32, three fifths of five are a little more than three
    whole = min(int(grown), growths)
    return whole, grown - whole if whole < growths else 0.0


def double(x: Tensor, times: int = 1) -> Tensor:
    """Nearest-neighbour doubling."""
    return interpolate(x, scale_factor=2**times) if times else x


def _conv(c_in: int, c_out: int) -> list[nn.Module]:
    return [EqualizedLR(nn.Conv2d(c_in, c_out, 3, padding=1)), nn.LeakyReLU(0.2)]


class Generator(contracts.Generator):
    """4x4 from the latent, then a doubling and two 3x3 convolutions for each scale; each scale has its own way to RGB.

    What lies above the present level is not computed: the picture is that of the level, enlarged.
    """

    level: Tensor

    def __init__(
        self, z_dim: int = 128, width: int = 16, max_channels: int = 128, resolution: int = 64, channels: int = 3
    ) -> None:
        super().__init__(resolution=resolution, channels=channels, z_dim=z_dim)
        widths = channels_of(resolution, width, max_channels)
        self.growths = len(widths) - 1
        first = nn.Sequential(
            PixelNorm(),
            EqualizedLR(nn.Linear(z_dim, widths[0] * SMALLEST**2), gain=2**0.5 / 4),  # as the authors' code
            nn.Unflatten(1, (widths[0], SMALLEST, SMALLEST)),
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
        whole, fading = stage(self.level, self.growths)
        x = self.scales[0](single_w(w))
        for scale in self.scales[1 : whole + 1]:
            x = scale(double(x))
        rgb: Tensor = self.to_rgb[whole](x)
        if fading:
            x = self.scales[whole + 1](double(x))
            rgb = double(rgb).lerp(self.to_rgb[whole + 1](x), fading)
            whole += 1
        # The paper's output is linear; bounded, as all pictures here are, it can't run away.
        return double(rgb.tanh(), self.growths - whole)


class Discriminator(contracts.Discriminator):
    """The generator's mirror; it pools its own input down to the present level."""

    level: Tensor

    def __init__(self, width: int = 16, max_channels: int = 128, resolution: int = 64, channels: int = 3) -> None:
        super().__init__()
        widths = channels_of(resolution, width, max_channels)
        self.growths = len(widths) - 1
        self.from_rgb = nn.ModuleList(
            [nn.Sequential(EqualizedLR(nn.Conv2d(channels, c, 1)), nn.LeakyReLU(0.2)) for c in widths]
        )
        later = [nn.Sequential(*_conv(c, c), *_conv(c, c_next), nn.AvgPool2d(2)) for c_next, c in pairwise(widths)]
        last = nn.Sequential(
            MinibatchStd(),
            *_conv(widths[0] + 1, widths[0]),
            nn.Flatten(),
            EqualizedLR(nn.Linear(widths[0] * SMALLEST**2, widths[0])),
            nn.LeakyReLU(0.2),
            EqualizedLR(nn.Linear(widths[0], 1), gain=1.0),
        )
        self.scales = nn.ModuleList([last, *later])
        self.register_buffer("level", torch.zeros(()))

    def detail(self, x: Tensor) -> Tensor:
        """Real faces with no more detail than the generator can draw at this level, as the authors show them."""
        whole, fading = stage(self.level, self.growths)
        coarse = double(avg_pool2d(x, 2 ** (self.growths - whole)), self.growths - whole)
        if not fading:
            return coarse
        finer = self.growths - whole - 1
        return coarse.lerp(double(avg_pool2d(x, 2**finer), finer), fading)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        whole, fading = stage(self.level, self.growths)
        top = whole + (fading > 0)
        if top < self.growths:
            x = avg_pool2d(x, 2 ** (self.growths - top))
        features = self.from_rgb[top](x)
        if fading:
            features = self.from_rgb[whole](avg_pool2d(x, 2)).lerp(self.scales[top](features), fading)
        for scale in reversed(self.scales[1 : whole + 1]):
            features = scale(features)
        logits: Tensor = self.scales[0](features).flatten()
        return logits.float()

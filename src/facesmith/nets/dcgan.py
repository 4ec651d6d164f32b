"""DCGAN's networks: nothing but strided convolutions and BatchNorm.

Source: Radford et al. 2016, arXiv:1511.06434, figure 1 and section 3.
"""

from __future__ import annotations

from itertools import pairwise
from math import log2

from torch import Tensor, nn

from facesmith.gan import contracts
from facesmith.nets.layers import init_dcgan, init_he, single_w

SLOPE = 0.2  # of the critic's leaky ReLUs


def doublings(resolution: int) -> int:
    """How many times 4x4 doubles to reach a resolution."""
    return int(log2(resolution)) - 2


class Generator(contracts.Generator):
    """`z` as a 1x1 picture, grown to 4x4 and doubled by transposed convolutions, halving its channels each time.

    Args:
        width: channels at half of the full resolution; 8 times as many at 4x4 for 64x64.
    """

    def __init__(self, z_dim: int, width: int, resolution: int = 64, channels: int = 3) -> None:
        super().__init__(resolution=resolution, channels=channels, z_dim=z_dim)
        widths = [width * 2**i for i in reversed(range(doublings(resolution)))]  # at 4x4, 8x8, ...
        layers: list[nn.Module] = [nn.ConvTranspose2d(z_dim, widths[0], 4, 1, 0, bias=False)]
        for c_in, c_out in pairwise(widths):
            layers += [
                nn.BatchNorm2d(c_in),
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(c_in, c_out, 4, 2, 1, bias=False),
            ]
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True)]
        layers += [nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1, bias=False), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        init_dcgan(self)

    def synthesis(self, w: Tensor) -> Tensor:
        images: Tensor = self.layers(single_w(w)[:, :, None, None])  # [N, z_dim] -> [N, z_dim, 1, 1]
        return images


class Discriminator(contracts.Discriminator):
    """The generator's mirror: halved to 4x4 by strided convolutions, doubling its channels, then one logit.

    Args:
        norm: BatchNorm behind all convolutions but the first and the last; where each picture is to be judged by
            itself, as a gradient penalty wants it, there is none, and weights begin as He et al. 2015 have them.
    """

    def __init__(self, width: int, resolution: int = 64, channels: int = 3, norm: bool = True) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(doublings(resolution))]
        layers: list[nn.Module] = [
            nn.Conv2d(channels, widths[0], 4, 2, 1, bias=not norm),
            nn.LeakyReLU(SLOPE, inplace=norm),
        ]
        for c_in, c_out in pairwise(widths):
            layers.append(nn.Conv2d(c_in, c_out, 4, 2, 1, bias=not norm))
            layers += [nn.BatchNorm2d(c_out)] if norm else []
            layers.append(nn.LeakyReLU(SLOPE, inplace=norm))
        layers += [nn.Conv2d(widths[-1], 1, 4, 1, 0, bias=not norm)]
        self.layers = nn.Sequential(*layers)
        if norm:
            init_dcgan(self)
        else:
            init_he(self, SLOPE)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        logits: Tensor = self.layers(x).flatten()  # [N, 1, 1, 1] -> [N]
        return logits.float()

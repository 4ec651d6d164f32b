"""The networks of DCGAN: strided convolutions and BatchNorm.

Source: Radford et al. 2016, arXiv:1511.06434, figure 1 and section 3.
"""

from __future__ import annotations

from itertools import pairwise
from math import log2

from torch import Tensor, nn

from facesmith.gan import contracts
from facesmith.nets.layers import init_dcgan, init_he, single_w

SLOPE = 0.2  # of the discriminator's leaky ReLUs


class Generator(contracts.Generator):
    """`z` as a 1x1 image, then transposed convolutions to 4x4, 8x8, ..., each with half the channels.

    Args:
        width: channels at half the full resolution.
    """

    def __init__(self, z_dim: int, width: int, resolution: int = 64, channels: int = 3) -> None:
        super().__init__(resolution=resolution, channels=channels, z_dim=z_dim)
        widths = _widths(width, resolution)[::-1]  # at 4x4, 8x8, ...
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
    """The mirror image of the generator: strided convolutions down to 4x4, each with twice the channels, then a logit.

    Args:
        norm: BatchNorm after all convolutions but the first and the last. Without it, each logit depends on one image
            only, as a gradient penalty requires. Weights are then initialized as in He et al. 2015.
    """

    def __init__(self, width: int, resolution: int = 64, channels: int = 3, norm: bool = True) -> None:
        super().__init__()
        widths = _widths(width, resolution)
        layers: list[nn.Module] = [
            nn.Conv2d(channels, widths[0], 4, 2, 1, bias=not norm),
            nn.LeakyReLU(SLOPE, inplace=norm),
        ]
        for c_in, c_out in pairwise(widths):
            layers.append(nn.Conv2d(c_in, c_out, 4, 2, 1, bias=not norm))
            layers += [nn.BatchNorm2d(c_out)] if norm else []
            layers.append(nn.LeakyReLU(SLOPE, inplace=norm))
        layers.append(nn.Conv2d(widths[-1], 1, 4, 1, 0, bias=not norm))
        self.layers = nn.Sequential(*layers)
        if norm:
            init_dcgan(self)
        else:
            init_he(self, SLOPE)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        logits: Tensor = self.layers(x).flatten()  # [N, 1, 1, 1] -> [N]
        return logits.float()


def _widths(width: int, resolution: int) -> list[int]:
    """Channels at half the full resolution, a quarter of it, ..., 4x4."""
    return [width * 2**i for i in range(int(log2(resolution)) - 2)]

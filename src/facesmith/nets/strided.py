"""DCGAN's networks with a linear layer at the lowest resolution and optional plain or residual blocks.

Source: Radford et al. 2016, arXiv:1511.06434; residual blocks after He et al. 2016, arXiv:1512.03385.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from facesmith.gan import contracts
from facesmith.nets.layers import init_dcgan, single_w

Blocks = Literal["plain", "residual"]


class Generator(contracts.Generator):
    """A linear layer, then `scales` upsampling blocks, each with half the channels.

    Args:
        width: channels at half the full resolution.
        scales: number of times that the resolution doubles, starting from `resolution / 2**scales`.
        deeper: additional blocks after each upsampling but the last.
    """

    def __init__(
        self, z_dim: int, width: int, resolution: int, channels: int, scales: int, blocks: Blocks, deeper: int
    ) -> None:
        super().__init__(resolution=resolution, channels=channels, z_dim=z_dim)
        side, c = resolution >> scales, width << (scales - 1)
        layers: list[nn.Module] = [
            nn.Linear(z_dim, c * side**2, bias=False),
            nn.Unflatten(1, (c, side, side)),
            nn.BatchNorm2d(c),
            nn.ReLU(),
        ]
        for _ in range(scales - 1):
            layers += [upsampling_block(blocks, c, c // 2), *(block(blocks, c // 2, False) for _ in range(deeper))]
            c //= 2
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(c, channels, 4, 2, 1), nn.Tanh())
        init_dcgan(self)

    def synthesis(self, w: Tensor) -> Tensor:
        images: Tensor = self.layers(single_w(w))
        return images


class Discriminator(contracts.Discriminator):
    """The mirror image of the generator: `scales` downsampling blocks, then a linear layer to one logit.

    Args:
        dropout: spatial dropout rate after each downsampling.
    """

    def __init__(
        self, width: int, resolution: int, channels: int, scales: int, blocks: Blocks, deeper: int, dropout: float
    ) -> None:
        super().__init__()
        c, layers = width, [downsampling_block(blocks, channels, width, norm=False), nn.Dropout2d(dropout)]
        for _ in range(scales - 1):
            layers.append(downsampling_block(blocks, c, 2 * c, norm=True))
            layers += [*(block(blocks, 2 * c, True) for _ in range(deeper)), nn.Dropout2d(dropout)]
            c *= 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(c * (resolution >> scales) ** 2, 1))
        init_dcgan(self)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        logits: Tensor = self.layers(x).flatten()
        return logits.float()


def block(blocks: Blocks, c: int, leaky: bool) -> nn.Module:
    """A block that keeps resolution and channels: one 3x3 convolution, or two with a shortcut."""
    first = [*_conv_norm(c), _activation(leaky)]
    if blocks == "plain":
        return nn.Sequential(*first)
    return ResidualBlock(nn.Sequential(*first, *_conv_norm(c)), nn.Identity(), leaky)


def downsampling_block(blocks: Blocks, c_in: int, c_out: int, norm: bool) -> nn.Module:
    """A strided 4x4 convolution. Residual: followed by a 3x3 convolution, with a shortcut of average pooling."""
    strided: list[nn.Module] = [nn.Conv2d(c_in, c_out, 4, 2, 1, bias=not norm)]
    strided += [nn.BatchNorm2d(c_out)] if norm else []
    if blocks == "plain":
        return nn.Sequential(*strided, _activation(True))
    main = nn.Sequential(*strided, _activation(True), *_conv_norm(c_out))
    return ResidualBlock(main, nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c_in, c_out, 1)), True)


def upsampling_block(blocks: Blocks, c_in: int, c_out: int) -> nn.Module:
    """A transposed 4x4 convolution. Residual: followed by a 3x3 convolution, with a nearest-neighbor shortcut."""
    strided = [nn.ConvTranspose2d(c_in, c_out, 4, 2, 1, bias=False), nn.BatchNorm2d(c_out)]
    if blocks == "plain":
        return nn.Sequential(*strided, _activation(False))
    main = nn.Sequential(*strided, _activation(False), *_conv_norm(c_out))
    shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1), nn.UpsamplingNearest2d(scale_factor=2))
    return ResidualBlock(main, shortcut, False)


class ResidualBlock(nn.Module):
    """`activation(main(x) + skip(x))`."""

    def __init__(self, main: nn.Module, skip: nn.Module, leaky: bool) -> None:
        super().__init__()
        self.main, self.skip, self.act = main, skip, _activation(leaky)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.main(x) + self.skip(x))
        return y


def _conv_norm(c: int) -> list[nn.Module]:
    return [nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)]


def _activation(leaky: bool) -> nn.Module:
    return nn.LeakyReLU(0.2) if leaky else nn.ReLU()

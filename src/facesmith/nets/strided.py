"""DCGAN's networks with a linear layer at their narrow end, deepened by plain or residual blocks.

Source: Radford et al. 2016, arXiv:1511.06434; residual blocks after He et al. 2016, arXiv:1512.03385.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from facesmith.gan import contracts
from facesmith.nets.layers import init_dcgan, single_w

Blocks = Literal["plain", "residual"]


def _act(leaky: bool) -> nn.Module:
    return nn.LeakyReLU(0.2) if leaky else nn.ReLU()


class Residual(nn.Module):
    """`activation(main(x) + skip(x))`."""

    def __init__(self, main: nn.Module, skip: nn.Module, leaky: bool) -> None:
        super().__init__()
        self.main, self.skip, self.act = main, skip, _act(leaky)

    def forward(self, x: Tensor) -> Tensor:
        summed: Tensor = self.act(self.main(x) + self.skip(x))
        return summed


def same_size(blocks: Blocks, c: int, leaky: bool) -> nn.Module:
    """A block that keeps size and channels: one 3x3 convolution, or two beside a shortcut."""
    first = [nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)]
    if blocks == "plain":
        return nn.Sequential(*first, _act(leaky))
    main = nn.Sequential(*first, _act(leaky), nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c))
    return Residual(main, nn.Identity(), leaky)


def halving(blocks: Blocks, c_in: int, c_out: int, norm: bool) -> nn.Module:
    """A strided 4x4 convolution; residual: with a 3x3 one behind it, beside an averaging shortcut."""
    strided: list[nn.Module] = [nn.Conv2d(c_in, c_out, 4, 2, 1, bias=not norm)]
    strided += [nn.BatchNorm2d(c_out)] if norm else []
    if blocks == "plain":
        return nn.Sequential(*strided, _act(True))
    main = nn.Sequential(*strided, _act(True), nn.Conv2d(c_out, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out))
    return Residual(main, nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c_in, c_out, 1)), True)


def doubling(blocks: Blocks, c_in: int, c_out: int) -> nn.Module:
    """A transposed 4x4 convolution of stride 2; residual: with a 3x3 one behind it, beside a copying shortcut."""
    strided = [nn.ConvTranspose2d(c_in, c_out, 4, 2, 1, bias=False), nn.BatchNorm2d(c_out)]
    if blocks == "plain":
        return nn.Sequential(*strided, _act(False))
    main = nn.Sequential(
        *strided, _act(False), nn.Conv2d(c_out, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out)
    )
    return Residual(main, nn.Sequential(nn.Conv2d(c_in, c_out, 1), nn.UpsamplingNearest2d(scale_factor=2)), False)


class Generator(contracts.Generator):
    """A linear layer, then `scales` doublings, halving the channels each time.

    Args:
        width: channels at half of the full resolution.
        scales: how often the picture doubles; it starts at `resolution / 2**scales`.
        deeper: blocks of the same size added behind each doubling but the last.
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
            layers += [doubling(blocks, c, c // 2), *(same_size(blocks, c // 2, False) for _ in range(deeper))]
            c //= 2
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(c, channels, 4, 2, 1), nn.Tanh())
        init_dcgan(self)

    def synthesis(self, w: Tensor) -> Tensor:
        pictures: Tensor = self.layers(single_w(w))
        return pictures


class Discriminator(contracts.Discriminator):
    """The generator's mirror: `scales` halvings, doubling the channels, then a linear layer to one logit.

    Args:
        dropout: share of the maps silenced behind each halving while training.
    """

    def __init__(
        self, width: int, resolution: int, channels: int, scales: int, blocks: Blocks, deeper: int, dropout: float
    ) -> None:
        super().__init__()
        c, layers = width, [halving(blocks, channels, width, norm=False), nn.Dropout2d(dropout)]
        for _ in range(scales - 1):
            layers += [halving(blocks, c, 2 * c, norm=True), *(same_size(blocks, 2 * c, True) for _ in range(deeper))]
            layers.append(nn.Dropout2d(dropout))
            c *= 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(c * (resolution >> scales) ** 2, 1))
        init_dcgan(self)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        logits: Tensor = self.layers(x).flatten()
        return logits.float()

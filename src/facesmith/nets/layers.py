"""What several architectures share."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, pad


def init_dcgan(net: nn.Module) -> None:
    """Weights of convolutional and linear layers N(0, .02), of BatchNorm N(1, .02), biases 0; in place.

    Source: Radford et al. 2016, arXiv:1511.06434, section 4; BatchNorm as in the authors' code.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def init_glorot(net: nn.Module) -> None:
    """Weights uniform in `±√(6 / (fan_in + fan_out))`, biases 0; in place.

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", eq. 16.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def init_he(net: nn.Module, slope: float) -> None:
    """Weights N(0, gain² / fan_in), so that leaky ReLUs of this slope keep the variance of what passes; biases 0.

    Without BatchNorm nothing else would: N(0, .02) halves a signal at each narrow layer. In place.

    Source: He et al. 2015, arXiv:1502.01852, section 2.2.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, a=slope)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def single_w(w: Tensor) -> Tensor:
    """`[N, w_dim]` of latents of either form, for networks that take one: `[N, num_ws, w_dim]` loses its layers."""
    return w[:, 0] if w.ndim == 3 else w


class UpConv2d(nn.Module):
    """Nearest-neighbour doubling and a 5x5 convolution of it, as one 3x3 convolution at the lower resolution.

    Of the doubled picture, the 25 taps of an output pixel fall on 9 different pixels only; which ones, depends on
    whether its row and column are even. So each of the four kinds of pixels has a 3x3 kernel of sums of the 5x5 one:
    the same function of the same weights, borders included, with 36 multiply-adds in place of 100.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        same = nn.Conv2d(c_in, c_out, 5, padding=2)  # for its initial weights
        self.weight, self.bias = same.weight, same.bias

    def forward(self, x: Tensor) -> Tensor:
        """`[N, c_out, 2 H, 2 W]` of `[N, c_in, H, W]`."""
        assert self.bias is not None
        c_out, c_in = self.weight.shape[:2]
        kernels = _even_and_odd(_even_and_odd(self.weight, 2), 4)  # [O, C, 2, 3, 2, 3]
        kernels = kernels.permute(2, 4, 0, 1, 3, 5).reshape(4 * c_out, c_in, 3, 3)
        return _interleaved(conv2d(x, kernels, self.bias.repeat(4), padding=1))


def _interleaved(kinds: Tensor) -> Tensor:
    """The four kinds of pixels `[N, 4 C, H, W]` put where they belong, `[N, C, 2 H, 2 W]`.

    `pixel_shuffle` wants the four kinds of each channel together; kinds outermost, a pixel's channels stay side by
    side in channels-last memory and are moved as one piece, which takes a quarter off a generator's step.
    """
    count, channels, height, width = kinds.shape
    pixels = kinds.permute(0, 2, 3, 1).reshape(count, height, width, 2, 2, channels // 4)
    pixels = pixels.permute(0, 1, 3, 2, 4, 5).reshape(count, 2 * height, 2 * width, channels // 4)
    return pixels.permute(0, 3, 1, 2)


def _even_and_odd(weight: Tensor, dim: int) -> Tensor:
    """Sums of the 5 taps along a dimension that fall on the same of 3 pixels: `[..., 2, 3, ...]` in its place."""
    a, b, c, d, e = weight.unbind(dim)
    even, odd = torch.stack([a + b, c + d, e], dim), torch.stack([a, b + c, d + e], dim)
    return torch.stack([even, odd], dim)


class Smooth(nn.Module):
    """Each pixel a mean of itself and its neighbours, by (1, 2, 1) / 4 along either side: alternating ones vanish."""

    def forward(self, x: Tensor) -> Tensor:
        along = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
        kernel = torch.outer(along, along).expand(x.shape[1], 1, 3, 3)
        return conv2d(pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=x.shape[1])


class EqualizedLR(nn.Module):
    """A layer whose weights are N(0, 1) and scaled as they are used, so that all learn at the same speed.

    Source: Karras et al. 2018, arXiv:1710.10196, section 4.1.
    """

    def __init__(self, layer: nn.Conv2d | nn.Linear, gain: float = sqrt(2)) -> None:
        super().__init__()
        assert layer.bias is not None
        self.weight, self.bias = layer.weight, layer.bias
        self.scale = gain / sqrt(layer.weight[0].numel())
        self.padding: int | None = int(layer.padding[0]) if isinstance(layer, nn.Conv2d) else None
        nn.init.normal_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.padding is None:
            return linear(x, self.weight * self.scale, self.bias)
        return conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class PixelNorm(nn.Module):
    """Each pixel's features (or each latent) brought to a mean square of 1.

    Source: Karras et al. 2018, arXiv:1710.10196, section 4.2.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.float().square().mean(1, keepdim=True) + 1e-8).rsqrt().to(x.dtype)


class MinibatchStd(nn.Module):
    """One more channel: the batch's mean standard deviation, by which a critic sees a lack of variety.

    Source: Karras et al. 2018, arXiv:1710.10196, section 3.
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        group = max(size for size in range(1, min(self.group, count) + 1) if count % size == 0)
        groups = x.float().reshape(group, -1, *x.shape[1:])  # [group, N / group, C, H, W]
        spread = ((groups - groups.mean(0)).square().mean(0) + 1e-8).sqrt().mean((1, 2, 3))  # [N / group]
        seen = spread.repeat(group)[:, None, None, None].expand(-1, 1, height, width)
        return torch.cat([x, seen.to(x.dtype)], 1)

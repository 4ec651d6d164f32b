"""Initializations and layers that several architectures share."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, pad


def init_dcgan(net: nn.Module) -> None:
    """Initialize in place: convolutional and linear weights N(0, 0.02), BatchNorm weights N(1, 0.02), biases 0.

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
    """Initialize in place: weights uniform in `±√(6 / (fan_in + fan_out))`, biases 0.

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", eq. 16.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def init_he(net: nn.Module, slope: float) -> None:
    """Initialize in place: weights N(0, gain² / fan_in) for leaky ReLUs of this slope, biases 0.

    This keeps the variance of activations from layer to layer. Without it and without BatchNorm, N(0, 0.02) would
    halve the activations at each narrow layer.

    Source: He et al. 2015, arXiv:1502.01852, section 2.2.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, a=slope)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def single_w(w: Tensor) -> Tensor:
    """`[N, w_dim]` for networks with one latent: of `[N, num_ws, w_dim]`, the first layer's."""
    return w[:, 0] if w.ndim == 3 else w


def pooled_conv(c_in: int, c_out: int, kernel: int, dropout: float, *, batch_norm: bool = False) -> list[nn.Module]:
    """A convolution that keeps the size, BatchNorm if requested, 2x2 max-pooling, ReLU and spatial dropout."""
    norm = [nn.BatchNorm2d(c_out)] if batch_norm else []
    conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2)
    return [conv, *norm, nn.MaxPool2d(2), nn.ReLU(inplace=True), nn.Dropout2d(dropout)]


class UpConv2d(nn.Module):
    """Nearest-neighbor upsampling by 2 and a 5x5 convolution, computed as one 3x3 convolution at the lower resolution.

    After upsampling, the 25 taps of an output pixel fall on 9 distinct input pixels. Which taps share a pixel depends
    only on whether the output row and column are even or odd. So each of these four cases has a 3x3 kernel, whose
    entries are sums of the 5x5 kernel's. This is the same function of the same weights, borders included, with 36
    multiply-adds per channel pair instead of 100.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        conv = nn.Conv2d(c_in, c_out, 5, padding=2)  # for its initial weights
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, x: Tensor) -> Tensor:
        """`[N, c_in, H, W]` -> `[N, c_out, 2 H, 2 W]`."""
        assert self.bias is not None
        c_out, c_in = self.weight.shape[:2]
        kernels = _sum_taps(_sum_taps(self.weight, 2), 4)  # [O, C, 5, 5] -> [O, C, 2, 3, 2, 3]
        kernels = kernels.permute(2, 4, 0, 1, 3, 5).reshape(4 * c_out, c_in, 3, 3)
        return _interleave(conv2d(x, kernels, self.bias.repeat(4), padding=1))


def _sum_taps(weight: Tensor, dim: int) -> Tensor:
    """Replace a dimension of 5 taps by `[2, 3]`: for even and for odd outputs, sums of taps on the same input pixel."""
    a, b, c, d, e = weight.unbind(dim)
    even, odd = torch.stack([a + b, c + d, e], dim), torch.stack([a, b + c, d + e], dim)
    return torch.stack([even, odd], dim)


def _interleave(x: Tensor) -> Tensor:
    """Arrange outputs for even and odd rows and columns `[N, 4 C, H, W]` as one image `[N, C, 2 H, 2 W]`.

    Unlike in `pixel_shuffle`, the four cases are the outermost part of the channels. In channels-last memory, all
    channels of a pixel are then moved as one block, which makes a generator step a quarter faster.
    """
    count, channels, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(count, height, width, 2, 2, channels // 4)
    pixels = pixels.permute(0, 1, 3, 2, 4, 5).reshape(count, 2 * height, 2 * width, channels // 4)
    return pixels.permute(0, 3, 1, 2)


class Blur(nn.Module):
    """A 3x3 binomial filter, `(1, 2, 1) / 4` in each direction. It removes patterns that alternate pixel by pixel."""

    def forward(self, x: Tensor) -> Tensor:
        taps = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
        kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 3, 3)
        return conv2d(pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=x.shape[1])


class SmoothConv2d(nn.Conv2d):
    """A 3x3 convolution of padding 1 whose output is filtered by `(1, 2, 1) / 4` in each direction.

    Computed as one 5x5 convolution. Upsampling by 2 tends to leave stripes of period 2 px, and this filter removes them
    exactly.
    """

    def forward(self, x: Tensor) -> Tensor:
        taps = self.weight.new_tensor([0.25, 0.5, 0.25])
        kernel = torch.outer(taps, taps)[None, None]
        weight = conv2d(self.weight.flatten(0, 1)[:, None], kernel, padding=2)  # [C_out * C_in, 1, 5, 5]
        return conv2d(x, weight.view(*self.weight.shape[:2], 5, 5), self.bias, padding=2)


class EqualizedLR(nn.Module):
    """A layer with weights N(0, 1) that are scaled at run time, so that all layers learn at the same speed.

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
    """Scales the features of each pixel, or of each latent, to a mean square of 1.

    Source: Karras et al. 2018, arXiv:1710.10196, section 4.2.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.float().square().mean(1, keepdim=True) + 1e-8).rsqrt().to(x.dtype)


class MinibatchStd(nn.Module):
    """Appends the minibatch standard deviation as a channel, so that a discriminator can detect a lack of variety.

    Args:
        group: number of images whose standard deviation is taken together.

    Source: Karras et al. 2018, arXiv:1710.10196, section 3.
    """

    def __init__(self, group: int = 4) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        count, _, height, width = x.shape
        group = max(size for size in range(1, min(self.group, count) + 1) if count % size == 0)
        groups = x.float().reshape(group, -1, *x.shape[1:])  # [group, N / group, C, H, W]
        std = ((groups - groups.mean(0)).square().mean(0) + 1e-8).sqrt().mean((1, 2, 3))  # [N / group]
        channel = std.repeat(group)[:, None, None, None].expand(-1, 1, height, width)
        return torch.cat([x, channel.to(x.dtype)], 1)

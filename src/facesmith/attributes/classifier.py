"""The network that tells attributes: a small ResNet for faces of 64 pixels."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from facesmith.io.images import Pixels, to_float

SIZE_PX = 64
WIDTHS = (24, 48, 96, 192)  # at 32, 16, 8 and 4 pixels
BATCH = 64


class Classifier(nn.Module):
    """Logits of attributes, above 0 where a face has it; grey pictures and other sizes are resized."""

    def __init__(self, attributes: int) -> None:
        super().__init__()
        self.stem = _convolution(3, WIDTHS[0], stride=2)
        self.stages = nn.ModuleList(_Residual(c_in, c_out) for c_in, c_out in pairwise(WIDTHS))
        self.silence = nn.Dropout(0.2)
        self.last = nn.Linear(WIDTHS[-1], attributes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits `[N, A]` of `[N, C, H, W]` in `[-1, 1]`."""
        return self.logits_and_maps(pictures)[0]

    def logits_and_maps(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[N, A]`, and maps `[N, C', 16, 16]` of what is where in the pictures."""
        x = relu(self.stem(classifier_input(pictures)))
        maps = x
        for number, stage in enumerate(self.stages):
            x = stage(x)
            maps = x if number == 0 else maps
        pooled = x.mean((2, 3))
        return self.last(self.silence(pooled)).float(), maps


class _Residual(nn.Module):
    """Halved in side by a convolution, then another; beside them one of 1x1.

    Source: He et al. 2016, arXiv:1512.03385.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(c_in, c_out, stride=2), _convolution(c_out, c_out)
        self.beside = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.second(relu(self.first(x))) + self.beside(x))


def _convolution(c_in: int, c_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out))


def classifier_input(pictures: Tensor) -> Tensor:
    """`[N, 3, 64, 64]` of `[N, C, S, S]`: scaled, and grey as three equal channels."""
    if pictures.shape[-1] != SIZE_PX:
        pictures = interpolate(pictures, size=(SIZE_PX, SIZE_PX), mode="bilinear", antialias=True)
    return pictures.expand(-1, 3, -1, -1)


@torch.inference_mode()
def predict_logits(classifier: nn.Module, pixels: Pixels) -> Tensor:
    """Logits `[N, A]` of pictures uint8 `[N, S, S, C]`."""
    starts = range(0, len(pixels), BATCH)
    parts = [classifier(to_float(torch.tensor(pixels[start : start + BATCH]))) for start in starts]
    return torch.cat(parts)

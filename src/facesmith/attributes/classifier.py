"""The attribute classifier: a small ResNet for faces of 64 pixels."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from facesmith.pictures.images import Pixels, to_float

SIZE_PX = 64
WIDTHS = (24, 48, 96, 192)  # channels at 32, 16, 8 and 4 pixels
BATCH_SIZE = 64


class Classifier(nn.Module):
    """Predicts attributes of faces. Gray pictures and other sizes are converted."""

    def __init__(self, n_attributes: int) -> None:
        super().__init__()
        self.stem = _convolution(3, WIDTHS[0], stride=2)
        self.stages = nn.ModuleList(_ResidualBlock(c_in, c_out) for c_in, c_out in pairwise(WIDTHS))
        self.dropout = nn.Dropout(0.2)
        self.last = nn.Linear(WIDTHS[-1], n_attributes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits `[N, A]` of pictures `[N, C, H, W]` in `[-1, 1]`; above 0 means that the face has the attribute."""
        return self.logits_and_maps(pictures)[0]

    def logits_and_maps(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[N, A]`, and the feature maps of the first stage `[N, 48, 16, 16]`."""
        x = relu(self.stem(classifier_input(pictures)))
        maps = x
        for number, stage in enumerate(self.stages):
            x = stage(x)
            maps = x if number == 0 else maps
        pooled = x.mean((2, 3))
        return self.last(self.dropout(pooled)).float(), maps


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the first with stride 2, and a 1x1 convolution as shortcut.

    Source: He et al. 2016, arXiv:1512.03385.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(c_in, c_out, stride=2), _convolution(c_out, c_out)
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.second(relu(self.first(x))) + self.shortcut(x))


def _convolution(c_in: int, c_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out))


def classifier_input(pictures: Tensor) -> Tensor:
    """Pictures `[N, C, S, S]` as `[N, 3, 64, 64]`: resized, and gray as three equal channels."""
    if pictures.shape[-1] != SIZE_PX:
        pictures = interpolate(pictures, size=(SIZE_PX, SIZE_PX), mode="bilinear", antialias=True)
    return pictures.expand(-1, 3, -1, -1)


@torch.inference_mode()
def predict_logits(classifier: nn.Module, pixels: Pixels) -> Tensor:
    """Logits `[N, A]` of pictures, uint8 `[N, S, S, C]`."""
    starts = range(0, max(len(pixels), 1), BATCH_SIZE)  # no pictures are one empty batch, which gives [0, A]
    parts = [classifier(to_float(torch.tensor(pixels[start : start + BATCH_SIZE]))) for start in starts]
    return torch.cat(parts)

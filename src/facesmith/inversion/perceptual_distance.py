"""How near two faces look: differences of blurred pixels, and of features of EfficientNet-Lite0.

Source: unit-length features of several layers, compared place by place, as in Zhang et al. 2018, "The Unreasonable
Effectiveness of Deep Features as a Perceptual Metric", arXiv:1801.03924, without its learnt weights; and the pooled
features before the classifier, by which samples are judged elsewhere (`metrics/extractors/lite0.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, mse_loss, relu6

from facesmith.metrics.extractors.lite0 import SIDE_PX, Network, load_network

LAYERS = (0, 2, 4, 7)  # blocks whose output is compared: 16, 24, 40 and 80 channels
SCALES = 3  # of the pixels: as they are, halved, halved again


class PerceptualDistance:
    """Compares pictures with fixed ones, differentiably.

    Args:
        side_px: to which pictures are brought; smaller is faster and sees less.
        layers: blocks that are compared.
        pooled: whether the pooled features are compared, too.
    """

    def __init__(self, *, side_px: int = SIDE_PX, layers: tuple[int, ...] = LAYERS, pooled: bool = True) -> None:
        self.network: Network = load_network()
        self.side_px, self.layers, self.pooled = side_px, layers, pooled

    def features(self, images: Tensor) -> list[Tensor]:
        """What is compared of images `[N, C, H, W]` in `[-1, 1]`: unit-length features, channels first."""
        rgb = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        x = (rgb + 1) * 127.5
        if x.shape[2] != self.side_px:
            x = interpolate(x, (self.side_px, self.side_px), mode="bilinear", antialias=x.shape[2] > self.side_px)
        x = relu6(self.network.stem(((x - 127) / 128).contiguous(memory_format=torch.channels_last)))
        kept = []
        for i, block in enumerate(self.network.blocks):
            x = block(x)
            if i in self.layers:
                kept.append(_unit(x))
            if i == self.layers[-1] and not self.pooled:
                return kept
        return [*kept, _unit(relu6(self.network.head(x)).mean((2, 3), keepdim=True))]

    def distance(self, features: list[Tensor], wanted: list[Tensor]) -> Tensor:
        """`[N]`: the mean over layers of the squared difference of two unit-length features, 0 to 4."""
        parts = [(a - b).square().sum(1).mean((1, 2)) for a, b in zip(features, wanted, strict=True)]
        return torch.stack(parts).mean(0)


def pixel_distance(images: Tensor, wanted: Tensor) -> Tensor:
    """`[N]`: the mean squared difference of images `[N, C, H, W]`, averaged over scales."""
    parts = []
    for scale in range(SCALES):
        if scale and min(images.shape[2:]) >= 2:
            images, wanted = avg_pool2d(images, 2), avg_pool2d(wanted, 2)
        parts.append(mse_loss(images, wanted, reduction="none").mean((1, 2, 3)))
    return torch.stack(parts).mean(0)


def _unit(features: Tensor) -> Tensor:
    return features / features.square().sum(1, keepdim=True).add(1e-8).sqrt()

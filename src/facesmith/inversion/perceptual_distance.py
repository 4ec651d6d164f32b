"""How similar two images look: differences of pixels at several scales, and of EfficientNet-Lite0 features.

Source: unit-length features of several layers, compared position by position, as in Zhang et al. 2018, "The
Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (LPIPS), arXiv:1801.03924, without its learned
weights. The pooled features in front of the classifier are compared, too; they are those of the `lite0` metrics.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, mse_loss, relu6

from facesmith.metrics.extractors.lite0 import SIDE_PX, Network, load_network

LAYERS = (0, 2, 4, 7)  # blocks whose outputs are compared: 16, 24, 40 and 80 channels
PIXEL_SCALES = 3  # full resolution, halved once, halved twice


class PerceptualDistance:
    """A differentiable distance between images, from the features of a fixed network.

    Args:
        side_px: size to which images are resized first; smaller is faster, but misses details.
        layers: blocks whose outputs are compared.
        pooled: compare the pooled features, too.
    """

    def __init__(self, *, side_px: int = SIDE_PX, layers: tuple[int, ...] = LAYERS, pooled: bool = True) -> None:
        self.network: Network = load_network()
        self.side_px, self.layers, self.pooled = side_px, layers, pooled

    def features(self, images: Tensor) -> list[Tensor]:
        """Return features of unit length for images `[N, C, H, W]` in `[-1, 1]`, one `[N, K, h, w]` per layer."""
        rgb = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        x = (rgb + 1) * 127.5
        if x.shape[2] != self.side_px:
            x = interpolate(x, (self.side_px, self.side_px), mode="bilinear", antialias=x.shape[2] > self.side_px)
        x = relu6(self.network.stem(((x - 127) / 128).contiguous(memory_format=torch.channels_last)))
        features = []
        for i, block in enumerate(self.network.blocks):
            x = block(x)
            if i in self.layers:
                features.append(_normalize(x))
            if i == self.layers[-1] and not self.pooled:
                return features
        return [*features, _normalize(relu6(self.network.head(x)).mean((2, 3), keepdim=True))]

    def distance(self, features: list[Tensor], targets: list[Tensor]) -> Tensor:
        """Return `[N]`, from 0 to 4: the squared distance of unit-length features, averaged over positions and layers.

        Args:
            features: of N images, as `features` returns them.
            targets: features of the N images to compare with.
        """
        parts = [(a - b).square().sum(1).mean((1, 2)) for a, b in zip(features, targets, strict=True)]
        return torch.stack(parts).mean(0)


def pixel_distance(images: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared difference of images `[N, C, H, W]`, averaged over scales, `[N]`."""
    parts = []
    for scale in range(PIXEL_SCALES):
        if scale and min(images.shape[2:]) >= 2:
            images, targets = avg_pool2d(images, 2), avg_pool2d(targets, 2)
        parts.append(mse_loss(images, targets, reduction="none").mean((1, 2, 3)))
    return torch.stack(parts).mean(0)


def _normalize(features: Tensor) -> Tensor:
    return features / features.square().sum(1, keepdim=True).add(1e-8).sqrt()

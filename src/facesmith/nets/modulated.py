"""The networks of the recipe quick: smaller than those of upsampling.py, and modulated by the latent in every layer."""

from __future__ import annotations

from itertools import pairwise
from math import log2, sqrt

import torch
from torch import Tensor, nn

from facesmith.gan import contracts
from facesmith.nets.layers import MinibatchStd, SmoothConv2d, UpConv2d, pooled_conv, single_w

FIRST_SIDE = 8  # height and width of the generator's first feature maps
LAST_SIDE = 4  # height and width of the discriminator's last feature maps
D_CHANNELS = (8, 16, 32, 64, 128, 256)  # of the discriminator's layers at 256x256; lower resolutions start later


class Generator(contracts.Generator):
    """A linear layer to 8x8 maps, then blocks of nearest-neighbor upsampling and a 5x5 convolution.

    A residual block precedes the first two upsamplings, where maps are small and it costs little. Labels are
    concatenated to `z`, and `w` modulates every BatchNorm.

    Args:
        resolution: a power of two, at least 16.
        width: channels at the full resolution, twice as many per halving of the resolution.
        label_dim: number of labels.
        max_channels: largest number of channels of a layer.
        smooth_output: whether the last layer filters its output, so that images have no stripes of period 2 px.
    """

    def __init__(
        self,
        z_dim: int = 64,
        width: int = 32,
        resolution: int = 64,
        channels: int = 3,
        label_dim: int = 0,
        *,
        max_channels: int = 128,
        smooth_output: bool = False,
    ) -> None:
        super().__init__(
            resolution=resolution, channels=channels, z_dim=z_dim, w_dim=z_dim + label_dim, label_dim=label_dim
        )
        self.spherical = not label_dim
        # Scales the labels to half the norm of z. With the same norm as z (Karras et al. 2020, arXiv:2006.06676, in
        # their code), all faces with one label looked alike.
        self.label_scale = sqrt(z_dim / label_dim) / 2 if label_dim else 0.0
        upsamplings = round(log2(resolution // FIRST_SIDE))
        widths = [min(width * 2**level, max(width, max_channels)) for level in range(upsamplings, -1, -1)]
        layers: list[nn.Module] = [
            nn.Linear(self.w_dim, widths[0] * FIRST_SIDE**2),
            nn.Unflatten(1, (widths[0], FIRST_SIDE, FIRST_SIDE)),
            nn.ReLU(inplace=True),
        ]
        for number, (c_in, c_out) in enumerate(pairwise(widths)):
            if number < 2:
                layers.append(ModulatedResidualBlock(self.w_dim, c_in))
            layers += [UpConv2d(c_in, c_out), ModulatedBatchNorm2d(self.w_dim, c_out), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        last = SmoothConv2d if smooth_output else nn.Conv2d
        self.last = last(width, channels, 3, padding=1)

    def mapping(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if not self.label_dim:
            return z
        scaled = z.new_zeros(len(z), self.label_dim) if labels is None else self.label_scale * labels
        return torch.cat([z, scaled], 1)

    def synthesis(self, w: Tensor) -> Tensor:
        w = single_w(w)
        x = w
        for layer in self.layers:
            modulated = isinstance(layer, ModulatedResidualBlock | ModulatedBatchNorm2d)
            x = layer(x, w) if modulated else layer(x)
        images: Tensor = self.last(x).tanh()
        return images


class ModulatedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm with a scale and a shift that depend on `w`. At initialization it equals plain BatchNorm.

    Source: Chen et al. 2019, "On Self Modulation for Generative Adversarial Networks", arXiv:1810.01365, section 2;
    with one linear layer instead of two.
    """

    def __init__(self, w_dim: int, channels: int) -> None:
        super().__init__(channels)
        self.by = nn.Linear(w_dim, 2 * channels)  # w -> scale and shift
        nn.init.zeros_(self.by.weight)
        nn.init.zeros_(self.by.bias)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:  # type: ignore[override]
        normalized = super().forward(x)
        scale, shift = self.by(w)[:, :, None, None].to(normalized.dtype).chunk(2, 1)
        return torch.addcmul(shift, normalized, 1 + scale)


class ModulatedResidualBlock(nn.Module):
    """`ReLU(x + norm(conv(x), w))`. At initialization the second term is 0."""

    def __init__(self, w_dim: int, channels: int) -> None:
        super().__init__()
        norm = ModulatedBatchNorm2d(w_dim, channels)  # created first: the order determines the initial weights
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = norm
        nn.init.zeros_(norm.weight)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        residual: Tensor = self.norm(self.conv(x), w)
        return (x + residual).relu()


class Discriminator(contracts.Discriminator):
    """Convolutions with max-pooling down to 4x4, minibatch standard deviation, a wide layer and one logit.

    The first kernel is 5x5, the others 3x3. All layers but the last have dropout.

    Args:
        resolution: a power of two, 8 to 256.
        dropout: spatial dropout rate after each convolution.
        hidden: units of the wide layer.
        label_dim: number of labels. Each adds its projection of the wide layer's features to the logit.
        hidden_dropout: dropout rate of the wide layer.
        max_channels: largest number of channels of a layer.

    Source of the projection: Miyato and Koyama 2018, "cGANs with Projection Discriminator", arXiv:1802.05637, eq. 3.
    """

    def __init__(
        self,
        resolution: int = 64,
        channels: int = 3,
        dropout: float = 0.05,
        hidden: int = 256,
        label_dim: int = 0,
        *,
        hidden_dropout: float = 0.3,
        max_channels: int = 256,
    ) -> None:
        super().__init__()
        poolings = round(log2(resolution // LAST_SIDE))
        widths = (channels, *(min(c, max_channels) for c in D_CHANNELS[-poolings:]))
        layers: list[nn.Module] = []
        for number, (c_in, c_out) in enumerate(pairwise(widths)):
            layers += pooled_conv(c_in, c_out, 3 if number else 5, dropout)
        layers += [MinibatchStd(), nn.Flatten(), nn.Linear((widths[-1] + 1) * LAST_SIDE**2, hidden)]
        self.layers = nn.Sequential(*layers, nn.ReLU(inplace=True), nn.Dropout(hidden_dropout), nn.Linear(hidden, 1))
        self.projection = nn.Linear(hidden, label_dim, bias=False) if label_dim else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        features = self.layers[:-1](x)
        logits: Tensor = self.layers[-1](features).flatten()
        if self.projection is not None and labels is not None:
            logits = logits + (labels * self.projection(features)).sum(1)
        return logits.float()

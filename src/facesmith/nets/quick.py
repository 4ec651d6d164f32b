"""The networks of quick64: those of `upsampling`, made cheaper for a CPU, wider and deeper where it costs little."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import log2, sqrt

import torch
from torch import Tensor, nn

from facesmith.gan import contracts
from facesmith.nets.layers import MinibatchStd, UpConv2d, single_w

FIRST_SIDE = 8  # of the generator's first maps
LAST_SIDE = 4  # of the critic's last maps
D_CHANNELS = (8, 16, 32, 64, 128, 256)  # the last ones, as many as there are halvings


class Generator(contracts.Generator):
    """Maps of 8x8, doubled by nearest neighbours and smoothed by 5x5 convolutions until they have the full size.

    Before the first two doublings, where a convolution costs next to nothing, stands a residual one that begins at 0.

    Args:
        resolution: a power of two, 16 or more.
        width: channels of the maps of full size.
        widest: with each halving of their size maps have twice as many channels, up to so many.
        label_dim: labels that it is told. They stand beside z in w, together half as long as z is: so that they are
            heard, and z as well. As long as z (so Karras et al. 2020, arXiv:2006.06676, in their code), they made all
            faces of one label alike.
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
    ) -> None:
        super().__init__(
            resolution=resolution, channels=channels, z_dim=z_dim, w_dim=z_dim + label_dim, label_dim=label_dim
        )
        self.spherical = not label_dim
        self.label_size = sqrt(z_dim / label_dim) / 2 if label_dim else 0.0
        doublings = round(log2(resolution // FIRST_SIDE))
        widths = tuple(min(width * 2**halvings, max(width, max_channels)) for halvings in range(doublings, -1, -1))
        norm = partial(ModulatedBatchNorm2d, self.w_dim)
        layers: list[nn.Module] = [
            nn.Linear(self.w_dim, widths[0] * FIRST_SIDE**2),
            nn.Unflatten(1, (widths[0], FIRST_SIDE, FIRST_SIDE)),
            nn.ReLU(inplace=True),
        ]
        for number, (c_in, c_out) in enumerate(pairwise(widths)):
            if number < 2:
                layers.append(Residual(c_in, norm(c_in)))
            layers += [UpConv2d(c_in, c_out), norm(c_out), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def mapping(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        if not self.label_dim:
            return z
        return torch.cat([z, z.new_zeros(len(z), self.label_dim) if labels is None else self.label_size * labels], 1)

    def synthesis(self, w: Tensor) -> Tensor:
        w = single_w(w)
        x = w
        for layer in self.layers:
            x = layer(x, w) if isinstance(layer, Residual | ModulatedBatchNorm2d) else layer(x)
        pictures: Tensor = self.last(x).tanh()
        return pictures


class ModulatedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm whose scale and shift follow from the latent; at first they are those of plain BatchNorm.

    Source: Chen et al. 2019, "On Self Modulation for Generative Adversarial Networks", arXiv:1810.01365, section 2; one
    linear layer in place of two.
    """

    def __init__(self, w_dim: int, channels: int) -> None:
        super().__init__(channels)
        self.by = nn.Linear(w_dim, 2 * channels)
        nn.init.zeros_(self.by.weight)
        nn.init.zeros_(self.by.bias)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:  # type: ignore[override]
        normal = super().forward(x)
        scale, shift = self.by(w)[:, :, None, None].to(normal.dtype).chunk(2, 1)
        return torch.addcmul(shift, normal, 1 + scale)


class Residual(nn.Module):
    """What comes in, and a 3x3 convolution of it; at first nothing of the latter."""

    def __init__(self, channels: int, norm: ModulatedBatchNorm2d) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = norm
        assert norm.weight is not None
        nn.init.zeros_(norm.weight)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        residual: Tensor = self.norm(self.conv(x), w)
        return (x + residual).relu()


class Discriminator(contracts.Discriminator):
    """Convolutions, each max-pooled and under spatial dropout, down to 4x4; the batch's spread; then a wide layer.

    The first kernel is 5x5, the others 3x3: they cost a third, and a layer more sees as far.

    Args:
        resolution: a power of two, 8 to 256.
        dropout: share of a layer's maps silenced.
        hidden: units of the wide layer.
        hidden_dropout: share of them silenced.
        widest: most channels of a layer.
        label_dim: labels that it is told; each weighs one direction of the wide layer into the logit.

    Source of the labels' way: Miyato and Koyama 2018, "cGANs with Projection Discriminator", arXiv:1802.05637, eq. 3.
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
        halvings = round(log2(resolution // LAST_SIDE))
        layers: list[nn.Module] = []
        widths = (channels, *(min(each, max_channels) for each in D_CHANNELS[-halvings:]))
        for number, (c_in, c_out) in enumerate(pairwise(widths)):
            kernel = 3 if number else 5
            layers.append(nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2))
            layers += [nn.MaxPool2d(2), nn.ReLU(inplace=True), nn.Dropout2d(dropout)]
        layers += [MinibatchStd(), nn.Flatten(), nn.Linear((widths[-1] + 1) * LAST_SIDE**2, hidden)]
        self.layers = nn.Sequential(*layers, nn.ReLU(inplace=True), nn.Dropout(hidden_dropout), nn.Linear(hidden, 1))
        self.projection = nn.Linear(hidden, label_dim, bias=False) if label_dim else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        seen = self.layers[:-1](x)
        logits: Tensor = self.layers[-1](seen).flatten()
        if self.projection is not None and labels is not None:
            logits = logits + (labels * self.projection(seen)).sum(1)
        return logits.float()

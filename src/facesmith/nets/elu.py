"""The ELU networks of the 36x36 notebook (after Lasagne's recipes), with a two-way critic."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from facesmith.gan import contracts
from facesmith.nets.layers import init_glorot, single_w


class Generator(contracts.Generator):
    """Ten 8x8 maps, widened by unpadded transposed convolutions to 16x16, doubled, widened to 38x38, cut to 36x36.

    Args:
        width: channels of the last maps; 32 in the text.
    """

    def __init__(self, z_dim: int = 256, width: int = 32, channels: int = 3) -> None:
        super().__init__(resolution=36, channels=channels, z_dim=z_dim)
        self.layers = nn.Sequential(
            nn.Linear(z_dim, 10 * 8 * 8),
            nn.ELU(),
            nn.Unflatten(1, (10, 8, 8)),
            nn.ConvTranspose2d(10, 2 * width, 5),
            nn.ELU(),
            nn.ConvTranspose2d(2 * width, 2 * width, 5),
            nn.ELU(),
            nn.UpsamplingNearest2d(scale_factor=2),
            nn.ConvTranspose2d(2 * width, width, 3),
            nn.ELU(),
            nn.ConvTranspose2d(width, width, 3),
            nn.ELU(),
            nn.ConvTranspose2d(width, width, 3),
            nn.ELU(),
            nn.Conv2d(width, channels, 3),
            nn.Tanh(),
        )
        init_glorot(self)

    def synthesis(self, w: Tensor) -> Tensor:
        pictures: Tensor = self.layers(single_w(w))
        return pictures


class Discriminator(contracts.Discriminator):
    """Convolutions with max-pooling, features in ±1, and two classes: `head`, whose weights the loss holds down.

    Args:
        width: channels of the first maps; 32 in the text, and 256 features.
    """

    def __init__(self, width: int = 32, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise((channels, width, 2 * width, 4 * width, 8 * width)):
            layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ELU(), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * width * 2 * 2, 8 * width), nn.Tanh())
        self.head = nn.Linear(8 * width, 2)
        init_glorot(self)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        fake, real = self.head(self.layers(x)).float().unbind(1)
        logits: Tensor = real - fake  # of log-softmax over two classes only the difference counts
        return logits

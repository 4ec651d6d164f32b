"""The ELU networks of the notebook "Generative adversarial nets 101" (after Lasagne's recipes), for 36x36."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from facesmith.gan import contracts
from facesmith.nets.layers import init_glorot, single_w

Output = Literal["tanh", "linear"]


class Generator(contracts.Generator):
    """Ten 8x8 maps from the latent, then unpadded transposed convolutions and one upsampling.

    The sizes are 8, 12, 16, upsampled to 32, then 34, 36, 38, and 36 after the last convolution.

    Args:
        width: channels of the last layers; 32 in the tutorial.
        output: "tanh", or "linear" for unbounded values, where 0 is black and 1 is white.
    """

    def __init__(self, z_dim: int = 256, width: int = 32, channels: int = 3, output: Output = "tanh") -> None:
        super().__init__(resolution=36, channels=channels, z_dim=z_dim)
        self.output = output
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
        )
        init_glorot(self)

    def synthesis(self, w: Tensor) -> Tensor:
        images: Tensor = self.layers(single_w(w))
        return images.tanh() if self.output == "tanh" else 2 * images - 1


class Discriminator(contracts.Discriminator):
    """Convolutions with max-pooling, a tanh layer of features, and two classes: fake and real.

    Args:
        width: channels of the first layer; 32 in the tutorial. There are `8 * width` features.
        unit_range: the first layer gets pixels from 0 to 1 instead of -1 to 1.
    """

    def __init__(self, width: int = 32, channels: int = 3, unit_range: bool = False) -> None:
        super().__init__()
        self.unit_range = unit_range
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise((channels, width, 2 * width, 4 * width, 8 * width)):
            layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ELU(), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * width * 2 * 2, 8 * width), nn.Tanh())
        self.head = nn.Linear(8 * width, 2)  # the loss has a penalty on its weights
        init_glorot(self)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        x = (x + 1) / 2 if self.unit_range else x
        fake, real = self.head(self.layers(x)).float().unbind(1)
        logits: Tensor = real - fake  # log-softmax over two classes depends on their difference only
        return logits

"""The ELU networks of the notebook "Generative adversarial nets 101" (after Lasagne's recipes), for 36x36."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from facesmith.gan import contracts
from facesmith.nets.layers import init_glorot, single_w


class Generator(contracts.Generator):
    """Ten 8x8 maps from the latent, then unpadded transposed convolutions and one upsampling.

    The sizes are 8, 12, 16, upsampled to 32, then 34, 36, 38, and 36 after the last convolution.

    Args:
        width: channels of the last layers; 32 in the tutorial.
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
        images: Tensor = self.layers(single_w(w))
        return images


class Discriminator(contracts.Discriminator):
    """Convolutions with max-pooling, a tanh layer of features, and two classes: fake and real.

    Args:
        width: channels of the first layer; 32 in the tutorial. There are `8 * width` features.
    """

    def __init__(self, width: int = 32, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise((channels, width, 2 * width, 4 * width, 8 * width)):
            layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ELU(), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * width * 2 * 2, 8 * width), nn.Tanh())
        self.head = nn.Linear(8 * width, 2)  # the loss has a penalty on its weights
        init_glorot(self)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        fake, real = self.head(self.layers(x)).float().unbind(1)
        logits: Tensor = real - fake  # log-softmax over two classes depends on their difference only
        return logits

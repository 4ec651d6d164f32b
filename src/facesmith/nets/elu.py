"""The ELU networks of the 36x36 notebook (after Lasagne's recipes), with a two-way critic."""

from __future__ import annotations

from torch import Tensor, nn

from facesmith import contracts
from facesmith.nets.layers import init_glorot, one_latent


class Generator(contracts.Generator):
    """Ten 8x8 maps, widened by unpadded transposed convolutions to 16x16, doubled, widened to 38x38, cut to 36x36."""

    def __init__(self, z_dim: int = 256, channels: int = 3) -> None:
        super().__init__(resolution=36, channels=channels, z_dim=z_dim)
        self.layers = nn.Sequential(
            nn.Linear(z_dim, 10 * 8 * 8),
            nn.ELU(),
            nn.Unflatten(1, (10, 8, 8)),
            nn.ConvTranspose2d(10, 64, 5),
            nn.ELU(),
            nn.ConvTranspose2d(64, 64, 5),
            nn.ELU(),
            nn.UpsamplingNearest2d(scale_factor=2),
            nn.ConvTranspose2d(64, 32, 3),
            nn.ELU(),
            nn.ConvTranspose2d(32, 32, 3),
            nn.ELU(),
            nn.ConvTranspose2d(32, 32, 3),
            nn.ELU(),
            nn.Conv2d(32, channels, 3),
            nn.Tanh(),
        )
        init_glorot(self)

    def synthesis(self, w: Tensor) -> Tensor:
        pictures: Tensor = self.layers(one_latent(w))
        return pictures


class Discriminator(contracts.Discriminator):
    """Convolutions with max-pooling, 256 features in ±1, and two classes: `head`, whose weights the loss holds down."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for c_in, c_out in ((channels, 32), (32, 64), (64, 128), (128, 256)):
            layers += [nn.Conv2d(c_in, c_out, 3, padding=1), nn.ELU(), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 2 * 2, 256), nn.Tanh())
        self.head = nn.Linear(256, 2)
        init_glorot(self)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        fake, real = self.head(self.layers(x)).float().unbind(1)
        logits: Tensor = real - fake  # of log-softmax over two classes only the difference counts
        return logits

"""What several architectures share."""

from __future__ import annotations

from torch import nn


def init_dcgan(net: nn.Module) -> None:
    """Weights of convolutions N(0, .02), of BatchNorm N(1, .02), biases 0; in place.

    Source: Radford et al. 2016, arXiv:1511.06434, section 4; BatchNorm as in the authors' code.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
            nn.init.zeros_(layer.bias)

"""The variational autoencoder of "Generating Faces with Torch": smooth faces, and an encoder for any picture.

Paper:  Kingma and Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114.
Text:   "Generating Faces with Torch", section "Going Further" (generating-faces-with-torch), on LFW.
Needs:  64x64 faces.
Run:    facesmith train vae64 --data faces --out runs/vae --minutes 40
Result: docs/recipes.md.

What it does: encoder and decoder learn to give faces back through 100 numbers whose distribution is held near N(0, 1).
The decoder is balanced64's generator at half its width. Reconstructions of held-out faces are drawn at every save.

Faults of the text, and what stands here instead:
- It states no sizes, no weights and no noise level for its VAE: those here are ours, and named.
- "We seek to minimize the pixelwise reconstruction error", without the scale that decides between blur and noise:
  `noise`, the standard deviation that a pixel is allowed, in its range of 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import nn
from torch.optim import Adam

from facesmith.autoencoding import Autoencoding
from facesmith.contracts import Knobs, Objective, Player, Turn
from facesmith.nets import upsampling
from facesmith.recipe import Recipe, multiple_of_eight, recipe, value


@recipe("vae64")
@dataclass(frozen=True, kw_only=True)
class Vae64(Recipe):
    source: ClassVar[str] = "Generating Faces with Torch (2015); Kingma and Welling 2014"
    averaged: ClassVar[tuple[str, ...]] = ("G", "E")

    z_dim: int = value(100, "numbers in a latent", at_least=1, at_most=4096)
    width: int = value(64, "channels of the decoder's first and last maps, and of the encoder's first", at_least=1)
    noise: float = value(0.7, "standard deviation allowed to a pixel, in its range of 2", at_least=1e-3, at_most=10)
    lr: float = value(1e-3, "learning rate", at_least=0, at_most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        multiple_of_eight(self)

    def networks(self) -> dict[str, nn.Module]:
        return {
            "G": upsampling.Generator(self.z_dim, self.width, self.resolution, self.channels),
            "E": upsampling.Encoder(self.z_dim, self.width, self.resolution, self.channels),
        }

    def players(self) -> dict[str, Player]:
        return {"G": Player(("G", "E"), partial(Adam, fused=True))}

    def objective(self) -> Objective:
        return Autoencoding(self.noise)

    def turns(self, step: int) -> tuple[Turn, ...]:
        return (Turn(("G",), n_real=self.batch_size, n_fake=0),)

    def knobs(self, progress: float) -> Knobs:
        # Halved towards the end: an autoencoder at a constant rate jitters about its optimum.
        return Knobs(lr={"G": self.lr * (1 - 0.9 * max(0.0, 2 * progress - 1))})

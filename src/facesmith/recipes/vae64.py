"""The variational autoencoder of "Generating Faces with Torch": smooth faces, and an encoder for any picture.

Paper:  Kingma and Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114.
Text:   "Generating Faces with Torch", section "Going Further" (generating-faces-with-torch), on LFW.
Needs:  64x64 faces.
Run:    facesmith train vae64 --data faces --out runs/vae --minutes 40
Cost:   47 faces a second on one thread, the other core busy; the result took 22 minutes.
Result: fd5k_lite0 98.4 (real faces 3.1), face rate 94.9% (98.3%), after 62 kimg of CelebA;
        docs/research/recipes-compared.md.

What it does: encoder and decoder learn to give faces back through 100 numbers whose distribution is held near N(0, 1).
The decoder is balanced64's generator at a quarter of its width. Reconstructions of held-out faces are drawn at every
save.

Faults of the text, and what stands here instead:
- It states no sizes, no weights and no noise level for its VAE: those here are ours, and named.
- "We seek to minimize the pixelwise reconstruction error", without the scale that decides between blur and noise:
  `noise`, the standard deviation that a pixel is allowed, in its range of 2.
- New faces are decoded from N(0, 1), which encoded faces come to fill only after a long training: before that they lie
  in a slanted cloud (standard deviations from .2 to 3.5 along its axes after 35 kimg), and what lies beside it is fog.
  Seeds stand for places in a Gaussian fitted to encoded faces (Ghosh et al. 2020, arXiv:1903.12436, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import nn
from torch.optim import Adam

from facesmith.gan.contracts import Knobs, Objective, Player, Turn
from facesmith.gan.recipe import Recipe, recipe, require_multiple_of_eight
from facesmith.gan.recipe_options import option
from facesmith.gan.vae import VAEObjective
from facesmith.nets import upsampling


@recipe("vae64")
@dataclass(frozen=True, kw_only=True)
class Vae64(Recipe):
    source: ClassVar[str] = "Generating Faces with Torch (2015); Kingma and Welling 2014"
    averaged: ClassVar[tuple[str, ...]] = ("G", "E")

    batch_size: int = option(32, "faces in a batch", at_least=1, at_most=4096)
    z_dim: int = option(100, "numbers in a latent", at_least=1, at_most=4096)
    width: int = option(
        32,
        "channels of the decoder's first and last maps; the encoder's first are twice as many",
        at_least=1,
        at_most=512,
    )
    noise: float = option(1.0, "standard deviation allowed to a pixel, in its range of 2", at_least=1e-3, at_most=10)
    lr: float = option(1e-3, "learning rate", at_least=0, at_most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_multiple_of_eight(self)

    def networks(self) -> dict[str, nn.Module]:
        return {
            "G": upsampling.GeneratorWithFittedPrior(self.z_dim, self.width, self.resolution, self.channels),
            "E": upsampling.Encoder(self.z_dim, 2 * self.width, self.resolution, self.channels),
        }

    def players(self) -> dict[str, Player]:
        return {"G": Player(("G", "E"), partial(Adam, fused=True))}

    def objective(self) -> Objective:
        return VAEObjective(self.noise)

    def turns(self, step: int) -> tuple[Turn, ...]:
        return (Turn(("G",), n_real=self.batch_size, n_fake=0),)

    def knobs(self, progress: float) -> Knobs:
        # Halved towards the end: an autoencoder at a constant rate jitters about its optimum.
        return Knobs(lr={"G": self.lr * (1 - 0.9 * max(0.0, 2 * progress - 1))})

"""The variational autoencoder of "Generating Faces with Torch": smooth faces, and an encoder for any photo.

Paper:  Kingma and Welling 2014, "Auto-Encoding Variational Bayes", arXiv:1312.6114.
Source: "Generating Faces with Torch", section "Going Further" (generating-faces-with-torch), on LFW.
Needs:  64x64 faces, or other sizes with --set resolution=N.
Run:    facesmith train vae64 --data faces --out runs/vae --minutes 40
Cost:   204 images/s on two idle CPU cores; 22 minutes of one core for the result.
Result: fd5k_lite0 98.4 (real faces 3.1), face rate 94.9% (98.3%), after 62 kimg of CelebA, 2026-11-22.

What it does: encoder and decoder learn to reconstruct faces from 100 numbers whose distribution is kept close to N(0,
I). The decoder is the generator of balanced64 with a quarter of its width. At every checkpoint, the run folder gets
reconstructions of held-out faces.

Faults of the tutorial, and what this recipe does instead:
- It gives no sizes, weights or noise level for its VAE. Those here are our own.
- Its decoder is "very similar to the GAN generator", which has no tanh. Here: tanh; `output=linear` is the tutorial's
  way.
- "We seek to minimize the pixelwise reconstruction error", without the scale that decides between blur and noise.
  Here: `noise`, the standard deviation of a pixel, where the full range is 2.
- New faces are decoded from N(0, I), which latents of real faces fill only after long training. After 35 kimg, their
  standard deviations along the principal axes were 0.2 to 3.5, and decoded samples of N(0, I) were fog. Here new faces
  come from a Gaussian fitted to latents of real faces (Ghosh et al. 2020, arXiv:1903.12436, section 4). facesmith
  sample --prior normal decodes N(0, I).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import nn
from torch.optim import Adam

from facesmith.gan.contracts import Knobs, Objective, Player, Turn
from facesmith.gan.recipe import Recipe, recipe
from facesmith.gan.recipe_options import option
from facesmith.gan.text import OPEN, Difference, Text
from facesmith.gan.vae import VAEObjective
from facesmith.nets import upsampling


@recipe("vae64")
@dataclass(frozen=True, kw_only=True)
class Vae64(Recipe):
    source: ClassVar[str] = "Generating Faces with Torch (2015); Kingma and Welling 2014"
    text: ClassVar[Text | None] = Text(
        title="Generating Faces with Torch",
        hyperparameters={"output": "linear"},
        hold_out=True,
        differences=(
            Difference(
                "a decoder like the generator of its GAN, 128 channels wide", "a quarter as wide", "--set width=128"
            ),
            Difference("unbounded output of that generator", "tanh", "--set output=linear"),
            Difference(
                "new faces from N(0, 1)",
                "from a Gaussian fitted to latents of real faces",
                "facesmith sample --prior normal",
            ),
            Difference("no learning rate", "1e-3, in the second half falling to a tenth", OPEN),
            Difference("no encoder, latent size, noise level or length of training", "our own", OPEN),
        ),
    )
    averaged: ClassVar[tuple[str, ...]] = ("G", "E")

    batch_size: int = option(32, "images per batch", at_least=1, at_most=4096)
    z_dim: int = option(100, "dimensions of the latent", at_least=1, at_most=4096)
    width: int = option(
        32,
        "channels of the decoder's first and last layer; the encoder's first has twice as many",
        at_least=1,
        at_most=512,
    )
    output: upsampling.Output = option("tanh", "tanh, or linear for an unbounded output, as in the tutorial")
    noise: float = option(1.0, "standard deviation of a pixel, where the full range is 2", at_least=1e-3, at_most=10)
    lr: float = option(1e-3, "learning rate", at_least=0, at_most=1)

    def networks(self) -> dict[str, nn.Module]:
        return {
            "G": upsampling.GeneratorWithFittedPrior(
                self.z_dim, self.width, self.resolution, self.channels, self.output
            ),
            "E": upsampling.Encoder(self.z_dim, 2 * self.width, self.resolution, self.channels),
        }

    def players(self) -> dict[str, Player]:
        return {"G": Player(("G", "E"), partial(Adam, fused=True))}

    def objective(self) -> Objective:
        return VAEObjective(self.noise)

    def turns(self, step: int) -> tuple[Turn, ...]:
        return (Turn(("G",), n_real=self.batch_size, n_fake=0),)

    def knobs(self, progress: float) -> Knobs:
        # In the second half the rate falls to a tenth: at a constant rate, the weights jitter about the optimum.
        return Knobs(lr={"G": self.lr * (1 - 0.9 * max(0.0, 2 * progress - 1))})

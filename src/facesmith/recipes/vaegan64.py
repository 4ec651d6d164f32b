"""A VAE and a GAN that share the decoder: reconstructions with the detail that a VAE alone blurs.

Paper:  Larsen et al. 2016, "Autoencoding beyond pixels using a learned similarity metric", arXiv:1512.09300, whose
        idea the tutorial describes.
Source: "Generating Faces with Torch", section "Going Further" (generating-faces-with-torch), on LFW.
Needs:  64x64 faces, or other sizes with --set resolution=N.
Run:    facesmith train vaegan64 --data faces --out runs/vaegan --minutes 60
Cost:   71 images/s on two idle CPU cores; 26 minutes of one core for the result.
Result: fd5k_lite0 52.3 (real faces 3.1), face rate 97.3% (98.3%), after 42 kimg of CelebA, 2026-11-22.

What it does: loss = prior + reconstruction + weight * GAN loss. The encoder learns from prior and reconstruction only,
since the discriminator sees faces of random latents, which no encoder produced. The weight is set in every step so
that the GAN loss contributes the share `gan_share` of the gradient at the decoder's last layer (as in Esser et al.
2021, arXiv:2012.09841, eq. 7). A constant weight would fit only one phase of training. Generator and discriminator are
balanced as in balanced64. While the generator waits, it keeps learning to reconstruct.

Faults of the tutorial, and what this recipe does instead:
- Its decoder's gradients "are weighted to ensure a sensible contribution from both models", but it does not say how.
  Here: `gan_share`.
- It gives no sizes and does not say which images the discriminator gets. Here: faces of random latents.
- The decoder is the GAN's generator, which has no tanh. Here: tanh; `output=linear` is the tutorial's way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Adam, RMSprop

from facesmith.gan.balance import BalancedObjective, BalanceMode
from facesmith.gan.contracts import Average, Batch, Knobs, Loss, Objective, Player, Turn, unchanged
from facesmith.gan.recipe import Recipe, recipe
from facesmith.gan.recipe_options import option
from facesmith.gan.text import OPEN, Difference, Text
from facesmith.gan.vae import kl_divergence, reconstruction_error, reparameterize
from facesmith.nets import upsampling


class VAEGANObjective(BalancedObjective):
    """The losses of a VAE and of a balanced GAN for the player "G", which trains encoder and decoder.

    Args:
        noise: standard deviation of a pixel, as in `gan.vae.reconstruction_error`.
        gan_share: share of the GAN loss in the decoder's gradient, by its norm at the last layer.
    """

    def __init__(self, noise: float, gan_share: float, mode: BalanceMode) -> None:
        super().__init__(mode)
        self.noise, self.gan_share = noise, gan_share

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        gan = super().loss(player, nets, batch)
        if player == "D":
            return gan
        G, E = nets["G"], nets["E"]
        assert isinstance(G, upsampling.Generator)
        mean, log_variance = E(batch.real)
        reconstruction = reconstruction_error(G.synthesis(reparameterize(mean, log_variance)), batch.real, self.noise)
        prior = kl_divergence(mean, log_variance)
        # While the generator waits, the GAN loss has a weight of 0.
        weight = gan.update * gan_weight(reconstruction, gan.total, G.last.weight, self.gan_share, self.average)
        total = prior + reconstruction + weight * gan.total
        terms = {"G/prior": prior, "G/reconstruction": reconstruction, "G/gan": gan.total, "G/gan_weight": weight}
        return Loss(total, gan.terms | terms | {"G/loss": total})


def gan_weight(
    reconstruction: Tensor, gan: Tensor, last_weight: Tensor, share: float, average: Average = unchanged
) -> Tensor:
    """The weight of the GAN loss that gives it this share of the gradient norms at the last layer.

    Source: Esser et al. 2021, arXiv:2012.09841, eq. 7, with a share instead of equal parts.
    """
    (of_reconstruction,) = torch.autograd.grad(reconstruction, last_weight, retain_graph=True)
    (of_gan,) = torch.autograd.grad(gan, last_weight, retain_graph=True)
    weight: Tensor = share / (1 - share) * average(of_reconstruction).norm() / (average(of_gan).norm() + 1e-6)
    return weight.detach()


@recipe("vaegan64")
@dataclass(frozen=True, kw_only=True)
class Vaegan64(Recipe):
    source: ClassVar[str] = "Generating Faces with Torch (2015); Larsen et al. 2016"
    text: ClassVar[Text | None] = Text(
        title="Generating Faces with Torch",
        hyperparameters={"output": "linear"},
        hold_out=True,
        differences=(
            Difference(
                "a decoder that is the generator of its GAN, 128 channels wide", "a quarter as wide", "--set width=128"
            ),
            Difference("unbounded output of that generator", "tanh", "--set output=linear"),
            Difference("no weights of the losses", "gan_share: the GAN loss has half of the gradient", OPEN),
            Difference("no word on which images the discriminator gets", "faces of random latents", OPEN),
            Difference("no encoder, latent size, learning rates or length of training", "our own", OPEN),
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
    gan_share: float = option(0.5, "share of the GAN loss in the decoder's gradient", at_least=0, at_most=0.99)
    balance: BalanceMode = option("skip", "none, skip (steps of the player that is ahead) or l2 (penalty on D)")
    d_dropout: float = option(0.2, "spatial dropout rate of the discriminator", at_least=0, at_most=0.9)
    lr: float = option(5e-4, "learning rate of encoder and decoder (Adam)", at_least=0, at_most=1)
    lr_d: float = option(2e-4, "learning rate of the discriminator (RMSprop)", at_least=0, at_most=1)

    def networks(self) -> dict[str, nn.Module]:
        return {
            "G": upsampling.Generator(self.z_dim, self.width, self.resolution, self.channels, output=self.output),
            "E": upsampling.Encoder(self.z_dim, 2 * self.width, self.resolution, self.channels),
            "D": upsampling.Discriminator(self.resolution, self.channels, dropout=self.d_dropout),
        }

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, betas=(0.5, 0.999), fused=True)
        return {"D": Player(("D",), partial(RMSprop, foreach=True)), "G": Player(("G", "E"), adam)}

    def objective(self) -> Objective:
        return VAEGANObjective(self.noise, self.gan_share, self.balance)

    def turns(self, step: int) -> tuple[Turn, ...]:
        return (Turn(("D", "G"), n_real=self.batch_size, n_fake=self.batch_size),)

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr_d, "G": self.lr})

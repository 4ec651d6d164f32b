"""VAE and GAN in one, sharing decoder and latent space: reconstructions with the detail that a VAE alone smooths away.

Paper:  Larsen et al. 2016, "Autoencoding beyond pixels using a learned similarity metric", arXiv:1512.09300, whose
        idea the text tells.
Text:   "Generating Faces with Torch", section "Going Further" (generating-faces-with-torch), on LFW.
Needs:  64x64 faces.
Run:    facesmith train vaegan64 --data faces --out runs/vaegan --minutes 60
Cost:   27 faces a second on one thread, the other core busy; the result took 26 minutes.
Result: fd5k_lite0 52.3 (real faces 3.1), face rate 97.3% (98.3%), after 42 kimg of CelebA;
        docs/research/recipes-compared.md.

What it does: error = prior + reconstruction + GAN. The encoder learns from prior and reconstruction alone: the GAN
judges faces of random latents, which no encoder has made. On the decoder the GAN's gradient is weighed so that it has
`gan_share` of the whole, measured at the decoder's last layer in each step (as Esser et al. 2021, arXiv:2012.09841,
eq. 7), rather than by a number that fits one phase of training only. The GAN's side is balanced as in balanced64;
where the generator waits, it goes on learning to reconstruct.

Faults of the text, and what stands here instead:
- The decoder's gradients "are weighted to ensure a sensible contribution from both models", it says, and not how: see
  above.
- It states neither sizes nor which pictures the critic judges: random latents' ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Adam, RMSprop

from facesmith.gan.balance import BalancedObjective, BalanceMode
from facesmith.gan.contracts import Batch, Knobs, Loss, Objective, Player, Turn
from facesmith.gan.recipe import Recipe, recipe, require_multiple_of_eight
from facesmith.gan.recipe_options import option
from facesmith.gan.vae import kl_divergence, reconstruction_error, reparameterize
from facesmith.nets import upsampling


class VAEGANObjective(BalancedObjective):
    """Prior and reconstruction for encoder and decoder, and for the decoder the game as well.

    Args:
        gan_share: of the decoder's gradient, by its norm at the last layer.
    """

    def __init__(self, noise: float, gan_share: float, mode: BalanceMode) -> None:
        super().__init__(mode)
        self.noise, self.gan_share = noise, gan_share

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        game = super().loss(player, nets, batch)
        if player == "D":
            return game
        G, E = nets["G"], nets["E"]
        assert isinstance(G, upsampling.Generator)
        mean, log_variance = E(batch.real)
        reconstruction = reconstruction_error(G.synthesis(reparameterize(mean, log_variance)), batch.real, self.noise)
        prior = kl_divergence(mean, log_variance)
        # Waiting, the decoder hears the game no more, but goes on learning to reconstruct.
        weight = game.update * gan_weight(reconstruction, game.total, G.last.weight, self.gan_share)
        total = prior + reconstruction + weight * game.total
        terms = {"G/prior": prior, "G/reconstruction": reconstruction, "G/gan": game.total, "G/gan_weight": weight}
        return Loss(total, game.terms | terms | {"G/loss": total})


def gan_weight(reconstruction: Tensor, game: Tensor, last: Tensor, share: float) -> Tensor:
    """What to multiply the game's loss by, for its gradient at the last layer to have this share of both."""
    (of_reconstruction,) = torch.autograd.grad(reconstruction, last, retain_graph=True)
    (of_game,) = torch.autograd.grad(game, last, retain_graph=True)
    weight: Tensor = share / (1 - share) * of_reconstruction.norm() / (of_game.norm() + 1e-6)
    return weight.detach()


@recipe("vaegan64")
@dataclass(frozen=True, kw_only=True)
class Vaegan64(Recipe):
    source: ClassVar[str] = "Generating Faces with Torch (2015); Larsen et al. 2016"
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
    gan_share: float = option(0.5, "the game's share of the decoder's gradient", at_least=0, at_most=0.99)
    balance: BalanceMode = option("skip", "none, skip (who is ahead waits) or l2 (an ahead critic is weighed down)")
    d_dropout: float = option(0.2, "share of the critic's maps silenced", at_least=0, at_most=0.9)
    lr: float = option(5e-4, "learning rate of encoder and decoder, by Adam", at_least=0, at_most=1)
    lr_d: float = option(2e-4, "learning rate of the critic, by RMSprop", at_least=0, at_most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_multiple_of_eight(self)

    def networks(self) -> dict[str, nn.Module]:
        return {
            "G": upsampling.Generator(self.z_dim, self.width, self.resolution, self.channels),
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

"""Wasserstein GAN with gradient penalty on DCGAN's networks.

Paper:  Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", arXiv:1704.00028, algorithm 1; the first of the
        "better things" that "Face synthesis with GANs in PyTorch" sends its readers to.
Needs:  64x64 faces.
Run:    facesmith train wgan-gp64 --data faces --out runs/wgan --minutes 40
Cost:   55 faces a second on one thread, the other core busy, with the penalty of all 32 pictures of a batch; the result
        took 26 minutes.
Result: fd5k_lite0 174.9 (real faces 3.1), face rate 40.7% (98.3%), after 86 kimg of CelebA, before its critic's
        first weights and its penalty were as now; docs/research/recipes-compared.md.

What it does: five critic turns to one of the generator; the critic scores without a scale and has no BatchNorm, since
each picture is to be judged by itself; its slope between real faces and fakes is drawn to 1 with a weight of 10; Adam
with betas 0 and .9. There is no share of fakes "called fake": scores have no zero, so the monitor shows how often a
real face is scored above a fake.

Unlike the paper, for a CPU's budget: batches of 32 rather than 64 and Adam at 2e-4 rather than 1e-4, since with five
critic turns to one the generator's steps are what runs short (in 22 kimg at the paper's values it had learned nothing
but a blot); the slope is measured at 8 pictures of a batch, which is the same penalty on average for a quarter of what
was two thirds of a critic's turn; width 32, half of dcgan64's, as the penalty needs second derivatives besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import nn
from torch.optim import Adam

from facesmith.gan.contracts import Knobs, Objective, Player, Turn
from facesmith.gan.losses import Wasserstein
from facesmith.gan.recipe import Recipe, recipe, require_power_of_two
from facesmith.gan.recipe_options import option
from facesmith.nets import dcgan


@recipe("wgan-gp64")
@dataclass(frozen=True, kw_only=True)
class WganGp64(Recipe):
    source: ClassVar[str] = "Gulrajani et al. 2017"

    batch_size: int = option(32, "faces in a batch", at_least=1, at_most=4096)
    z_dim: int = option(128, "numbers in a latent", at_least=1, at_most=4096)
    width: int = option(32, "channels at half the resolution; 8 times as many at 4x4", at_least=1, at_most=512)
    d_steps: int = option(5, "critic turns to one of the generator", at_least=1, at_most=100)
    penalty: float = option(10.0, "weight of the gradient penalty", at_least=0, at_most=1e4)
    penalty_batch: int = option(8, "pictures of a batch at which the slope is measured", at_least=1, at_most=4096)
    lr: float = option(2e-4, "learning rate of both players", at_least=0, at_most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_power_of_two(self)

    def networks(self) -> dict[str, nn.Module]:
        return {
            "G": dcgan.Generator(self.z_dim, self.width, self.resolution, self.channels),
            "D": dcgan.Discriminator(self.width, self.resolution, self.channels, norm=False),
        }

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, betas=(0.0, 0.9), fused=True)
        return {"D": Player(("D",), adam), "G": Player(("G",), adam)}

    def objective(self) -> Objective:
        return Wasserstein(self.penalty, penalty_batch=self.penalty_batch)

    def turns(self, step: int) -> tuple[Turn, ...]:
        discriminator = Turn(("D",), self.batch_size, self.batch_size)
        return (discriminator,) * self.d_steps + (Turn(("G",), 0, self.batch_size),)

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr, "G": self.lr})

"""Wasserstein GAN with gradient penalty, with the networks of DCGAN.

Paper:  Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", arXiv:1704.00028, algorithm 1. One of the
        "better things" that "Face synthesis with GANs in PyTorch" points to.
Needs:  64x64 faces.
Run:    facesmith train wgan-gp64 --data faces --out runs/wgan --minutes 40
Cost:   218 images/s on one CPU thread while the other core is busy; 26 minutes for the result.
Result: fd5k_lite0 63.7 (real faces 3.1), face rate 93.3% (98.3%), after 341 kimg of CelebA, 2026-11-30.

What it does: five critic steps per generator step. The critic's output is unbounded, and it has no BatchNorm, since
the gradient penalty needs an output that depends on one image only. The penalty draws the norm of its gradient between
real images and fakes towards 1, with a weight of 10. Adam has betas 0 and 0.9. The critic's outputs have no threshold
for "real", so the log has an AUC instead of accuracies.

Differences from the paper, for the time budget of a CPU:
- Batches of 32 instead of 64, and Adam at 2e-4 instead of 1e-4. With five critic steps per generator step, generator
  steps are scarce: after 22 kimg with the paper's values, samples were a blot.
- The penalty is computed on 8 images of a batch. Its mean is the same, for a quarter of the time; on a whole batch it
  took two thirds of a critic step.
- Width 32, half of dcgan64's, since the penalty needs second derivatives.
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

    batch_size: int = option(32, "images per batch", at_least=1, at_most=4096)
    z_dim: int = option(128, "dimensions of the latent", at_least=1, at_most=4096)
    width: int = option(32, "channels at half the resolution; 8 times as many at 4x4", at_least=1, at_most=512)
    d_steps: int = option(5, "critic steps per generator step", at_least=1, at_most=100)
    penalty: float = option(10.0, "weight of the gradient penalty", at_least=0, at_most=1e4)
    penalty_batch: int = option(8, "images of a batch on which the penalty is computed", at_least=1, at_most=4096)
    lr: float = option(2e-4, "learning rate of both networks", at_least=0, at_most=1)

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
        d_turn = Turn(("D",), self.batch_size, self.batch_size)
        g_turn = Turn(("G",), 0, self.batch_size)
        return (*[d_turn] * self.d_steps, g_turn)

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr, "G": self.lr})

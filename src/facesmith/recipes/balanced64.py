"""The balanced GAN of "Generating Faces with Torch": an upsampling generator, a max-pooling critic, and a referee.

Text:   "Generating Faces with Torch" (generating-faces-with-torch), Torch7 on aligned LFW faces; "spooky faces" after 5
        epochs (30 minutes on a GPU), pleasant ones after 100, decent walks after a day.
Needs:  64x64 faces.
Run:    facesmith train balanced64 --data faces --out runs/balanced --minutes 60
Cost:   6 faces a second on one thread, the other core busy; the result took 25 minutes.
Result: fd5k_lite0 64.4 (real faces 3.1), face rate 91.0% (98.3%), after 9 kimg of CelebA;
        docs/research/recipes-compared.md.

What it does: three ways to keep the players in reach of one another. `balance=none` lets them run; `skip` lets a player
wait while the critic's cross-entropies say that it is ahead (margin .3; if both would wait, both train); `l2` weighs
the critic's L2 penalty up by 1e-5 while the generator's error is above 1.3, and down below .9. `d_norm=batch` is
the critic with BatchNorm that the text shows winning.

Faults of the text, and what stands here instead:
- The size of the noise is not stated: z 100. Neither are the learning rate, 2e-4, and the batch, 16.
- The generator has no tanh, so its output knows no bounds: tanh here.
- The text aims at a generator error of .9 to 1.2, its code at .9 to 1.3: the code's.
- It says that the generator should hold more parameters than the critic, yet the critic has 6.50 M against 4.11 M.
- The sigmoid loses precision at confident answers: cross-entropy on logits.
- At 1e-5 a step the L2 penalty takes thousands of steps to weigh on a critic that wins by far; kept, as the text's
  rule.
The three doublings with 5x5 convolutions are computed as one 3x3 convolution each (`nets.layers.UpConv2d`): the same
function at a third of the cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from torch import nn
from torch.optim import SGD, RMSprop

from facesmith.gan.balance import BalancedObjective, BalanceMode
from facesmith.gan.contracts import Knobs, Objective, Player, Turn
from facesmith.gan.recipe import Recipe, recipe, require_multiple_of_eight
from facesmith.gan.recipe_options import option
from facesmith.nets import upsampling


@recipe("balanced64")
@dataclass(frozen=True, kw_only=True)
class Balanced64(Recipe):
    source: ClassVar[str] = "Generating Faces with Torch (2015)"

    batch_size: int = option(16, "faces in a batch", at_least=1, at_most=4096)
    z_dim: int = option(100, "numbers in a latent", at_least=1, at_most=4096)
    width: int = option(
        128, "channels of the generator's first and last maps, twice as many between", at_least=1, at_most=512
    )
    balance: BalanceMode = option("l2", "none, skip (who is ahead waits) or l2 (an ahead critic is weighed down)")
    d_norm: upsampling.DiscriminatorNorm = option("none", "none, or batch for BatchNorm in the critic")
    d_dropout: float = option(0.2, "share of the critic's maps silenced", at_least=0, at_most=0.9)
    g_dropout: float = option(0.0, "share of the generator's maps silenced", at_least=0, at_most=0.9)
    optimizer: Literal["rmsprop", "sgd"] = option("rmsprop", "rmsprop or sgd")
    lr: float = option(2e-4, "learning rate of both players", at_least=0, at_most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_multiple_of_eight(self)

    def networks(self) -> dict[str, nn.Module]:
        G = upsampling.Generator(self.z_dim, self.width, self.resolution, self.channels, self.g_dropout)
        D = upsampling.Discriminator(self.resolution, self.channels, self.d_norm, self.d_dropout)
        return {"G": G, "D": D}

    def players(self) -> dict[str, Player]:
        chosen = partial(RMSprop, foreach=True) if self.optimizer == "rmsprop" else partial(SGD, fused=True)
        return {"D": Player(("D",), chosen), "G": Player(("G",), chosen)}

    def objective(self) -> Objective:
        return BalancedObjective(self.balance)

    def turns(self, step: int) -> tuple[Turn, ...]:
        return (Turn(("D", "G"), n_real=self.batch_size, n_fake=self.batch_size),)

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr, "G": self.lr})

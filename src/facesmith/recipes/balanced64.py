"""The balanced GAN of "Generating Faces with Torch": neither network may get far ahead of the other.

Source: "Generating Faces with Torch" (generating-faces-with-torch), Torch7 on aligned LFW faces: "spooky faces" after 5
        epochs (30 minutes on a GPU), pleasant faces after 100, decent walks after a day.
Needs:  64x64 faces, or other sizes with --set resolution=N.
Run:    facesmith train balanced64 --data faces --out runs/balanced --minutes 60
Cost:   26 images/s on two idle CPU cores; 25 minutes of one core for the result.
Result: fd5k_lite0 64.4 (real faces 3.1), face rate 91.0% (98.3%), after 9 kimg of CelebA, 2026-11-22.

What it does: an upsampling generator, a max-pooling discriminator, and three ways to balance them. `balance=none` does
nothing. With `skip`, a player skips its step while the discriminator's cross-entropies show that it is ahead (margin
0.3; if both would skip, both train). With `l2`, the weight of an L2 penalty on the discriminator rises by 1e-5 while
the generator's loss is above 1.3, and falls while it is below 0.9. `d_norm=batch` adds BatchNorm to the discriminator,
which makes it too strong, as the tutorial shows.

Faults of the tutorial, and what this recipe does instead:
- It gives no latent size, learning rate or batch size. Here: 100, 2e-4 and 16.
- Its generator has no tanh, so the output is unbounded. Here: tanh; `output=linear` is the tutorial's way.
- Real images and fakes are one batch, which BatchNorm in the discriminator normalizes together. Here: separately;
  `mixed_batch=true` is the tutorial's way.
- It aims at a generator loss of 0.9 to 1.2, its code at 0.9 to 1.3. Here: as in the code.
- It says that the generator should have more parameters than the discriminator, yet it has 4.11 M against 6.50 M.
  Here: unchanged by default; with `d_width=24` the discriminator has 3.66 M, with 16 it has 1.63 M.
- A sigmoid loses precision for confident outputs. Here: cross-entropy on logits.
- At 1e-5 a step, the L2 penalty needs thousands of steps to restrain a discriminator that wins. Here: unchanged.

Each upsampling with its 5x5 convolution is computed as one 3x3 convolution (`nets.layers.UpConv2d`): the same function
at a third of the cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from torch import nn
from torch.optim import SGD, RMSprop

from facesmith.gan.balance import BalancedObjective, BalanceMode
from facesmith.gan.contracts import Knobs, Objective, Player, Turn
from facesmith.gan.recipe import Recipe, recipe
from facesmith.gan.recipe_options import option
from facesmith.gan.text import NOT_AVAILABLE, OPEN, SAME, Difference, Text
from facesmith.nets import upsampling


@recipe("balanced64")
@dataclass(frozen=True, kw_only=True)
class Balanced64(Recipe):
    source: ClassVar[str] = "Generating Faces with Torch (2015)"
    text: ClassVar[Text | None] = Text(
        title="Generating Faces with Torch",
        hyperparameters={"output": "linear", "mixed_batch": True},
        epochs=100,
        differences=(
            Difference("unbounded output", "tanh", "--set output=linear"),
            Difference("real faces and fakes as one batch", "as separate batches", "--set mixed_batch=true"),
            Difference("a generator loss of .9 to 1.2; in its code .9 to 1.3", ".9 to 1.3", NOT_AVAILABLE),
            Difference("sigmoid", "cross-entropy on logits", SAME),
            Difference("no latent size, learning rate or batch size", "100, 2e-4 and 16", OPEN),
        ),
    )

    batch_size: int = option(16, "images per batch", at_least=1, at_most=4096)
    z_dim: int = option(100, "dimensions of the latent", at_least=1, at_most=4096)
    width: int = option(
        128, "channels of the generator's first and last layer; twice as many in the others", at_least=1, at_most=512
    )
    balance: BalanceMode = option("l2", "none, skip (steps of the player that is ahead) or l2 (penalty on D)")
    d_norm: upsampling.DiscriminatorNorm = option("none", "none, or batch for BatchNorm in the discriminator")
    d_width: int = option(
        32,
        "channels of the discriminator's first layer; its other layers follow in proportion",
        at_least=1,
        at_most=512,
    )
    d_dropout: float = option(0.2, "spatial dropout rate of the discriminator", at_least=0, at_most=0.9)
    g_dropout: float = option(0.0, "spatial dropout rate of the generator", at_least=0, at_most=0.9)
    output: upsampling.Output = option("tanh", "tanh, or linear for an unbounded output, as in the tutorial")
    mixed_batch: bool = option(
        False, "the discriminator gets real images and fakes as one batch, as in the tutorial; matters for BatchNorm"
    )
    optimizer: Literal["rmsprop", "sgd"] = option("rmsprop", "rmsprop or sgd")
    lr: float = option(2e-4, "learning rate of both networks", at_least=0, at_most=1)

    def networks(self) -> dict[str, nn.Module]:
        G = upsampling.Generator(self.z_dim, self.width, self.resolution, self.channels, self.g_dropout, self.output)
        D = upsampling.Discriminator(self.resolution, self.channels, self.d_norm, self.d_dropout, self.d_width)
        return {"G": G, "D": D}

    def players(self) -> dict[str, Player]:
        optimizer = partial(RMSprop, foreach=True) if self.optimizer == "rmsprop" else partial(SGD, fused=True)
        return {"D": Player(("D",), optimizer), "G": Player(("G",), optimizer)}

    def objective(self) -> Objective:
        return BalancedObjective(self.balance, self.mixed_batch)

    def turns(self, step: int) -> tuple[Turn, ...]:
        return (Turn(("D", "G"), n_real=self.batch_size, n_fake=self.batch_size),)

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr, "G": self.lr})

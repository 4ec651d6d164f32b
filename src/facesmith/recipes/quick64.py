"""Our own: the faces that a CPU learns fastest.

Text:   none; its networks are those of "Generating Faces with Torch" (balanced64), made small.
Needs:  64x64 faces; 128x128 with --set resolution=128 costs four times as much (docs/research/results.md).
Run:    facesmith train quick64 --data faces --out runs/quick
Cost:   169 kimg in 34 minutes on two cores with AVX512-BF16, both idle: 82 faces a second; 0.9 GiB.
Result: fd5k_lite0 13.9 (real faces 3.1, dcgan64 45.9), recall .25, coverage .85, face rate 98.3% (98.3%),
        after these 169 kimg of CelebA; 10.0, recall .38, coverage .91 after 500: the generator that ships.
        docs/research/recipes-compared.md.

What it does: of all the texts' systems, the networks of balanced64 learn most from each face shown: a generator that
doubles by nearest neighbours and smooths by 5x5 convolutions, with BatchNorm, against a critic with max-pooling,
without normalisation. They are too large for a CPU there, and draw few kinds of faces. Here the generator has a quarter
of the width at the full size and as much as there where maps are small; a residual convolution stands before the first
two doublings; and the latent, which is heard there in the first layer only, scales and shifts all maps
(arXiv:1810.01365): men with short hair, profiles, hats and glasses are drawn since. The critic has 3x3 kernels behind
its first layer, one layer more, sees the batch's spread (arXiv:1710.10196, section 3), and has a quarter of the units
in its wide layer, whose many weights cost more to update than to use in batches of this size. No referee: Adam without
momentum, high rates which fall over the last third of the budget, and little dropout keep the two in pace; the critic's
squared slope at real faces is held down (R1, arXiv:1801.04406), at half of every fourth batch, since second derivatives
are dear. docs/research/experiments.md has all trials that led here, and those that led nowhere.
With `--condition` it is told attributes: their labels stand beside the latent, and each weighs a direction of the
critic's wide layer into the logit, as in projection critics (arXiv:1802.05637). docs/how-to/train-with-conditions.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import nn
from torch.optim import Adam

from facesmith.gan.contracts import Knobs, Objective, Player, Turn
from facesmith.gan.losses import NonSaturating
from facesmith.gan.recipe import Conditional, periodic_steps, recipe, require_power_of_two
from facesmith.gan.recipe_options import option
from facesmith.nets import quick

LAST_LR = 0.1  # of the first, at the end of the budget


@recipe("quick64")
@dataclass(frozen=True, kw_only=True)
class Quick64(Conditional):
    source: ClassVar[str] = "Facesmith"
    # A critic that begins with what it knows of many faces learns 300 by heart within minutes, unless held back.
    few_faces: ClassVar[Mapping[str, Any]] = {"dropout": 0.2, "hidden_dropout": 0.5, "lr": 2e-4, "lr_d": 4e-4}

    resolution: int = option(64, "side of the pictures in pixels, a power of two", at_least=16, at_most=256)
    batch_size: int = option(16, "faces in a batch", at_least=1, at_most=4096)
    z_dim: int = option(64, "numbers in a latent", at_least=1, at_most=4096)
    width: int = option(
        32, "the generator's channels at the full resolution, doubled at each halving", at_least=1, at_most=512
    )
    max_channels: int = option(128, "most channels of a layer of the generator", at_least=1, at_most=2048)
    max_channels_d: int = option(256, "most channels of a layer of the critic", at_least=8, at_most=256)
    hidden: int = option(256, "units of the critic's wide layer", at_least=1, at_most=8192)
    dropout: float = option(0.05, "share of the critic's maps silenced", at_least=0, at_most=0.9)
    hidden_dropout: float = option(0.3, "share of its wide layer's units silenced", at_least=0, at_most=0.9)
    lr: float = option(8e-4, "learning rate of the generator", at_least=0, at_most=1)
    lr_d: float = option(8e-4, "learning rate of the critic", at_least=0, at_most=1)
    gamma: float = option(0.1, "weight of half the critic's squared slope at real faces", at_least=0, at_most=1e4)
    penalty_every: int = option(4, "steps from one such penalty to the next", at_least=1, at_most=1000)
    penalty_batch: int = option(8, "faces of a batch that it is taken of", at_least=1, at_most=4096)
    beta2: float = option(0.99, "Adam's memory of squared gradients; it has no momentum", at_least=0, at_most=0.99999)
    decay: float = option(
        0.3, "share of the budget, at its end, in which the rates fall to a tenth", at_least=0, at_most=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_power_of_two(self)

    def networks(self) -> dict[str, nn.Module]:
        told = len(self.condition)
        return {
            "G": quick.Generator(
                self.z_dim,
                self.width,
                self.resolution,
                self.channels,
                told,
                max_channels=self.max_channels,
            ),
            "D": quick.Discriminator(
                self.resolution,
                self.channels,
                self.dropout,
                self.hidden,
                told,
                hidden_dropout=self.hidden_dropout,
                max_channels=self.max_channels_d,
            ),
        }

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, betas=(0.0, self.beta2), fused=True)
        return {"D": Player(("D",), adam), "G": Player(("G",), adam)}

    def objective(self) -> Objective:
        return NonSaturating(gamma=self.gamma, penalty_every=self.penalty_every, penalty_batch=self.penalty_batch)

    def turns(self, step: int) -> tuple[Turn, ...]:
        return (Turn(("D", "G"), n_real=self.batch_size, n_fake=self.batch_size),)

    def knobs(self, progress: float) -> Knobs:
        left = min(1.0, (1 - progress) / self.decay) if self.decay else 1.0
        share = LAST_LR + (1 - LAST_LR) * left
        return Knobs(lr={"D": self.lr_d * share, "G": self.lr * share})

    def representative_steps(self) -> Mapping[int, float]:
        return periodic_steps(self.penalty_every if self.gamma else 1)

"""Progressive growing: faces of 4x4 first, and twice the detail each time that is learned.

Paper:  Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation",
        arXiv:1710.10196; the second of the "better things" that "Face synthesis with GANs in PyTorch" sends its
        readers to.
Needs:  64x64 faces, or 128x128 with --set resolution=128.
Run:    facesmith train progressive64 --data faces --out runs/progressive --minutes 40
Cost:   82 kimg in 21 minutes on one thread of a CPU with AVX512-BF16, beside other work: from hundreds of faces a
        second at 4x4 to 45 at 64x64.
Result: fd5k_lite0 46.3 (real faces 3.1), coverage .22, face rate 95.9% (98.3%), after these 82 kimg of CelebA, of which
        33 at the full size; docs/research/recipes-compared.md.

What it does: both networks stand whole from the start, and a level between 0 and 1 says how far they have grown; what
lies above it is not computed, so early faces are cheap. Each scale is trained as it is, then the next is faded in,
each for an equal share of the budget; the full size keeps the last share, a larger one. EqualizedLR learning rates,
pixel norm, minibatch standard deviation; Adam with betas 0 and .99. `loss=wgan-gp` is the paper's: Wasserstein
with gradient penalty and a drift of .001. `loss=logistic` is what its authors went on with (Karras et al. 2019,
arXiv:1812.04948): cross-entropies, and R1, the critic's squared slope at real faces, here every eighth step.

Unlike the paper: fewer channels (16 at the full size, doubled downwards up to 128), one batch size and one set of
Adam's moments for all scales, a bounded output, an average by share of what was seen, and a budget of thousands of
faces where the paper had 12 million. So what counts is generator steps in a given time, and the default is the loss
that gives three times as many of them: second derivatives are half of a critic's turn. With the paper's loss, one
critic turn to one loses the critic in so few steps: it scored fakes above faces, and the generator ran off into one red
square; `critic_turns=2` at `lr=1e-3` keeps it in the game.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Literal

from torch import nn
from torch.optim import Adam

from facesmith.gan.contracts import Batch, Knobs, Loss, Objective, Player, Turn
from facesmith.gan.losses import NonSaturating, Wasserstein
from facesmith.gan.recipe import Recipe, periodic_steps, recipe, require_power_of_two
from facesmith.gan.recipe_options import option
from facesmith.nets import progressive


class Growing(Wasserstein):
    """The paper's loss; real faces are shown with no more detail than fakes can have."""

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        return super().loss(player, nets, coarse(batch, nets))


class GrowingLogistic(NonSaturating):
    """Its successor's: cross-entropies, and every few steps the critic's squared slope at real faces."""

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        return super().loss(player, nets, coarse(batch, nets))


def coarse(batch: Batch, nets: nn.ModuleDict) -> Batch:
    """The batch, its real faces with no more detail than fakes can have at the critic's level."""
    D = nets["D"]
    assert isinstance(D, progressive.Discriminator)
    return replace(batch, real=D.limit_detail(batch.real))


@recipe("progressive64")
@dataclass(frozen=True, kw_only=True)
class Progressive64(Recipe):
    source: ClassVar[str] = "Karras et al. 2018"

    batch_size: int = option(16, "faces in a batch", at_least=1, at_most=4096)
    z_dim: int = option(128, "numbers in a latent", at_least=1, at_most=4096)
    width: int = option(16, "channels at the full resolution, doubled at each halving", at_least=1, at_most=512)
    max_channels: int = option(128, "most channels of a layer", at_least=1, at_most=2048)
    growing: float = option(0.55, "share of the budget until the full size stands", at_least=0, at_most=1)
    d_steps: int = option(1, "critic turns to one of the generator", at_least=1, at_most=100)
    loss: Literal["logistic", "wgan-gp"] = option("logistic", "logistic for cross-entropy and R1, or wgan-gp")
    gamma: float = option(1.0, "logistic: weight of half the critic's squared slope", at_least=0, at_most=1e4)
    penalty_every: int = option(8, "logistic: steps from one penalty to the next", at_least=1, at_most=1000)
    penalty: float = option(10.0, "wgan-gp: weight of the gradient penalty", at_least=0, at_most=1e4)
    drift: float = option(1e-3, "wgan-gp: weight of the real faces' squared score", at_least=0, at_most=10)
    lr: float = option(3e-3, "learning rate of both players", at_least=0, at_most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_power_of_two(self)

    def networks(self) -> dict[str, nn.Module]:
        return {
            "G": progressive.Generator(self.z_dim, self.width, self.max_channels, self.resolution, self.channels),
            "D": progressive.Discriminator(self.width, self.max_channels, self.resolution, self.channels),
        }

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, betas=(0.0, 0.99), eps=1e-8, fused=True)
        return {"D": Player(("D",), adam), "G": Player(("G",), adam)}

    def objective(self) -> Objective:
        if self.loss == "wgan-gp":
            return Growing(self.penalty, self.drift)
        return GrowingLogistic(gamma=self.gamma, penalty_every=self.penalty_every)

    def turns(self, step: int) -> tuple[Turn, ...]:
        alone = Turn(("D",), n_real=self.batch_size, n_fake=self.batch_size)
        return (*(alone,) * (self.d_steps - 1), replace(alone, players=("D", "G")))

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr, "G": self.lr}, level=self.level(progress))

    def representative_steps(self) -> Mapping[int, float]:
        return periodic_steps(self.penalty_every if self.loss == "logistic" else 1)

    def level(self, progress: float) -> float:
        """0 to 1: as many equal shares as there are growths, in each first a rest, then a fade."""
        growths = self.resolution.bit_length() - 3  # 4x4 is none
        if progress >= self.growing or not growths:
            return 1.0
        done = progress / self.growing * growths
        fade = max(0.0, 2 * (done % 1) - 1)
        return (int(done) + fade) / growths

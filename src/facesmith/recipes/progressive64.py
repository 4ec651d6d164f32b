"""Progressive growing: training starts at 4x4 and doubles the resolution step by step.

Paper:  Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and Variation",
        arXiv:1710.10196. One of the "better things" that "Face synthesis with GANs in PyTorch" points to.
Needs:  64x64 faces, or 128x128 with --set resolution=128.
Run:    facesmith train progressive64 --data faces --out runs/progressive --minutes 40
Cost:   from hundreds of images/s at 4x4 to 45 at 64x64, on one thread of a CPU with AVX512-BF16 and other load; 21
        minutes for the result.
Result: fd5k_lite0 46.3 (real faces 3.1), coverage 0.22, face rate 95.9% (98.3%), after 82 kimg of CelebA, 33 of them
        at full size, 2026-11-25.

What it does: a level from 0 to 1 says how far the networks have grown. Layers above it are not computed, so training
is fast at first. Each scale is trained for a while, then the next one is faded in, each for an equal share of the
budget; the full size gets the larger last share. The networks use equalized learning rates, pixel normalization and
minibatch standard deviation; Adam has betas 0 and 0.99. `loss=wgan-gp` is the paper's loss, with a drift of 0.001.
`loss=logistic`, the default, is its authors' later choice (Karras et al. 2019, arXiv:1812.04948): the non-saturating
loss with R1, here in every eighth step.

Differences from the paper:
- Fewer channels: 16 at full size, doubled per halving up to 128.
- One batch size, and one Adam state for all scales.
- The output is bounded by tanh.
- The half-life of the weight average is a share of the images seen.
- The budget is thousands of images instead of 12 million, so generator steps are scarce. The default loss allows three
  times as many: second derivatives take half of the time of a WGAN-GP discriminator step.
- The paper's loss needs `d_steps=2` and `lr=1e-3` here. With one discriminator step per generator step, the
  discriminator scored fakes above real faces, and all samples became one red square.
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
    """The paper's loss: Wasserstein with gradient penalty and drift."""

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        return super().loss(player, nets, limit_detail(batch, nets))


class GrowingLogistic(NonSaturating):
    """The loss of the authors' later papers: non-saturating, with R1."""

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        return super().loss(player, nets, limit_detail(batch, nets))


def limit_detail(batch: Batch, nets: nn.ModuleDict) -> Batch:
    """The batch, with no more detail in its real images than fakes have at the current level."""
    D = nets["D"]
    assert isinstance(D, progressive.Discriminator)
    return replace(batch, real=D.limit_detail(batch.real))


@recipe("progressive64")
@dataclass(frozen=True, kw_only=True)
class Progressive64(Recipe):
    source: ClassVar[str] = "Karras et al. 2018"

    batch_size: int = option(16, "images per batch", at_least=1, at_most=4096)
    z_dim: int = option(128, "dimensions of the latent", at_least=1, at_most=4096)
    width: int = option(16, "channels at full resolution; doubled per halving", at_least=1, at_most=512)
    max_channels: int = option(128, "largest number of channels of a layer", at_least=1, at_most=2048)
    growing: float = option(0.55, "share of the budget until full resolution", at_least=0, at_most=1)
    d_steps: int = option(1, "discriminator steps per generator step", at_least=1, at_most=100)
    loss: Literal["logistic", "wgan-gp"] = option("logistic", "logistic (non-saturating loss with R1) or wgan-gp")
    gamma: float = option(1.0, "logistic: weight of R1", at_least=0, at_most=1e4)
    penalty_every: int = option(8, "logistic: compute R1 in every n-th step", at_least=1, at_most=1000)
    penalty: float = option(10.0, "wgan-gp: weight of the gradient penalty", at_least=0, at_most=1e4)
    drift: float = option(1e-3, "wgan-gp: weight of the drift term", at_least=0, at_most=10)
    lr: float = option(3e-3, "learning rate of both networks", at_least=0, at_most=1)

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
        d_turn = Turn(("D",), n_real=self.batch_size, n_fake=self.batch_size)
        return (*[d_turn] * (self.d_steps - 1), replace(d_turn, players=("D", "G")))

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr, "G": self.lr}, level=self.level(progress))

    def representative_steps(self) -> Mapping[int, float]:
        return periodic_steps(self.penalty_every if self.loss == "logistic" else 1)

    def level(self, progress: float) -> float:
        """How far the networks have grown, 0 to 1. Each scale is trained first, then the next one is faded in."""
        growths = self.resolution.bit_length() - 3  # doublings of 4x4
        if progress >= self.growing or not growths:
            return 1.0
        grown = progress / self.growing * growths
        fade = max(0.0, 2 * (grown % 1) - 1)
        return (int(grown) + fade) / growths

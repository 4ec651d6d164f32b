"""The DCGAN of "Face Generation" at 32x32, with all that its text wishes for as values.

Paper:  Radford et al. 2016, arXiv:1511.06434.
Text:   "Face Generation" (face-generation-dcgan32), PyTorch 0.4.1 on CelebA faces.
Needs:  32x32 faces (larger ones are reduced), or 64x64 with --set resolution=64.
Run:    facesmith train dcgan32 --data faces --out runs/dcgan32 --minutes 20
Cost:   87 faces a second on one thread, the other core busy; the result took 20 minutes.
Result: fd5k_lite0 86.0 (real faces 2.8), face rate 95.9% (98.4%), after 106 kimg of CelebA at 32 px;
        docs/research/recipes-compared.md.

What it does: four strided convolutions and a linear layer in the critic, the mirror in the generator, BatchNorm, N(0,
.02) everywhere, one-sided label smoothing; `loss=bce` or `lsgan`; `blocks=residual`, `deeper` and `width` for larger
models; `brightness`, `rotation_degrees` and `dropout` as augmentation and regularisation.

Faults of the text, and what stands here instead:
- It says 64x64 in one place and 32x32 in another: 32, or 64 by value.
- It names no constants: z 100, width 64, Adam at 2e-4 with betas .5 and .999, batch 64 are Radford's.
- It proposes to augment the data, from which a generator learns to draw tilted and darkened faces: augmentation here
  passes gradients and is done to all that the critic sees, so that it stays out of the generated faces.
- It recommends smoothing for "the discriminator's real loss" without a number: .1, as Salimans et al. 2016.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from torch import nn
from torch.optim import Adam

from facesmith.errors import BadOption
from facesmith.gan.augment import Augmentation
from facesmith.gan.contracts import Knobs, Objective, Player, Turn
from facesmith.gan.losses import LeastSquares, NonSaturating
from facesmith.gan.recipe import Recipe, recipe
from facesmith.gan.recipe_options import option
from facesmith.nets import strided


@recipe("dcgan32")
@dataclass(frozen=True, kw_only=True)
class Dcgan32(Recipe):
    source: ClassVar[str] = "Face Generation; Radford et al. 2016"

    resolution: int = option(32, "side of the pictures in pixels", at_least=8, at_most=256)
    z_dim: int = option(100, "numbers in a latent", at_least=1, at_most=4096)
    width: int = option(64, "channels at half the resolution, doubled at each halving", at_least=1, at_most=512)
    scales: int = option(4, "halvings of the critic and doublings of the generator", at_least=1, at_most=6)
    blocks: strided.Blocks = option("plain", "plain, or residual for shortcuts around two convolutions")
    deeper: int = option(0, "more blocks at each scale", at_least=0, at_most=8)
    loss: Literal["bce", "lsgan"] = option("bce", "bce for cross-entropy, lsgan for least squares")
    label_smoothing: float = option(0.1, "real faces are to be judged 1 less this much", at_least=0, at_most=0.5)
    dropout: float = option(0.0, "share of the critic's maps silenced", at_least=0, at_most=0.9)
    brightness: float = option(0.0, "largest shift of a picture's level for the critic, of a range of 2", at_least=0)
    rotation_degrees: float = option(0.0, "largest turn of a picture for the critic", at_least=0, at_most=180)
    lr: float = option(2e-4, "learning rate of both players", at_least=0, at_most=1)
    beta1: float = option(0.5, "Adam's momentum", at_least=0, at_most=0.9999)
    beta2: float = option(0.999, "Adam's memory of squared gradients", at_least=0, at_most=0.99999)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolution % 2**self.scales:
            raise BadOption(
                f"{self.name}: resolution={self.resolution} can't be halved {self.scales} times; set scales lower."
            )

    def networks(self) -> dict[str, nn.Module]:
        shape = (self.width, self.resolution, self.channels, self.scales, self.blocks, self.deeper)
        return {"G": strided.Generator(self.z_dim, *shape), "D": strided.Discriminator(*shape, self.dropout)}

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, betas=(self.beta1, self.beta2), fused=True)
        return {"D": Player(("D",), adam), "G": Player(("G",), adam)}

    def objective(self) -> Objective:
        game = NonSaturating if self.loss == "bce" else LeastSquares
        return game(self.label_smoothing, Augmentation(self.brightness, self.rotation_degrees))

    def turns(self, step: int) -> tuple[Turn, ...]:
        return (Turn(("D", "G"), n_real=self.batch_size, n_fake=self.batch_size),)

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr, "G": self.lr})

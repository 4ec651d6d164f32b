"""DCGAN at 32x32, with all extensions that the tutorial "Face Generation" proposes as options.

Paper:  Radford et al. 2016, arXiv:1511.06434.
Source: "Face Generation" (face-generation-dcgan32), PyTorch 0.4.1 on CelebA faces.
Needs:  32x32 faces (larger ones are downsampled), or 64x64 with --set resolution=64.
Run:    facesmith train dcgan32 --data faces --out runs/dcgan32 --kimg 200
Cost:   331 images/s on two idle CPU cores; 14 minutes of one core for the result.
Result: fd5k_lite0 49.7 (real faces 2.8), face rate 98.3% (98.4%), after 200 kimg of CelebA at 32x32, 2026-11-30.

What it does: a discriminator of four strided convolutions and a linear layer, a generator that mirrors it, BatchNorm,
weights N(0, 0.02), and one-sided label smoothing. Options: the loss (`loss=lsgan`), larger networks
(`blocks=residual`, `deeper`, `width`), augmentation (`brightness`, `rotation_degrees`, `translation`) and `dropout`.

Faults of the tutorial, and what this recipe does instead:
- It says 64x64 in one place and 32x32 in another. Here: 32 by default.
- It gives no constants. Here: those of the paper, with z of 100, width 64, batch 64, and Adam (2e-4, betas 0.5, 0.999).
- It proposes to augment the training images, so a generator would learn to draw tilted and darkened faces. Here the
  augmentation is differentiable and is applied to real images and fakes, so it stays out of the generated faces.
- It recommends label smoothing without a number. Here: 0.1, as in Salimans et al. 2016.
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
from facesmith.gan.text import NOT_AVAILABLE, OPEN, Difference, Text
from facesmith.nets import strided


@recipe("dcgan32")
@dataclass(frozen=True, kw_only=True)
class Dcgan32(Recipe):
    source: ClassVar[str] = "Face Generation; Radford et al. 2016"
    text: ClassVar[Text | None] = Text(
        title="Face Generation",
        differences=(
            Difference("64 px in one place, 32 px in another", "32 px", "--set resolution=64"),
            Difference(
                "augmentation of the training images, as a proposal", "of real faces and fakes alike", NOT_AVAILABLE
            ),
            Difference("no number for the label smoothing", ".1", OPEN),
            Difference("no number of epochs", "30 minutes, unless a budget is given", OPEN),
            Difference("no learning rate, batch size or sizes of layers", "those of the paper; batches of 64", OPEN),
        ),
    )

    resolution: int = option(32, "height and width of the images in pixels", at_least=8, at_most=256)
    z_dim: int = option(100, "dimensions of the latent", at_least=1, at_most=4096)
    width: int = option(64, "channels at half the resolution; doubled per further halving", at_least=1, at_most=512)
    scales: int = option(4, "downsamplings of the discriminator, upsamplings of the generator", at_least=1, at_most=6)
    blocks: strided.Blocks = option("plain", "plain, or residual for blocks of two convolutions with a shortcut")
    deeper: int = option(0, "additional blocks per scale", at_least=0, at_most=8)
    loss: Literal["bce", "lsgan"] = option("bce", "bce for cross-entropy, lsgan for least squares")
    label_smoothing: float = option(0.1, "the target of real images is 1 minus this", at_least=0, at_most=0.5)
    dropout: float = option(0.0, "spatial dropout rate of the discriminator", at_least=0, at_most=0.9)
    brightness: float = option(0.0, "augmentation: largest shift of brightness, of a range of 2", at_least=0)
    rotation_degrees: float = option(0.0, "augmentation: largest rotation", at_least=0, at_most=180)
    translation: float = option(
        0.0, "augmentation: largest shift along each axis, as a share of the side", at_least=0, at_most=0.5
    )
    lr: float = option(2e-4, "learning rate of both networks", at_least=0, at_most=1)
    beta1: float = option(0.5, "Adam's beta1, the momentum", at_least=0, at_most=0.9999)
    beta2: float = option(0.999, "Adam's beta2", at_least=0, at_most=0.99999)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolution % 2**self.scales:
            raise BadOption(
                f"{self.name}: resolution={self.resolution} can't be halved {self.scales} times. Choose fewer scales."
            )
        if self.batch_size == 1 and self.resolution == 2**self.scales:
            raise BadOption(f"{self.name}: batch normalization of 1x1 pixels needs at least 2 images. Use --batch 2.")

    def networks(self) -> dict[str, nn.Module]:
        shape = (self.width, self.resolution, self.channels, self.scales, self.blocks, self.deeper)
        return {"G": strided.Generator(self.z_dim, *shape), "D": strided.Discriminator(*shape, self.dropout)}

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, betas=(self.beta1, self.beta2), fused=True)
        return {"D": Player(("D",), adam), "G": Player(("G",), adam)}

    def objective(self) -> Objective:
        objective = NonSaturating if self.loss == "bce" else LeastSquares
        augmentation = Augmentation(self.brightness, self.rotation_degrees, translation=self.translation)
        return objective(self.label_smoothing, augmentation)

    def turns(self, step: int) -> tuple[Turn, ...]:
        return (Turn(("D", "G"), n_real=self.batch_size, n_fake=self.batch_size),)

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr, "G": self.lr})

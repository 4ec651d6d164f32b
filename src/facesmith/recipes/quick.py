"""Facesmith's own recipe and the default: the best faces for the time that they take on a CPU.

Paper:  none. It combines parts of published GANs, which are named below.
Source: none. The networks are those of "Generating Faces with Torch" (balanced64), made small.
Needs:  faces of 64x64 pixels or more. If nine in ten have 128x128 or more, it draws faces of 128x128 pixels.
Run:    facesmith train quick --data faces --out runs/quick
Cost:   82 images/s and 0.9 GiB of memory on two idle cores with AVX512-BF16; 34 minutes for the first result.
Result: fd5k_lite0 13.9 (real faces 3.1, dcgan64 45.9), recall 0.25, coverage 0.85, face rate 98.3 % (real faces
        98.3 %), after 169 kimg of CelebA, 2026-11-26. After 500 kimg: fd5k_lite0 10.0, recall 0.38, coverage 0.91.
        At 128 px it made the bundled generator. Metrics: docs/background/metrics.md.

What it does: among the recipes that reproduce a tutorial, balanced64 gave the best faces for the images seen.
They are an upsampling generator with BatchNorm and a max-pooling discriminator without normalization. But they are slow
on a CPU, and their samples lack variety. This recipe makes them smaller, lets the latent control every layer of the
generator, and keeps the two networks balanced by regularization instead of skipped steps.

The generator, compared with balanced64:
- It has a quarter of the channels at full resolution, but as many at 8x8, where they cost little.
- A residual block precedes the first two upsamplings.
- The latent sets scale and shift of every BatchNorm (self-modulation, arXiv:1810.01365), not only the first layer's
  input. This added variety: men with short hair, profiles, hats and glasses.

The discriminator, compared with balanced64:
- It has 3x3 kernels after the first layer, and one layer more.
- Minibatch standard deviation lets it detect a lack of variety (arXiv:1710.10196, section 3).
- Its wide linear layer has a quarter of the units. In small batches, the optimizer step of such a layer takes longer
  than its forward and backward pass.

Training:
- The loss is non-saturating, with R1 (arXiv:1801.04406). R1 needs second derivatives, which are slow, so it is computed
  on half of every fourth batch.
- Adam has no momentum (beta1 = 0). Its learning rate of 8e-4 falls to a tenth over the last 30 % of the budget.
- The discriminator has a dropout rate of 5 %, and of 30 % in its wide layer.

With --condition it is conditional: labels are concatenated to the latent, and the discriminator adds a projection for
each label to its logit (arXiv:1802.05637). docs/research/experiments.md lists all trials, including failed ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import nn
from torch.optim import Adam

from facesmith.gan.augment import COLOR_AND_TRANSLATION
from facesmith.gan.contracts import Knobs, Objective, Player, Turn
from facesmith.gan.losses import NonSaturating
from facesmith.gan.recipe import Conditional, periodic_steps, recipe, require_power_of_two
from facesmith.gan.recipe_options import option
from facesmith.nets import modulated

FINAL_LR = 0.1  # the learning rate at the end of the budget, as a share of the initial one


@recipe("quick")
@dataclass(frozen=True, kw_only=True)
class Quick(Conditional):
    source: ClassVar[str] = "Facesmith"
    resolutions: ClassVar[tuple[int, ...]] = (64, 128)
    # Half the channels: an image of 128 px takes twice as long as one of 64 px, not four times. The filter removes
    # stripes of 2 px, which real faces lack. R1 costs less on 4 images. The longer training needs augmentation.
    large_images: ClassVar[Mapping[str, Any]] = {
        "width": 16,
        "smooth_output": True,
        "gamma": 0.2,
        "penalty_batch": 4,
        "augment": 0.3,
    }
    # With a few hundred faces, a pretrained discriminator memorizes them within minutes unless it is regularized.
    few_faces: ClassVar[Mapping[str, Any]] = {"dropout": 0.2, "hidden_dropout": 0.5, "lr": 2e-4, "lr_d": 4e-4}

    resolution: int = option(64, "height and width of the images, a power of two", at_least=16, at_most=256)
    batch_size: int = option(16, "images per batch", at_least=1, at_most=4096)
    z_dim: int = option(64, "dimensions of the latent", at_least=1, at_most=4096)
    width: int = option(
        32, "generator: channels at full resolution, doubled at each lower one", at_least=1, at_most=512
    )
    max_channels: int = option(128, "generator: largest number of channels of a layer", at_least=1, at_most=2048)
    max_channels_d: int = option(256, "discriminator: largest number of channels of a layer", at_least=8, at_most=256)
    hidden: int = option(256, "discriminator: units of its wide layer", at_least=1, at_most=8192)
    dropout: float = option(0.05, "discriminator: spatial dropout rate", at_least=0, at_most=0.9)
    hidden_dropout: float = option(0.3, "discriminator: dropout rate of its wide layer", at_least=0, at_most=0.9)
    lr: float = option(8e-4, "learning rate of the generator", at_least=0, at_most=1)
    lr_d: float = option(8e-4, "learning rate of the discriminator", at_least=0, at_most=1)
    gamma: float = option(0.1, "weight of R1; 0 turns it off", at_least=0, at_most=1e4)
    penalty_every: int = option(4, "compute R1 in every n-th step", at_least=1, at_most=1000)
    penalty_batch: int = option(8, "number of images of a batch on which R1 is computed", at_least=1, at_most=4096)
    augment: float = option(
        0.0,
        "final probability of each augmentation (color, translation), which rises linearly from 0",
        at_least=0,
        at_most=1,
    )
    smooth_output: bool = option(False, "filter the generator's output, so that it has no stripes of 2 px")
    beta2: float = option(0.99, "Adam's beta2 (beta1 is 0)", at_least=0, at_most=0.99999)
    decay: float = option(
        0.3, "final fraction of the budget, over which learning rates fall to a tenth", at_least=0, at_most=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_power_of_two(self)

    def networks(self) -> dict[str, nn.Module]:
        G = modulated.Generator(
            z_dim=self.z_dim,
            width=self.width,
            resolution=self.resolution,
            channels=self.channels,
            label_dim=len(self.condition),
            max_channels=self.max_channels,
            smooth_output=self.smooth_output,
        )
        D = modulated.Discriminator(
            resolution=self.resolution,
            channels=self.channels,
            dropout=self.dropout,
            hidden=self.hidden,
            label_dim=len(self.condition),
            hidden_dropout=self.hidden_dropout,
            max_channels=self.max_channels_d,
        )
        return {"G": G, "D": D}

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, betas=(0.0, self.beta2), fused=True)
        return {"D": Player(("D",), adam), "G": Player(("G",), adam)}

    def objective(self) -> Objective:
        return NonSaturating(
            augment=COLOR_AND_TRANSLATION if self.augment else None,
            gamma=self.gamma,
            penalty_every=self.penalty_every,
            penalty_batch=self.penalty_batch,
        )

    def turns(self, step: int) -> tuple[Turn, ...]:
        return (Turn(("D", "G"), n_real=self.batch_size, n_fake=self.batch_size),)

    def knobs(self, progress: float) -> Knobs:
        # Constant until the final fraction `decay` of the budget, then linear down to FINAL_LR.
        remaining = min(1.0, (1 - progress) / self.decay) if self.decay else 1.0
        scale = FINAL_LR + (1 - FINAL_LR) * remaining
        return Knobs(lr={"D": self.lr_d * scale, "G": self.lr * scale}, augment=self.augment * progress)

    def representative_steps(self) -> Mapping[int, float]:
        return periodic_steps(self.penalty_every if self.gamma else 1)

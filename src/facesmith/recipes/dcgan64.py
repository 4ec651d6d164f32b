"""The DCGAN of the tutorials at 64x64, its faults mended.

Paper:  Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
        Networks", arXiv:1511.06434.
Text:   "DCGAN - Generate Faces" (dcgan-generate-faces-64), PyTorch on CelebA, 50 epochs.
Needs:  64x64 faces, or of another power of two with --set resolution=N.
Run:    facesmith train dcgan64 --data faces --out runs/first
Cost:   65 faces a second on one thread, the other core busy; the result took 59 minutes.
Result: fd5k_lite0 45.9 (real faces 3.1), face rate 98.3% (98.3%), after 229 kimg of CelebA;
        docs/research/recipes-compared.md.

What it does: the architecture that made GANs stable. A generator of transposed convolutions with BatchNorm and ReLU
turns 100 normal numbers into a face, a critic of strided convolutions with BatchNorm and leaky ReLU says how real it
is; cross-entropies for both, Adam at 2e-4 with a momentum of .5, one turn each on batches of 64.

Faults of the text, and what stands here instead:
- Weights are drawn with standard deviation .2 where text and paper say .02, and BatchNorm's scale is centred on 0,
  which silences its layer at the start: N(0, .02), and N(1, .02) for BatchNorm.
- The latents have the full batch size even when the last batch of real faces is shorter: here a batch is always full.
- Sigmoid and BCELoss lose precision at confident answers, which the text itself warns of: cross-entropy on logits.
- The text opens with a linear layer reshaped to 4x4, the code with a transposed convolution of a 1x1 picture. Both
  multiply z by one matrix; the code's form is kept, and with it the parameter counts.
- The recap asks for label smoothing, the code has none: `label_smoothing`, 0 unless set; the text tells of .1.
- The data loader is called `celeb_loader` in one place and `pokemon_loader` in the next, and TensorBoard's pictures
  are stretched to their own range: 32 real and 32 generated faces in TensorBoard at every save, as they are.
- Samples are drawn in training mode, so they depend on one another: an averaged generator in evaluation mode here,
  its BatchNorm statistics re-estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import nn
from torch.optim import Adam

from facesmith.gan.contracts import Knobs, Objective, Player, Turn
from facesmith.gan.losses import NonSaturating
from facesmith.gan.recipe import Recipe, recipe, require_power_of_two
from facesmith.gan.recipe_options import option
from facesmith.nets import dcgan


@recipe("dcgan64")
@dataclass(frozen=True, kw_only=True)
class Dcgan64(Recipe):
    source: ClassVar[str] = "DCGAN - Generate Faces; Radford et al. 2016"

    z_dim: int = option(100, "numbers in a latent", at_least=1, at_most=4096)
    width: int = option(64, "channels at half the resolution; 8 times as many at 4x4", at_least=1, at_most=512)
    label_smoothing: float = option(0.0, "real faces are to be judged 1 less this much", at_least=0, at_most=0.5)
    lr: float = option(2e-4, "learning rate of both players", at_least=0, at_most=1)
    beta1: float = option(0.5, "Adam's momentum", at_least=0, at_most=0.9999)
    beta2: float = option(0.999, "Adam's memory of squared gradients", at_least=0, at_most=0.99999)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_power_of_two(self)

    def networks(self) -> dict[str, nn.Module]:
        return {
            "G": dcgan.Generator(self.z_dim, self.width, self.resolution, self.channels),
            "D": dcgan.Discriminator(self.width, self.resolution, self.channels),
        }

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, betas=(self.beta1, self.beta2), fused=True)
        return {"D": Player(("D",), adam), "G": Player(("G",), adam)}

    def objective(self) -> Objective:
        return NonSaturating(self.label_smoothing)

    def turns(self, step: int) -> tuple[Turn, ...]:
        return (Turn(("D", "G"), n_real=self.batch_size, n_fake=self.batch_size),)

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr, "G": self.lr})

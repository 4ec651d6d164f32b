"""The grey DCGAN of "Face synthesis with GANs in PyTorch": a small two-way critic, pretrained, lied to now and then.

Text:   "Face synthesis with GANs in PyTorch (and Keras)", N. Prabhu, 30 July 2020 (face-synthesis-gray-dcgan), on
        11,000 faces that MTCNN cut out of Flickr pictures; 100 epochs of 500 steps, about 3 hours on an RTX 2060S.
Needs:  grey 64x64 faces; colour ones are made grey.
Run:    facesmith train gray-dcgan64 --data faces --out runs/gray --batch 16 --set width=32 --set critic_turns=1
            --set lr=5e-4 --set pretraining_batch=125
Cost:   99 faces a second on one thread, the other core busy; the result took 17 minutes.
Result: fd2k_lite0 149.7 (real faces 3.7), face rate 59.7% (97.0%), after 100 kimg of grey CelebA;
        docs/research/recipes-compared.md.

What it does: the critic is pretrained on 10 epochs of 5 batches (500 real, 500 fake). Then a step is five critic
turns of 64 + 64 and one generator turn of 128, faces drawn with replacement; in one of ten critic batches the labels
are flipped; gradients are clipped to a norm of .01; RMSprop at 5e-5. Every 500 steps ("an epoch") GAN accuracy is
taken: the share of 50 fakes that the critic calls fake; the first five of them are kept in the run's folder `shown`.
The text's snapshots every fifth epoch are --snapshots 20 --save-every 800: an epoch of its values shows 160 kimg.
The text's values take hours on a GPU: 70 of its 50,000 generator steps gave stripes. The run above has a narrower
generator, a quarter of the batch and one critic turn to one, and so 90 times as many generator steps in half an hour on
a CPU, at ten times the rate.

Faults of the text, and what stands here instead:
- `n_critics` and `update_freq` are one number by two names, and the constructor uses the one it isn't given.
- The GAN's optimizer also holds the critic's parameters: here each player holds its own.
- The critic's batches do not detach the fakes, so its steps leave gradients in the generator, and the critic is frozen
  and thawed by hand: the trainer freezes whoever isn't playing.
- The text says that gradients are clipped to ±.01, the code clips their norm: the norm, as in the code that ran.
- The critic's first convolution strides over every other pixel, with four kernels, so pixels that alternate look to it
  like brightness: a checkerboard of ±.1 moves its logit by a fortieth of what noise of that size does. The generator's
  transposed convolutions begin with one (nine tenths of a new one's contrast), and nobody tells it: all of the text's
  own results wear it. `smooth` takes it away behind the last convolution; false is as the text has it.
- The critic's dropout stays on when the GAN is tested: GAN accuracy is taken with dropout off.
- Face crops ignore boxes that begin left of or above the photo (negative slices: an empty or a wrong crop), take
  the first face rather than the best, squeeze any box into a square, and are written in colour where the text says
  grey: `facesmith extract` aligns, and pads.
- Two classes by log-softmax: the critic gives the difference of its two logits, which is all that log-softmax depends
  on.
- The arithmetic calls a torch method on a numpy array: `facesmith mix` takes seeds.
- Samples come from an average of the generator's weights.
The generator's last two slopes are leaky_relu's default of .01, the others .2, surely by accident; kept, as the text's
result rests on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import RMSprop

from facesmith.errors import BadOption
from facesmith.gan.contracts import Batch, Knobs, Loss, Objective, Player, Turn
from facesmith.gan.losses import NonSaturating
from facesmith.gan.recipe import Recipe, recipe
from facesmith.gan.recipe_options import option
from facesmith.nets import gray

EPOCH_STEPS, ACCURACY_FAKES, EPOCH_SAMPLES = 500, 50, 5


class FlippedLabels(NonSaturating):
    """Cross-entropy over real and fake together, with real and fake exchanged in some of the critic's batches.

    Args:
        flipped: share of the critic's batches, once it is pretrained.
        pretraining: steps of it, from behind which epochs are counted.
    """

    def __init__(self, flipped: float, pretraining: int) -> None:
        super().__init__()
        self.flipped, self.pretraining = flipped, pretraining

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, batch: Batch) -> Tensor:
        if batch.phase == "train" and float(torch.rand(())) < self.flipped:
            real_logits, fake_logits = fake_logits, real_logits
        return 0.5 * super().discriminator_loss(real_logits, fake_logits, batch)  # the text's mean goes over both kinds

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        loss = super().loss(player, nets, batch)
        G, D = nets["G"], nets["D"]
        assert isinstance(G, gray.Generator)
        assert isinstance(D, gray.Discriminator)
        if player == "G" and (batch.step - self.pretraining + 1) % EPOCH_STEPS == 0:
            z = G.draw_z(ACCURACY_FAKES, torch.default_generator).to(batch.z.device)
            fakes = G(z).detach()
            loss.terms["G/gan_accuracy"] = gan_accuracy(D, fakes)
            loss.terms["G/epoch"] = fakes[:EPOCH_SAMPLES]
        return loss


@torch.no_grad()
def gan_accuracy(D: gray.Discriminator, fakes: Tensor) -> Tensor:
    """The share of fakes that the critic, its dropout off, calls fake."""
    D.eval()
    share: Tensor = (D(fakes) <= 0).float().mean()
    D.train()
    return share


@recipe("gray-dcgan64")
@dataclass(frozen=True, kw_only=True)
class GrayDcgan64(Recipe):
    source: ClassVar[str] = "Face synthesis with GANs in PyTorch (N. Prabhu 2020)"

    channels: int = option(1, "1 for grey, as the text has it; 3 for colour", at_least=1, at_most=3)
    batch_size: int = option(64, "real faces in a critic's batch, beside as many fakes", at_least=1, at_most=4096)
    z_dim: int = option(200, "numbers in a latent", at_least=1, at_most=4096)
    width: int = option(128, "channels of the generator's last maps", at_least=8, at_most=1024)
    prior: gray.Prior = option("normal", "what latents are drawn from: normal, uniform or poisson, each of variance 1")
    smooth: bool = option(True, "keep the lattice of single pixels, which this critic can't see, out of the pictures")
    dropout: float = option(0.2, "share of the critic's maps silenced", at_least=0, at_most=0.9)
    d_steps: int = option(5, "critic turns to one of the generator", at_least=1, at_most=100)
    pretraining: int = option(50, "critic batches before all else: 10 epochs of 5", at_least=0, at_most=100_000)
    pretraining_batch: int = option(500, "real faces in each of them, beside as many fakes", at_least=1, at_most=4096)
    flipped: float = option(0.1, "share of the critic's batches with labels exchanged", at_least=0, at_most=1)
    clip_norm: float = option(0.01, "largest norm of a gradient", at_least=1e-9, at_most=1e9)
    lr: float = option(5e-5, "learning rate of both players", at_least=0, at_most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolution != 64:
            raise BadOption(f"{self.name}: resolution={self.resolution}; the text's networks are made for 64.")

    def networks(self) -> dict[str, nn.Module]:
        return {
            "G": gray.Generator(self.z_dim, self.width, self.prior, self.channels, self.smooth),
            "D": gray.Discriminator(self.channels, self.dropout),
        }

    def players(self) -> dict[str, Player]:
        rmsprop = partial(RMSprop, foreach=True)
        return {"D": Player(("D",), rmsprop, self.clip_norm), "G": Player(("G",), rmsprop, self.clip_norm)}

    def objective(self) -> Objective:
        return FlippedLabels(self.flipped, self.pretraining)

    def turns(self, step: int) -> tuple[Turn, ...]:
        if step < self.pretraining:
            batch = self.pretraining_batch
            return (Turn(("D",), batch, batch, phase="pretrain", replacement=True),)
        discriminator = Turn(("D",), self.batch_size, self.batch_size, replacement=True)
        return (discriminator,) * self.d_steps + (Turn(("G",), 0, 2 * self.batch_size),)

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr, "G": self.lr})

"""The gray DCGAN of "Face synthesis with GANs in PyTorch": a pretrained discriminator with occasionally flipped labels.

Source: "Face synthesis with GANs in PyTorch (and Keras)", N. Prabhu, 30 July 2020 (face-synthesis-gray-dcgan), on
        11,000 faces that MTCNN cropped from Flickr photos; 100 epochs of 500 steps, about 3 hours on an RTX 2060S.
Needs:  gray 64x64 faces; colors are converted.
Run:    facesmith train gray-dcgan64 --data faces --out runs/gray --batch 16 --set width=32 --set d_steps=1
            --set lr=5e-4 --set pretraining_batch=125
Cost:   with the defaults 154 images/s on two idle CPU cores; 17 minutes of one core for the result, with this command.
Result: fd2k_lite0 149.7 (real faces 3.7), face rate 59.7% (97.0%), after 100 kimg of gray CelebA, 2026-11-22.

What it does: the discriminator is pretrained on 10 epochs of 5 batches (500 real images, 500 fakes). Each step then
has five discriminator turns of 64 + 64 images, drawn with replacement, and one generator turn of 128. Labels are
flipped in one of ten discriminator batches. Gradients are clipped to a norm of 0.01; RMSprop at 5e-5. An epoch is 500
steps, with the defaults 160 kimg; --epochs counts them. After each epoch, GAN accuracy is measured: the share of 50
fakes that the discriminator detects. The run folder `shown` gets five of these fakes. With --as-in-text, the lines of
the tutorial are printed, and all networks are kept after epochs 1, 6, ..., 96. The defaults take hours on a GPU: 70 of
the 50,000 generator steps gave stripes. The command above has a narrower generator, a quarter of the batch, one
discriminator step per generator step and ten times the learning rate. It makes 90 times as many generator steps in half
an hour on a CPU.

Faults of the tutorial, and what this recipe does instead:
- `n_critics` and `update_freq` are two names for one number, and the constructor uses the one that it is not given.
- The GAN's optimizer also holds the discriminator's parameters. Here each player has its own.
- Discriminator steps don't detach the fakes, so they leave gradients in the generator, and the discriminator is frozen
  by hand. Here the trainer freezes every network that the current player does not train.
- The tutorial says that gradients are clipped to ±0.01; its code clips their norm. Here: the norm.
- Its results show a checkerboard pattern. The discriminator's first convolution has a stride of 2 and four kernels, so
  it hardly detects the pattern: a checkerboard of ±0.1 changes its logit by a fortieth of what noise of that size does.
  The pattern comes from the generator's transposed convolutions, where it is nine tenths of the initial contrast. Here:
  a blur after the last convolution; `smooth=false` turns it off.
- The discriminator's dropout stays on when GAN accuracy is measured. Here it is off; `accuracy_dropout=true` is the
  tutorial's way.
- The face crops ignore boxes that begin outside the photo, take the first face instead of the best, squeeze every box
  to a square, and are saved in color. `facesmith extract` aligns and pads faces.
- Two classes with log-softmax. Here: the difference of the two logits, on which log-softmax depends alone.
- Its latent arithmetic calls a torch method on a numpy array. `facesmith mix` takes seeds.
- Samples come from the current weights. Here: from their moving average.
- The generator's last two leaky ReLUs have the default slope of 0.01, the others 0.2, probably by accident. Here:
  unchanged, since the tutorial's result depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from facesmith.gan.text import NOT_AVAILABLE, SAME, Difference, Text
from facesmith.nets import gray

EPOCH_STEPS = 500
PRETRAINING_EPOCH_STEPS = 5
PRINTED_STEPS = 100  # steps from one printed line of losses to the next
ACCURACY_FAKES = 50  # for GAN accuracy, once per epoch
EPOCH_SAMPLES = 5  # of these, saved as images


class FlippedLabels(NonSaturating):
    """The non-saturating GAN loss with labels flipped in some discriminator batches, and GAN accuracy in the log.

    Args:
        flipped: share of discriminator batches with flipped labels, after pretraining.
        pretraining: number of pretraining steps; epochs are counted from their end.
        accuracy_dropout: leave dropout on while GAN accuracy is measured.
    """

    def __init__(self, flipped: float, pretraining: int, accuracy_dropout: bool) -> None:
        super().__init__()
        self.flipped, self.pretraining, self.accuracy_dropout = flipped, pretraining, accuracy_dropout

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, batch: Batch) -> Tensor:
        if batch.phase == "train" and float(torch.rand(())) < self.flipped:
            real_logits, fake_logits = fake_logits, real_logits
        # The tutorial averages over real and fake.
        return 0.5 * super().discriminator_loss(real_logits, fake_logits, batch)

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        loss = super().loss(player, nets, batch)
        G, D = nets["G"], nets["D"]
        assert isinstance(G, gray.Generator)
        assert isinstance(D, gray.Discriminator)
        if player == "G" and (batch.step - self.pretraining + 1) % EPOCH_STEPS == 0:
            z = G.draw_z(ACCURACY_FAKES, torch.default_generator).to(batch.z.device)
            fakes = G(z).detach()
            loss.terms["G/gan_accuracy"] = gan_accuracy(D, fakes, dropout=self.accuracy_dropout)
            loss.terms["G/epoch"] = fakes[:EPOCH_SAMPLES]
        return loss


@torch.no_grad()
def gan_accuracy(D: gray.Discriminator, fakes: Tensor, *, dropout: bool) -> Tensor:
    """The share of fakes that the discriminator detects."""
    D.train(dropout)
    share: Tensor = (D(fakes) <= 0).float().mean()
    D.train()
    return share


@recipe("gray-dcgan64")
@dataclass(frozen=True, kw_only=True)
class GrayDcgan64(Recipe):
    source: ClassVar[str] = "Face synthesis with GANs in PyTorch (N. Prabhu 2020)"
    text: ClassVar[Text | None] = Text(
        title="Face synthesis with GANs in PyTorch",
        hyperparameters={"smooth": False, "accuracy_dropout": True},
        epochs=100,
        save_epochs=1,
        keep_epochs=5,
        differences=(
            Difference("a checkerboard pattern in the faces", "it is blurred away", "--set smooth=false"),
            Difference("GAN accuracy with dropout on", "with dropout off", "--set accuracy_dropout=true"),
            Difference(
                "the first face of a photo, squeezed to a square", "extract: the main face, aligned", NOT_AVAILABLE
            ),
            Difference("two classes with log-softmax", "the difference of their logits", SAME),
        ),
    )

    channels: int = option(1, "1 for gray, as in the tutorial; 3 for color", at_least=1, at_most=3)
    batch_size: int = option(64, "real images in a discriminator batch, with as many fakes", at_least=1, at_most=4096)
    z_dim: int = option(200, "dimensions of the latent", at_least=1, at_most=4096)
    width: int = option(128, "channels of the generator's last layers", at_least=8, at_most=1024)
    prior: gray.Prior = option("normal", "distribution of latents: normal, uniform or poisson, all with variance 1")
    smooth: bool = option(True, "blur away the checkerboard pattern, which this discriminator can't detect")
    dropout: float = option(0.2, "spatial dropout rate of the discriminator", at_least=0, at_most=0.9)
    d_steps: int = option(5, "discriminator steps per generator step", at_least=1, at_most=100)
    pretraining: int = option(50, "discriminator batches of pretraining: 10 epochs of 5", at_least=0, at_most=100_000)
    pretraining_batch: int = option(
        500, "real images in a pretraining batch, with as many fakes", at_least=1, at_most=4096
    )
    flipped: float = option(0.1, "share of discriminator batches with flipped labels", at_least=0, at_most=1)
    accuracy_dropout: bool = option(False, "leave dropout on while GAN accuracy is measured, as in the tutorial")
    clip_norm: float = option(0.01, "largest norm of the gradient", at_least=1e-9, at_most=1e9)
    lr: float = option(5e-5, "learning rate of both networks", at_least=0, at_most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolution != 64:
            raise BadOption(f"{self.name}: resolution={self.resolution}. Its networks are made for 64.")

    def networks(self) -> dict[str, nn.Module]:
        return {
            "G": gray.Generator(self.z_dim, self.width, self.prior, self.channels, self.smooth),
            "D": gray.Discriminator(self.channels, self.dropout),
        }

    def players(self) -> dict[str, Player]:
        rmsprop = partial(RMSprop, foreach=True)
        return {"D": Player(("D",), rmsprop, self.clip_norm), "G": Player(("G",), rmsprop, self.clip_norm)}

    def objective(self) -> Objective:
        return FlippedLabels(self.flipped, self.pretraining, self.accuracy_dropout)

    def turns(self, step: int) -> tuple[Turn, ...]:
        if step < self.pretraining:
            count = self.pretraining_batch
            return (Turn(("D",), count, count, phase="pretrain", replacement=True),)
        d_turn = Turn(("D",), self.batch_size, self.batch_size, replacement=True)
        g_turn = Turn(("G",), 0, 2 * self.batch_size)
        return (*[d_turn] * self.d_steps, g_turn)

    def epoch_images(self, face_count: int) -> int:
        return EPOCH_STEPS * self.d_steps * self.batch_size

    def console_lines(
        self, step: int, recent: Sequence[Mapping[str, Tensor]], face_count: int, epochs: float
    ) -> Iterator[str]:
        if step < self.pretraining:
            if step == 0:
                yield "[INFO] Pretraining discriminator..."
            epoch, in_epoch = divmod(step, PRETRAINING_EPOCH_STEPS)
            if in_epoch == PRETRAINING_EPOCH_STEPS - 1 or step == self.pretraining - 1:
                losses = torch.stack([terms["D/loss"] for terms in list(recent)[-in_epoch - 1 :]])
                yield f"Epoch {epoch + 1} - Loss {float(losses.mean()):.4f}"
            return
        epoch, in_epoch = divmod(step - self.pretraining, EPOCH_STEPS)
        terms = recent[-1]
        if in_epoch == 0:
            yield f"Epoch {epoch + 1}/{epochs:g}"
            yield "-" * 38
        if in_epoch % PRINTED_STEPS == 0:
            d_loss, g_loss = (float(terms[name]) for name in ("D/loss", "G/loss"))
            yield f"Step {in_epoch:3d} - Disc loss {d_loss:.4f} - GAN loss {g_loss:.4f}"
        if "G/gan_accuracy" in terms:
            yield f"[TESTING] GAN accuracy: {float(terms['G/gan_accuracy']):.4f}"
            yield "=" * 36

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr, "G": self.lr})

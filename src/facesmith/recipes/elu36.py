"""A 36x36 GAN with ELUs: a slow discriminator, trained by SGD, and a fast generator, trained by Adam.

Source: "Generative adversarial nets 101", a notebook after Lasagne's recipes (faces-gan-notebook-36), on LFW cropped to
        its center and downsampled to 36x36; about 15,000 iterations of five discriminator steps and one generator step
        on 100 faces.
Needs:  36x36 faces; larger ones are downsampled. facesmith extract lfw.zip --out faces --crop 90 --size 36 crops LFW as
        the tutorial does.
Run:    facesmith train elu36 --data faces --out runs/elu --batch 20 --minutes 40
Cost:   with the defaults 536 images/s on two idle CPU cores; 32 minutes of one core for the result, with --batch 20.
Result: fd2k_lite0 94.4 (real faces 5.1), face rate 31.2% (61.0%), after 341 kimg of LFW cropped to 36x36, 2026-11-22.

What it does: the discriminator is a classifier with two classes, log-softmax, and a penalty on the mean square of its
output weights (`output_penalty`). Training uses SGD at 1e-3 for the discriminator, Adam at 1e-4 for the generator, five
discriminator steps per generator step, batches of 100 drawn with replacement, and Glorot's initialization. With these
defaults a generator step needs 500 faces: after 330 steps (165 kimg) on LFW, samples were colored blots. `--batch 20`
makes five times as many steps in the same time and showed faces at 280 kimg. As in the tutorial, every checkpoint shows
a histogram of D(x) and D(G(z)).

Faults of the tutorial, and what this recipe does instead:
- All five discriminator steps and the generator step see the same faces and the same noise. Here each step has its
  own; `shared_batch=true` is the notebook's way.
- The generator's output is unbounded, while its training images lie in 0 to 1. Here: tanh; `output=linear` is the
  notebook's way.
- Samples are clipped for display only if they vary at all. Here there is nothing to clip.
- It calls a single iteration an "epoch"; `--epochs` counts the same. Its code says 10,000, its last comment about
  15,000. Here: 15,000 with --as-in-text; add --epochs 10000 for the number in its code.
- Keras adds 1e-7 to the denominator of Adam, PyTorch 1e-8. Here: 1e-7.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor, nn
from torch.optim import SGD, Adam

from facesmith.errors import BadOption
from facesmith.gan.contracts import Batch, Knobs, Loss, Objective, Player, Turn
from facesmith.gan.losses import NonSaturating
from facesmith.gan.recipe import Recipe, recipe
from facesmith.gan.recipe_options import option
from facesmith.gan.text import NOT_AVAILABLE, SAME, Difference, Text
from facesmith.nets import elu


class PenalizedOutput(NonSaturating):
    """The non-saturating GAN loss, with a penalty on the mean square of the discriminator's output weights.

    Args:
        output_penalty: the weight of the penalty; 1 in the notebook.
    """

    def __init__(self, output_penalty: float) -> None:
        super().__init__()
        self.output_penalty = output_penalty

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        loss = super().loss(player, nets, batch)
        if player == "D":
            D = nets["D"]
            assert isinstance(D, elu.Discriminator)
            penalty = D.head.weight.square().mean()
            loss.total = loss.total + self.output_penalty * penalty
            loss.terms["D/l2"] = penalty
        return loss


@recipe("elu36")
@dataclass(frozen=True, kw_only=True)
class Elu36(Recipe):
    source: ClassVar[str] = "Generative adversarial nets 101, a 36x36 notebook"
    text: ClassVar[Text | None] = Text(
        title="Generative adversarial nets 101",
        hyperparameters={"shared_batch": True, "output": "linear"},
        epochs=15_000,
        save_epochs=100,
        differences=(
            Difference(
                "the same faces and latents in all steps of an iteration", "others in each", "--set shared_batch=true"
            ),
            Difference("unbounded output, for pixels from 0 to 1", "tanh", "--set output=linear"),
            Difference(
                "10,000 iterations in its code, about 15,000 in its last comment",
                "15,000 with --as-in-text",
                "--epochs 10000",
            ),
            Difference("all photos of LFW", "extract leaves out near-duplicates and blurred photos", NOT_AVAILABLE),
            Difference("two classes with log-softmax", "the difference of their logits", SAME),
        ),
    )

    resolution: int = option(36, "height and width of the images in pixels", at_least=36, at_most=36)
    batch_size: int = option(100, "images per batch", at_least=1, at_most=4096)
    z_dim: int = option(256, "dimensions of the latent", at_least=1, at_most=4096)
    width: int = option(
        32, "channels of the generator's last and the discriminator's first layer", at_least=1, at_most=512
    )
    d_steps: int = option(5, "discriminator steps per generator step", at_least=1, at_most=100)
    lr_d: float = option(1e-3, "learning rate of the discriminator (SGD)", at_least=0, at_most=1)
    output_penalty: float = option(
        1.0, "weight of the penalty on the discriminator's output weights; 0 for none", at_least=0, at_most=1e6
    )
    shared_batch: bool = option(False, "all steps of an iteration use the same faces and latents, as in the notebook")
    output: elu.Output = option("tanh", "tanh, or linear: unbounded, trained on pixels from 0 to 1, as in the notebook")
    lr_g: float = option(1e-4, "learning rate of the generator (Adam)", at_least=0, at_most=1)
    eps: float = option(1e-7, "Adam's epsilon; 1e-7 is the default of Keras", at_least=0, at_most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolution != 36:
            raise BadOption(f"{self.name}: resolution={self.resolution}. Its networks are made for 36.")

    def networks(self) -> dict[str, nn.Module]:
        return {
            "G": elu.Generator(self.z_dim, self.width, self.channels, self.output),
            "D": elu.Discriminator(self.width, self.channels, unit_range=self.output == "linear"),
        }

    def players(self) -> dict[str, Player]:
        adam = partial(Adam, eps=self.eps, fused=True)
        return {"D": Player(("D",), partial(SGD, fused=True)), "G": Player(("G",), adam)}

    def objective(self) -> Objective:
        return PenalizedOutput(self.output_penalty)

    def epoch_images(self, face_count: int) -> int:
        return (1 if self.shared_batch else self.d_steps) * self.batch_size  # one iteration, as the tutorial counts

    def console_lines(
        self, step: int, recent: Sequence[Mapping[str, Tensor]], face_count: int, epochs: float
    ) -> Iterator[str]:
        yield f"Epoch {step:05d}"

    def turns(self, step: int) -> tuple[Turn, ...]:
        if self.shared_batch:
            players = (*["D"] * self.d_steps, "G")
            return (Turn(players, self.batch_size, self.batch_size, replacement=True),)
        d_turn = Turn(("D",), self.batch_size, self.batch_size, replacement=True)
        g_turn = Turn(("G",), 0, self.batch_size)
        return (*[d_turn] * self.d_steps, g_turn)

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr_d, "G": self.lr_g})

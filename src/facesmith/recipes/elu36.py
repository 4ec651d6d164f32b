"""The ELU networks of the 36x36 notebook: a slow critic by SGD, held down at its output, a fast generator by Adam.

Text:   "Generative adversarial nets 101", a notebook after Lasagne's recipes (faces-gan-notebook-36), on LFW cut to its
        middle and reduced to 36x36; about 15,000 iterations of five critic steps and one generator step on 100 faces.
Needs:  36x36 faces: facesmith extract lfw.zip --out faces --crop 90 --size 36 cuts LFW as the text does; others are
        reduced.
Run:    facesmith train elu36 --data faces --out runs/elu --batch 20 --minutes 40
Cost:   178 faces a second on one thread, the other core busy; the result took 32 minutes.
Result: fd2k_lite0 94.4 (real faces 5.1), face rate 31.2% (61.0%), after 341 kimg of LFW cut to 36 px;
        docs/research/recipes-compared.md.

What it does: a two-way log-softmax critic whose output weights are held down by their mean square; critic SGD at
1e-3, generator Adam at 1e-4, five critic steps to one, batches of 100 drawn with replacement, Glorot's
initialisation. The histogram of D(x) and D(G(z)) is drawn at every save, of 1,000 each at the end of the budget,
before that of as many as cost little. A generator step costs 500 faces so: 330 of them, 165 kimg, gave coloured blots
on LFW. With batches of 20 there are five times as many steps in the same time, and faces at 280 kimg.

Faults of the text, and what stands here instead:
- The critic's five steps see the same faces and the same noise five times: here each has faces and noise of its own.
- The generator's output is unbounded, while its faces lie in 0 to 1, and it is clipped for display: tanh here.
- The samples shown are clipped to the data's range only if they vary at all; there is nothing to clip here.
- A count of "epochs" that are single iterations: kimg here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import nn
from torch.optim import SGD, Adam

from facesmith.errors import BadOption
from facesmith.gan.contracts import Batch, Knobs, Loss, Objective, Player, Turn
from facesmith.gan.losses import NonSaturating
from facesmith.gan.recipe import Recipe, recipe
from facesmith.gan.recipe_options import option
from facesmith.nets import elu


class WithOutputPenalty(NonSaturating):
    """Cross-entropy, and for the critic the mean square of its output layer's weights."""

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        loss = super().loss(player, nets, batch)
        if player == "D":
            D = nets["D"]
            assert isinstance(D, elu.Discriminator)
            held_down = D.head.weight.square().mean()
            loss.total = loss.total + held_down
            loss.terms["D/l2"] = held_down
        return loss


@recipe("elu36")
@dataclass(frozen=True, kw_only=True)
class Elu36(Recipe):
    source: ClassVar[str] = "Generative adversarial nets 101, a 36x36 notebook"

    resolution: int = option(36, "side of the pictures in pixels", at_least=36, at_most=36)
    batch_size: int = option(100, "faces in a batch", at_least=1, at_most=4096)
    z_dim: int = option(256, "numbers in a latent", at_least=1, at_most=4096)
    width: int = option(32, "channels of the generator's last and the critic's first maps", at_least=1, at_most=512)
    d_steps: int = option(5, "critic turns to one of the generator", at_least=1, at_most=100)
    lr_d: float = option(1e-3, "learning rate of the critic, by SGD", at_least=0, at_most=1)
    lr_g: float = option(1e-4, "learning rate of the generator, by Adam", at_least=0, at_most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resolution != 36:
            raise BadOption(f"{self.name}: resolution={self.resolution}; the text's networks are made for 36.")

    def networks(self) -> dict[str, nn.Module]:
        return {
            "G": elu.Generator(self.z_dim, self.width, self.channels),
            "D": elu.Discriminator(self.width, self.channels),
        }

    def players(self) -> dict[str, Player]:
        return {"D": Player(("D",), partial(SGD, fused=True)), "G": Player(("G",), partial(Adam, fused=True))}

    def objective(self) -> Objective:
        return WithOutputPenalty()

    def turns(self, step: int) -> tuple[Turn, ...]:
        discriminator = Turn(("D",), self.batch_size, self.batch_size, replacement=True)
        return (discriminator,) * self.d_steps + (Turn(("G",), 0, self.batch_size),)

    def knobs(self, progress: float) -> Knobs:
        return Knobs(lr={"D": self.lr_d, "G": self.lr_g})

"""All that the trainer, the sampler and the monitor may assume of a recipe's parts.

A recipe names its networks, the players who train them, the objective that tells each player its loss, and the turns
of a step. One contract carries plain GANs (`D` and `G` share a turn), several critic steps (turns for `D` alone, then
for `G`), critic pretraining (turns of the phase "pretrain"), players that wait (`Loss.update`), autoencoders with three
networks (a player "G" that trains the nets "G" and "E"), penalties, growing networks (`Knobs.level`) and conditions
(`labels`: -1 for no, 1 for yes, 0 where it isn't known).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Generator(nn.Module):
    """Faces from latents. Pictures are `[N, channels, resolution, resolution]` in `[-1, 1]`.

    Subclasses implement `synthesis`, and `mapping` where they have a `w` of their own; the default `w` is `z`.

    Attributes:
        spherical: whether `w` lies near a sphere around 0, as normal latents do; walks and sums then keep to it, and
            else to straight lines.
        label_dim: how many labels a conditional generator takes, or 0. They are the last numbers of `w`, and truncation
            leaves them unchanged.
        fits_prior: whether it draws `w` as those of real faces are spread, and wants to be told (`fit_prior`).
    """

    spherical: bool = True
    fits_prior: bool = False
    w_avg: Tensor  # [w_dim]: the mean of `mapping` over many z, towards which psi pulls
    label_shares: Tensor  # [2 ** label_dim], where it has labels: of training faces (`latent/label_shares.py`)

    def __init__(
        self,
        *,
        resolution: int,
        channels: int,
        z_dim: int,
        w_dim: int | None = None,
        num_ws: int = 1,
        label_dim: int = 0,
    ) -> None:
        super().__init__()
        self.resolution, self.channels = resolution, channels
        self.z_dim, self.w_dim, self.num_ws, self.label_dim = z_dim, w_dim or z_dim, num_ws, label_dim
        self.register_buffer("w_avg", torch.zeros(self.w_dim))
        if label_dim:
            self.register_buffer("label_shares", torch.full((2**label_dim,), 0.5**label_dim))

    def draw_z(self, count: int, rng: torch.Generator) -> Tensor:
        """`[count, z_dim]` on the CPU, from the distribution that this generator was made for; by default N(0, 1)."""
        return torch.randn(count, self.z_dim, generator=rng)

    def mapping(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """`w` `[N, w_dim]` of `z` `[N, z_dim]` and labels `[N, label_dim]`; without them as if all were 0."""
        return z

    def fit_prior(self, w: Tensor) -> None:
        """Take note of how `w` `[N, w_dim]` of real faces are spread; called before a model is kept."""

    def synthesis(self, w: Tensor) -> Tensor:
        """Pictures of `w`, `[N, w_dim]` or, one for each layer, `[N, num_ws, w_dim]`."""
        raise NotImplementedError

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.synthesis(self.mapping(z, labels))


class Discriminator(nn.Module):
    """Judges pictures, and whether they are as labelled (`[N, label_dim]`): logits `[N]`, high means real.

    Two-way heads return the difference of their two logits.
    """

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        raise NotImplementedError


class Encoder(nn.Module):
    """Latents of pictures, for recipes that have one: the network "E"."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance `[N, w_dim]` each of q(w|x) for `x` `[N, C, H, W]`; the mean is its latent."""
        raise NotImplementedError


@dataclass(frozen=True)
class Player:
    """Who learns: the networks that it trains, by which optimizer.

    Attributes:
        nets: names among the recipe's networks.
        optimizer: called with the parameters; the learning rate is set before every step from `Knobs.lr`.
        clip_norm: the largest norm of its gradient, or None.
    """

    nets: tuple[str, ...]
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    clip_norm: float | None = None


@dataclass(frozen=True)
class Turn:
    """One batch for these players, one after the other; its fakes are computed once, before the first.

    Attributes:
        players: names among the recipe's players.
        n_real: how many faces are shown; 0 for a player that needs none.
        n_fake: how many latents are drawn.
        phase: the clock stands still in every phase but "train".
        replacement: draw the faces with replacement, rather than all of them before any again.
    """

    players: tuple[str, ...]
    n_real: int
    n_fake: int
    phase: str = "train"
    replacement: bool = False


@dataclass(frozen=True)
class Knobs:
    """All that is scheduled, a pure function of progress.

    Attributes:
        lr: learning rate of each player.
        ema_share: half-life of the averaged networks, as a share of the pictures seen so far. A share, since a fixed
            half-life is too long for a small budget and too short for a large one.
        level: 0 to 1, how far growing networks have faded in.
        values: anything else that the objective wants scheduled.
    """

    lr: Mapping[str, float]
    ema_share: float = 0.05
    level: float = 1.0
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """What the players of a turn see.

    Attributes:
        real: faces `[n_real, C, H, W]` in `[-1, 1]`.
        z: latents `[n_fake, z_dim]`.
        fake: `G(z)`, with a graph only where a player of this turn trains G: a critic detaches it.
        labels: of the real faces `[n_real, label_dim]`, or None.
        fake_labels: those that the fakes were drawn with `[n_fake, label_dim]`, or None.
        knobs: this step's.
        step: counted from 0; penalties that come every few steps look here.
        phase: of the turn.
    """

    real: Tensor
    z: Tensor
    fake: Tensor
    labels: Tensor | None
    knobs: Knobs
    step: int
    phase: str
    fake_labels: Tensor | None = None


@dataclass
class Loss:
    """A player's loss and what a person may want to read of it.

    Attributes:
        total: scalar, to be minimised.
        terms: scalars by name, such as "D/loss", which the monitor averages and draws; or, of a recipe that shows some
            of its own accord, pictures `[N, C, H, W]` by name, which it keeps.
        update: False where the player waits this turn (balancing).
    """

    total: Tensor
    terms: dict[str, Tensor]
    update: bool = True


class Objective(nn.Module, ABC):
    """What each player minimises. Memory between steps lives in buffers, so that it is saved and resumed.

    Attributes:
        real_threshold: a logit above it means "real". 0 where the sigmoid of a logit is a probability, 0.5 for targets
            of 0 and 1, None for Wasserstein losses, where a logit has no meaning of its own.
    """

    real_threshold: ClassVar[float | None] = 0.0

    @abstractmethod
    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        """The loss of one player of this turn. Gradients reach only the networks that the player trains."""


def current_level(nets: nn.ModuleDict) -> float:
    """The level that growing networks have reached, 0 to 1; 0 where no network grows."""
    return max((float(level) for level in _levels(nets)), default=0.0)


def set_level(nets: nn.ModuleDict, level: float) -> None:
    """Set the level of all growing networks, in place. The level is saved with their weights."""
    for buffer in _levels(nets):
        buffer.fill_(level)


def _levels(nets: nn.ModuleDict) -> list[Tensor]:
    """The buffer `level` of every network that has one."""
    return [level for net in nets.values() if isinstance(level := getattr(net, "level", None), Tensor)]

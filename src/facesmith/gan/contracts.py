"""The interface between a recipe and the code that trains, samples and logs it.

A recipe defines networks, players, an objective, turns and knobs:

- A `Player` is an optimizer and the networks that it updates.
- A `Turn` is one batch and the players that each take one optimizer step on it. A training step is a list of turns.
- The `Objective` computes a player's `Loss` on the `Batch` of a turn.
- `Knobs` hold the scheduled values, such as learning rates, for one step.

Common training schemes in these terms:

- Plain GAN: one turn for the players "D" and "G".
- Several discriminator steps per generator step: that many turns for "D", then one turn for "G".
- Discriminator pretraining: turns of the phase "pretrain".
- Balancing: `Loss.update` is False for a player that skips its step.
- Autoencoder: a player "G" that trains the networks "G" and "E".
- Progressive growing: `Knobs.level`.
- Conditional GAN: labels `[N, label_dim]`, each 1 for yes, -1 for no or 0 for unknown.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

Average = Callable[[Tensor], Tensor]  # see `Objective.average`


class Generator(nn.Module):
    """Maps latents to images `[N, channels, resolution, resolution]` in `[-1, 1]`.

    Subclasses implement `synthesis`. Those with an intermediate latent space also implement `mapping`.

    Attributes:
        spherical: whether `w` is roughly normal, so that all `w` have about the same norm. Interpolation and sums then
            keep that norm; otherwise they are linear.
        label_dim: number of labels of a conditional generator, else 0. The labels are the last entries of `w`, and
            truncation leaves them unchanged.
        fits_prior: whether latents are drawn from a distribution that `fit_prior` fits to encoded training faces.
    """

    spherical: bool = True
    fits_prior: bool = False
    w_avg: Tensor  # [w_dim], the mean of `mapping(z)`; truncation pulls towards it
    label_shares: Tensor  # [2 ** label_dim], how often each combination of labels occurs (`latent/label_shares.py`)

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
        """Draw latents `[count, z_dim]` on the CPU from the prior; by default N(0, I)."""
        return torch.randn(count, self.z_dim, generator=rng)

    def mapping(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """`w` `[N, w_dim]` for `z` `[N, z_dim]` and `labels` `[N, label_dim]`; by default `z` itself.

        Without labels, all of them are unknown (0).
        """
        return z

    def fit_prior(self, w: Tensor) -> None:
        """Fit the prior to latents `w` `[N, w_dim]` of real faces, in place."""

    def reset_prior(self) -> None:
        """Draw latents from N(0, I) instead of the prior that `fit_prior` fitted, in place."""

    def synthesis(self, w: Tensor) -> Tensor:
        """Images for `w` `[N, w_dim]`, or `[N, num_ws, w_dim]` with one latent per layer."""
        raise NotImplementedError

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.synthesis(self.mapping(z, labels))


class Discriminator(nn.Module):
    """Maps images, and their labels if it is conditional, to logits `[N]`; high means real.

    A head with two classes returns the difference of its two logits.
    """

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        raise NotImplementedError


class Encoder(nn.Module):
    """Maps images to a distribution of latents, q(w|x). A recipe that has one calls the network "E"."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(w|x), `[N, w_dim]` each, for images `x` `[N, C, H, W]`.

        The mean is the latent of a reconstruction.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Player:
    """An optimizer and the networks that it updates.

    Attributes:
        nets: names of networks of the recipe.
        optimizer: creates the optimizer from the parameters. `Knobs.lr` sets its learning rate before every step.
        clip_norm: largest norm of its gradient, or None for no clipping.
    """

    nets: tuple[str, ...]
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    clip_norm: float | None = None


@dataclass(frozen=True)
class Turn:
    """One batch, and the players that each take one optimizer step on it, in this order.

    The fakes are generated once, before the first player's step.

    Attributes:
        players: names of players of the recipe.
        n_real: number of real images; 0 if no player of this turn needs any.
        n_fake: number of fakes.
        phase: "train", or "pretrain", whose images do not count as seen.
        replacement: draw real images with replacement. By default every image is drawn once per epoch.
    """

    players: tuple[str, ...]
    n_real: int
    n_fake: int
    phase: str = "train"
    replacement: bool = False


@dataclass(frozen=True)
class Knobs:
    """All scheduled values of one step, a pure function of training progress.

    Attributes:
        lr: learning rate of each player, by name.
        ema_share: half-life of the moving average of weights, as a fraction of the images seen so far. A constant
            half-life would be too long for a small budget and too short for a large one.
        level: how far growing networks have grown, from 0 (lowest resolution) to 1 (full resolution).
        augment: the probability of each change that an augmentation makes.
    """

    lr: Mapping[str, float]
    ema_share: float = 0.05
    level: float = 1.0
    augment: float = 1.0


@dataclass(frozen=True)
class Batch:
    """The data of one turn.

    Attributes:
        real: real images `[n_real, C, H, W]` in `[-1, 1]`.
        z: latents `[n_fake, z_dim]`.
        fake: `G(z)`, `[n_fake, C, H, W]`. It has a gradient graph only if a player of this turn trains G.
        labels: labels of `real`, `[n_real, label_dim]`, or None.
        knobs: the scheduled values of this step.
        step: number of this step, from 0.
        phase: the turn's phase.
        fake_labels: labels that `fake` was generated with, `[n_fake, label_dim]`, or None.
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
    """A player's loss and what is logged with it.

    Attributes:
        total: the scalar to minimize.
        terms: by name, such as "D/loss": scalars for the log and the curves, or images `[N, C, H, W]` to save.
        update: whether the player takes its optimizer step.
    """

    total: Tensor
    terms: dict[str, Tensor]
    update: bool = True


def unchanged(tensor: Tensor) -> Tensor:
    """The tensor itself: its mean over one process."""
    return tensor


class Objective(nn.Module, ABC):
    """Computes the loss of each player. State between steps is kept in buffers, so that checkpoints contain it.

    Attributes:
        real_threshold: logits above it count as real. Cross-entropy: 0. Least squares: 0.5. Wasserstein: None, because
            only differences of its outputs have a meaning.
        mixed_batch: whether the discriminator gets real images and fakes as one batch. This matters for BatchNorm only,
            which otherwise normalizes them separately.
        average: the mean of a detached tensor over all processes that train together; with one process, the tensor
            itself. Decisions between steps depend on such means only, so that all processes decide alike.
    """

    real_threshold: ClassVar[float | None] = 0.0
    mixed_batch: bool = False
    average: Average = staticmethod(unchanged)

    @abstractmethod
    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        """The loss of one player on this batch. Only the networks that the player trains require gradients."""


def current_level(nets: nn.ModuleDict) -> float:
    """The level of the growing networks, 0 to 1; 0 if no network grows, so that the scheduled level is kept."""
    return max((float(level) for level in _levels(nets)), default=0.0)


def set_level(nets: nn.ModuleDict, level: float) -> None:
    """Set the buffer `level` of all growing networks, in place. It is saved with their weights."""
    for buffer in _levels(nets):
        buffer.fill_(level)


def _levels(nets: nn.ModuleDict) -> list[Tensor]:
    return [level for net in nets.values() if isinstance(level := getattr(net, "level", None), Tensor)]

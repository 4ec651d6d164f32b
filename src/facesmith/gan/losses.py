"""Objectives: what each player minimises, from the critic's logits.

Every game also says how it stands, in the monitor's curves (`judged`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from facesmith.gan.contracts import Batch, Discriminator, Loss, Objective

Augment = Callable[[Tensor], Tensor]


def non_saturating_d(real_logits: Tensor, fake_logits: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The critic's cross-entropy, `-log σ(D(x)) - log(1 - σ(D(G(z))))`.

    Args:
        label_smoothing: one-sided: real faces are to be judged 1 less this much (Salimans et al. 2016, section 3.4).

    Source: Goodfellow et al. 2014, arXiv:1406.2661, eq. 1, on logits for stability.
    """
    return softplus(-real_logits).mean() + label_smoothing * real_logits.mean() + softplus(fake_logits).mean()


def non_saturating_g(fake_logits: Tensor) -> Tensor:
    """The generator's cross-entropy with flipped labels, `-log σ(D(G(z)))`: its gradient doesn't vanish while D wins.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3.
    """
    return softplus(-fake_logits).mean()


def least_squares_d(real_scores: Tensor, fake_scores: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Half the squared distance of real faces from 1 (less the smoothing) and of fakes from 0.

    Source: Mao et al. 2017, arXiv:1611.04076, eq. 9.
    """
    return 0.5 * ((real_scores - (1 - label_smoothing)).square().mean() + fake_scores.square().mean())


def least_squares_g(fake_scores: Tensor) -> Tensor:
    """Half the squared distance of fakes from 1. Source: Mao et al. 2017, arXiv:1611.04076, eq. 9."""
    return 0.5 * (fake_scores - 1).square().mean()


def wasserstein_d(real_scores: Tensor, fake_scores: Tensor) -> Tensor:
    """How much higher fakes are scored than real faces. Source: Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1."""
    return fake_scores.mean() - real_scores.mean()


def wasserstein_g(fake_scores: Tensor) -> Tensor:
    """The fakes' mean score, negated. Source: Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1."""
    return -fake_scores.mean()


def gradient_penalty(D: nn.Module, real: Tensor, fake: Tensor, labels: Tensor | None = None) -> Tensor:
    """Mean squared distance from 1 of the critic's slope, at random points between real faces and fakes.

    In float32, whatever the surrounding precision: second derivatives lose too much in bfloat16. Draws from torch's
    global generator.

    Args:
        labels: of the real faces and of the fakes, which share them.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, eq. 3.
    """
    with torch.autocast(real.device.type, enabled=False):
        share = torch.rand(len(real), 1, 1, 1, device=real.device)
        between = torch.lerp(real.float(), fake.detach().float(), share).requires_grad_()
        scores = D(between) if labels is None else D(between, labels)
        (slope,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
        # The norm's own slope is infinite at 0, where a new critic may be flat.
        return ((slope.square().sum((1, 2, 3)) + 1e-12).sqrt() - 1).square().mean()


def r1_penalty(D: nn.Module, real: Tensor, labels: Tensor | None = None) -> Tensor:
    """Mean squared slope of the critic at real faces, R1 without its weight; in float32, as above.

    Args:
        labels: of these faces, where the critic is told any.

    Source: Mescheder et al. 2018, arXiv:1801.04406, eq. 9.
    """
    with torch.autocast(real.device.type, enabled=False):
        at = real.detach().float().requires_grad_()
        scores = D(at) if labels is None else D(at, labels)
        (slope,) = torch.autograd.grad(scores.sum(), at, create_graph=True)
        return slope.square().sum((1, 2, 3)).mean()


def accuracy_terms(
    real_logits: Tensor | None, fake_logits: Tensor, real_threshold: float | None = 0.0
) -> dict[str, Tensor]:
    """How the game stands: the shares of pictures that the critic judges right, and of fakes that fool it.

    Args:
        real_logits: None in the generator's turn.
        real_threshold: as in `contracts.Objective`. None gives the AUC instead: how often a real image is scored above
            a fake.
    """
    if real_threshold is None:
        if real_logits is None:
            return {}
        return {"D/auc": (real_logits[:, None] > fake_logits[None, :]).float().mean()}
    if real_logits is None:
        return {"G/fooling_rate": (fake_logits > real_threshold).float().mean()}
    return {
        "D/accuracy_real": (real_logits > real_threshold).float().mean(),
        "D/accuracy_fake": (fake_logits <= real_threshold).float().mean(),
    }


class AdversarialObjective(Objective):
    """A generator against a critic, for any loss of the two sides' logits.

    Args:
        augment: done to all that the critic sees, real and fake alike, so that the generator need not learn it
            (Zhao et al. 2020, arXiv:2006.10738).
    """

    def __init__(self, augment: Augment | None = None) -> None:
        super().__init__()
        self.augment = augment

    @abstractmethod
    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, batch: Batch) -> Tensor:
        """What the critic minimises; the batch is the one that was judged."""

    @abstractmethod
    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        """What the generator minimises."""

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        D = nets["D"]
        assert isinstance(D, Discriminator)
        if player == "D":
            # Real and fake pass separately: BatchNorm in the critic is to see one kind at a time (Radford et al. 2016).
            real_logits = self.judge(D, batch.real, batch.labels)
            fake_logits = self.judge(D, batch.fake.detach(), batch.fake_labels)
            total = self.discriminator_loss(real_logits, fake_logits, batch)
            return Loss(total, {"D/loss": total, **accuracy_terms(real_logits, fake_logits, self.real_threshold)})
        fake_logits = self.judge(D, batch.fake, batch.fake_labels)
        total = self.generator_loss(fake_logits)
        return Loss(total, {"G/loss": total, **accuracy_terms(None, fake_logits, self.real_threshold)})

    def judge(self, D: Discriminator, pictures: Tensor, labels: Tensor | None) -> Tensor:
        """Logits `[N]` of what the critic sees of these pictures, and is told of them."""
        logits: Tensor = D(pictures if self.augment is None else self.augment(pictures), labels)
        return logits


class NonSaturating(AdversarialObjective):
    """The classic GAN game on logits: a critic's cross-entropy, a generator's with flipped labels.

    Args:
        gamma: weight of half the critic's squared slope at real faces (R1), whatever the interval; 0 for none.
        every: steps from one such penalty to the next (Karras et al. 2020, arXiv:1912.04958, section 3.1).
        penalised: how many of a batch's faces it is taken of; None for all.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        augment: Augment | None = None,
        *,
        gamma: float = 0.0,
        every: int = 1,
        penalty_batch: int | None = None,
    ) -> None:
        super().__init__(augment)
        self.label_smoothing = label_smoothing
        self.gamma, self.every, self.penalty_batch = gamma, every, penalty_batch

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        loss = super().loss(player, nets, batch)
        if player == "D" and self.gamma and batch.step % self.every == 0:
            some, labels = slice(self.penalty_batch), batch.labels
            slope = r1_penalty(nets["D"], batch.real[some], None if labels is None else labels[some])
            loss.total = loss.total + 0.5 * self.gamma * self.every * slope
            loss.terms["D/r1"] = slope
        return loss

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, batch: Batch) -> Tensor:
        return non_saturating_d(real_logits, fake_logits, self.label_smoothing)

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        return non_saturating_g(fake_logits)


class LeastSquares(AdversarialObjective):
    """Scores drawn to 1 for real faces and 0 for fakes, by their squared distance."""

    real_threshold: ClassVar[float | None] = 0.5

    def __init__(self, label_smoothing: float = 0.0, augment: Augment | None = None) -> None:
        super().__init__(augment)
        self.label_smoothing = label_smoothing

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, batch: Batch) -> Tensor:
        return least_squares_d(real_logits, fake_logits, self.label_smoothing)

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        return least_squares_g(fake_logits)


class Wasserstein(AdversarialObjective):
    """Scores without a scale, their slope held near 1 by a penalty.

    Args:
        penalty: weight of the gradient penalty; 10 in the paper.
        drift: weight of the mean squared score of real faces, which keeps scores near 0 (Karras et al. 2018,
            arXiv:1710.10196, appendix A).
        penalised: how many pictures of a batch the penalty is taken of; None for all. With fewer it is the same
            penalty on average, less sure, and costs less: second derivatives are most of a critic's turn.
    """

    real_threshold: ClassVar[float | None] = None

    def __init__(self, penalty: float = 10.0, drift: float = 0.0, penalty_batch: int | None = None) -> None:
        super().__init__()
        self.penalty, self.drift, self.penalty_batch = penalty, drift, penalty_batch

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, batch: Batch) -> Tensor:
        return wasserstein_d(real_logits, fake_logits) + self.drift * real_logits.square().mean()

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        return wasserstein_g(fake_logits)

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        loss = super().loss(player, nets, batch)
        if player == "D":
            some, labels = slice(self.penalty_batch), batch.labels
            told = None if labels is None else labels[some]
            penalty = gradient_penalty(nets["D"], batch.real[some], batch.fake[some], told)
            loss.total = loss.total + self.penalty * penalty
            loss.terms["D/gradient_penalty"] = penalty
        return loss

"""GAN losses as functions of logits, gradient penalties, and the objectives that combine them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from facesmith.gan.contracts import Batch, Discriminator, Knobs, Loss, Objective

Augment = Callable[[Tensor, float], Tensor]  # of images, with a probability
LossParts = tuple[Tensor, Tensor]  # the discriminator's losses on real images and on fakes


def cross_entropies(real_logits: Tensor, fake_logits: Tensor, label_smoothing: float = 0.0) -> LossParts:
    """The discriminator's cross-entropies, `-log σ(D(x))` and `-log(1 - σ(D(G(z))))`.

    Args:
        label_smoothing: the target of real images is 1 minus this (one-sided; Salimans et al. 2016, section 3.4).

    Source: Goodfellow et al. 2014, arXiv:1406.2661, eq. 1; computed from logits for numerical stability.
    """
    on_real = softplus(-real_logits).mean() + label_smoothing * real_logits.mean()
    return on_real, softplus(fake_logits).mean()


def non_saturating_d(real_logits: Tensor, fake_logits: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The sum of the discriminator's `cross_entropies`."""
    on_real, on_fake = cross_entropies(real_logits, fake_logits, label_smoothing)
    return on_real + on_fake


def non_saturating_g(fake_logits: Tensor) -> Tensor:
    """The generator's cross-entropy with target 1, `-log σ(D(G(z)))`.

    Unlike `log(1 - σ(D(G(z))))`, its gradient does not vanish while D rejects all fakes.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3.
    """
    return softplus(-fake_logits).mean()


def squared_errors(real_logits: Tensor, fake_logits: Tensor, label_smoothing: float = 0.0) -> LossParts:
    """The discriminator's squared errors, `½ (D(x) - 1)²` and `½ D(G(z))²`.

    Args:
        label_smoothing: the target of real images is 1 minus this.

    Source: Mao et al. 2017, arXiv:1611.04076, eq. 9.
    """
    on_real = 0.5 * (real_logits - (1 - label_smoothing)).square().mean()
    return on_real, 0.5 * fake_logits.square().mean()


def least_squares_d(real_logits: Tensor, fake_logits: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The sum of the discriminator's `squared_errors`."""
    on_real, on_fake = squared_errors(real_logits, fake_logits, label_smoothing)
    return on_real + on_fake


def least_squares_g(fake_logits: Tensor) -> Tensor:
    """The generator's squared error, `½ (D(G(z)) - 1)²`. Source: Mao et al. 2017, arXiv:1611.04076, eq. 9."""
    return 0.5 * (fake_logits - 1).square().mean()


def wasserstein_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The critic's loss, `D(G(z)) - D(x)`. Source: Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1."""
    return fake_logits.mean() - real_logits.mean()


def wasserstein_g(fake_logits: Tensor) -> Tensor:
    """The generator's loss, `-D(G(z))`. Source: Arjovsky et al. 2017, arXiv:1701.07875, algorithm 1."""
    return -fake_logits.mean()


def gradient_penalty(D: nn.Module, real: Tensor, fake: Tensor, labels: Tensor | None = None) -> Tensor:
    """`(‖∇D(x̂)‖ - 1)²`, averaged over random points `x̂` between pairs of a real image and a fake.

    Uses torch's global random generator.

    Args:
        labels: labels of the real images. The points between them and the fakes get the same labels.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, eq. 3.
    """
    epsilon = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = torch.lerp(real.float(), fake.detach().float(), epsilon)
    with torch.autocast(real.device.type, enabled=False):  # the distance from norm 1 is too coarse in bfloat16
        squared_norm = _squared_gradient_norm(D, between, labels)
    # The small constant keeps the derivative of the root finite where the gradient is 0.
    return ((squared_norm + 1e-12).sqrt() - 1).square().mean()


def r1_penalty(D: nn.Module, real: Tensor, labels: Tensor | None = None) -> Tensor:
    """`‖∇D(x)‖²`, averaged over real images. The R1 regularizer is γ / 2 times this.

    Under autocast, the networks compute in bfloat16: R1 and its gradient stay within a few percent of those in
    float32 (docs/research/trials-at-128-px.md, trial D).

    Source: Mescheder et al. 2018, arXiv:1801.04406, eq. 9.
    """
    return _squared_gradient_norm(D, real.detach().float(), labels).mean()


def _squared_gradient_norm(D: nn.Module, x: Tensor, labels: Tensor | None) -> Tensor:
    """`‖∇D(x)‖²` `[N]` for float32 images, itself differentiable."""
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(D(x, labels).sum(), x, create_graph=True)
    return gradient.float().square().sum((1, 2, 3))


def accuracy_terms(
    real_logits: Tensor | None, fake_logits: Tensor, real_threshold: float | None = 0.0
) -> dict[str, Tensor]:
    """Log terms: the discriminator's accuracy on real images and on fakes, or the generator's fooling rate.

    Args:
        real_logits: None for the fooling rate.
        real_threshold: as in `Objective`. If it is None, the only term is the discriminator's AUC: the share of pairs
            in which the real image has the higher logit.
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
    """A generator against a discriminator. Subclasses define both losses as functions of logits.

    Args:
        augment: differentiable augmentation of all images that the discriminator gets, real and fake. If only real
            images were augmented, the generator would learn the augmentation (Zhao et al. 2020, arXiv:2006.10738).
    """

    def __init__(self, augment: Augment | None = None) -> None:
        super().__init__()
        self.augment = augment

    @abstractmethod
    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, batch: Batch) -> Tensor:
        """The scalar that the discriminator minimizes."""

    @abstractmethod
    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        """The scalar that the generator minimizes."""

    def loss_parts(self, real_logits: Tensor, fake_logits: Tensor) -> LossParts | None:
        """The discriminator's losses on real images and on fakes, for the log; None if they mean nothing alone."""
        return None

    def discriminator_terms(self, total: Tensor, real_logits: Tensor, fake_logits: Tensor) -> dict[str, Tensor]:
        """Log terms of a discriminator step with the loss `total`."""
        parts = self.loss_parts(real_logits, fake_logits)
        named = {"D/loss_real": parts[0], "D/loss_fake": parts[1]} if parts is not None else {}
        return {"D/loss": total} | named | accuracy_terms(real_logits, fake_logits, self.real_threshold)

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        D = nets["D"]
        assert isinstance(D, Discriminator)
        if player == "D":
            # Two passes, so that BatchNorm in D normalizes real images and fakes separately (Radford et al. 2016).
            real_logits = self.logits(D, batch.real, batch.labels, batch.knobs)
            fake_logits = self.logits(D, batch.fake.detach(), batch.fake_labels, batch.knobs)
            total = self.discriminator_loss(real_logits, fake_logits, batch)
            return Loss(total, self.discriminator_terms(total, real_logits, fake_logits))
        fake_logits = self.logits(D, batch.fake, batch.fake_labels, batch.knobs)
        total = self.generator_loss(fake_logits)
        return Loss(total, {"G/loss": total, **accuracy_terms(None, fake_logits, self.real_threshold)})

    def logits(self, D: Discriminator, images: Tensor, labels: Tensor | None, knobs: Knobs) -> Tensor:
        """D's logits `[N]` for images, augmented if the objective says so."""
        logits: Tensor = D(images if self.augment is None else self.augment(images, knobs.augment), labels)
        return logits


class NonSaturating(AdversarialObjective):
    """The non-saturating GAN loss, optionally with R1 regularization of the discriminator.

    Args:
        label_smoothing: the target of real images is 1 minus this.
        gamma: weight of R1; 0 turns it off.
        penalty_every: compute R1 in every n-th step only, n times as strong ("lazy regularization", Karras et al.
            2020, arXiv:1912.04958, section 3.1).
        penalty_batch: number of images of the batch that R1 is computed on; None for all.
    """

    def __init__(
        self,
        label_smoothing: float = 0.0,
        augment: Augment | None = None,
        *,
        gamma: float = 0.0,
        penalty_every: int = 1,
        penalty_batch: int | None = None,
    ) -> None:
        super().__init__(augment)
        self.label_smoothing = label_smoothing
        self.gamma, self.penalty_every, self.penalty_batch = gamma, penalty_every, penalty_batch

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, batch: Batch) -> Tensor:
        return non_saturating_d(real_logits, fake_logits, self.label_smoothing)

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        return non_saturating_g(fake_logits)

    def loss_parts(self, real_logits: Tensor, fake_logits: Tensor) -> LossParts:
        return cross_entropies(real_logits, fake_logits, self.label_smoothing)

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        loss = super().loss(player, nets, batch)
        if player == "D" and self.gamma and batch.step % self.penalty_every == 0:
            n = self.penalty_batch
            r1 = r1_penalty(nets["D"], batch.real[:n], _first(batch.labels, n))
            loss.total = loss.total + 0.5 * self.gamma * self.penalty_every * r1
            loss.terms["D/r1"] = r1
        return loss


class LeastSquares(AdversarialObjective):
    """The least-squares GAN loss: targets are 1 for real images and 0 for fakes."""

    real_threshold: ClassVar[float | None] = 0.5

    def __init__(self, label_smoothing: float = 0.0, augment: Augment | None = None) -> None:
        super().__init__(augment)
        self.label_smoothing = label_smoothing

    def discriminator_loss(self, real_logits: Tensor, fake_logits: Tensor, batch: Batch) -> Tensor:
        return least_squares_d(real_logits, fake_logits, self.label_smoothing)

    def generator_loss(self, fake_logits: Tensor) -> Tensor:
        return least_squares_g(fake_logits)

    def loss_parts(self, real_logits: Tensor, fake_logits: Tensor) -> LossParts:
        return squared_errors(real_logits, fake_logits, self.label_smoothing)


class Wasserstein(AdversarialObjective):
    """The Wasserstein GAN loss with gradient penalty.

    Args:
        penalty: weight of the gradient penalty; 10 in the paper.
        drift: weight of `D(x)²`, which keeps the critic's outputs near 0 (Karras et al. 2018, arXiv:1710.10196,
            appendix A).
        penalty_batch: number of images of the batch that the penalty is computed on; None for all. Fewer images give
            the same penalty on average, with more noise, and save time: second derivatives are most of a critic step.
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
            n = self.penalty_batch
            penalty = gradient_penalty(nets["D"], batch.real[:n], batch.fake[:n], _first(batch.labels, n))
            loss.total = loss.total + self.penalty * penalty
            loss.terms["D/gradient_penalty"] = penalty
        return loss


def _first(labels: Tensor | None, count: int | None) -> Tensor | None:
    return None if labels is None else labels[:count]

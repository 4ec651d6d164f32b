"""Balancing generator and discriminator by the rules of the tutorial "Generating Faces with Torch"."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from facesmith.gan.contracts import Average, Batch, Discriminator, Loss, unchanged
from facesmith.gan.losses import NonSaturating

BalanceMode = Literal["none", "skip", "l2"]

MARGIN = 0.3  # of cross-entropies, in nats
G_LOSS_LOW, G_LOSS_HIGH = 0.9, 1.3  # the tutorial says 1.2, its code 1.3
L2_STEP = 1e-5


class Balance(nn.Module):
    """Decides which player skips its step (`skip`), or adapts an L2 penalty on the discriminator (`l2`).

    Attributes:
        g_waits: whether the generator skips its step in this turn; set by `decide`.
        l2: the current weight of the L2 penalty.
    """

    g_waits: Tensor
    l2: Tensor

    def __init__(self, mode: BalanceMode) -> None:
        super().__init__()
        self.mode = mode
        self.register_buffer("g_waits", torch.zeros((), dtype=torch.bool))
        self.register_buffer("l2", torch.zeros(()))

    def decide(self, real_logits: Tensor, fake_logits: Tensor, average: Average = unchanged) -> bool:
        """Whether the discriminator takes its step in this turn; sets `g_waits` for the generator.

        The discriminator skips its step if its cross-entropy on real images or on fakes is below the margin. The
        generator skips its step if one of them is above 1 - margin. If both would skip, both take their step.

        Args:
            average: as in `Objective`.
        """
        if self.mode != "skip":
            return True
        real, fake = average(torch.stack([softplus(-real_logits).mean(), softplus(fake_logits).mean()])).tolist()
        d_waits, g_waits = min(real, fake) < MARGIN, max(real, fake) > 1 - MARGIN
        both = d_waits and g_waits
        self.g_waits.fill_(g_waits and not both)
        return not d_waits or both

    def penalty(self, D: nn.Module) -> Tensor:
        """`l2 / 2 ‖θ‖²` for the discriminator's parameters θ."""
        if self.mode != "l2":
            return self.l2
        return 0.5 * self.l2 * torch.stack([p.square().sum() for p in D.parameters()]).sum()

    @torch.no_grad()
    def adapt(self, g_loss: Tensor, average: Average = unchanged) -> None:
        """Raise the L2 weight if the generator's loss is too high, lower it if too low; never below 0."""
        if self.mode == "l2":
            g_loss = average(g_loss)
            step = (g_loss > G_LOSS_HIGH).float() - (g_loss < G_LOSS_LOW).float()
            self.l2.add_(L2_STEP * step).clamp_(min=0)


class BalancedObjective(NonSaturating):
    """The non-saturating GAN loss, with `Balance` between the players; `mixed_batch` as in `Objective`."""

    def __init__(self, mode: BalanceMode, mixed_batch: bool = False) -> None:
        super().__init__()
        self.balance = Balance(mode)
        self.mixed_batch = mixed_batch

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        return self._loss_d(nets, batch) if player == "D" else self._loss_g(nets, batch)

    def _loss_d(self, nets: nn.ModuleDict, batch: Batch) -> Loss:
        D = nets["D"]
        assert isinstance(D, Discriminator)
        fake = batch.fake.detach()
        if self.mixed_batch:
            logits = self.logits(D, torch.cat([batch.real, fake]), None, batch.knobs)
            real_logits, fake_logits = logits[: len(batch.real)], logits[len(batch.real) :]
        else:
            real_logits = self.logits(D, batch.real, batch.labels, batch.knobs)
            fake_logits = self.logits(D, fake, batch.fake_labels, batch.knobs)
        total = self.discriminator_loss(real_logits, fake_logits, batch)
        update = self.balance.decide(real_logits.detach(), fake_logits.detach(), self.average)
        terms = self.discriminator_terms(total, real_logits, fake_logits)
        terms |= {"D/plays": total.new_tensor(update), "D/l2": self.balance.l2.clone()}
        return Loss(total + self.balance.penalty(D), terms, update)

    def _loss_g(self, nets: nn.ModuleDict, batch: Batch) -> Loss:
        loss = super().loss("G", nets, batch)
        self.balance.adapt(loss.total.detach(), self.average)
        loss.update = not bool(self.balance.g_waits)
        loss.terms["G/plays"] = loss.total.new_tensor(loss.update)
        return loss

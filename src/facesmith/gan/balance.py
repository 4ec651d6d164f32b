"""Keeping generator and critic in reach of one another, by the rules of "Generating Faces with Torch"."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from facesmith.gan.contracts import Batch, Discriminator, Loss
from facesmith.gan.losses import NonSaturating, accuracy_terms

BalanceMode = Literal["none", "skip", "l2"]

MARGIN = 0.3
AIM_LOW, AIM_HIGH = 0.9, 1.3  # of the generator's error; the text's words say 1.2, its code 1.3
L2_STEP = 1e-5


class Balance(nn.Module):
    """Makes a player wait (`skip`), or weighs the critic down (`l2`); `none` lets both run.

    Attributes:
        g_waits: whether the generator is to wait in this turn; decided with the critic's errors.
        l2: the present weight of the critic's L2 penalty.
    """

    g_waits: Tensor
    l2: Tensor

    def __init__(self, how: BalanceMode) -> None:
        super().__init__()
        self.how = how
        self.register_buffer("g_waits", torch.zeros((), dtype=torch.bool))
        self.register_buffer("l2", torch.zeros(()))

    def weigh(self, real_logits: Tensor, fake_logits: Tensor) -> bool:
        """Whether the critic may learn in this turn; the generator's answer is kept for its own part of the turn.

        A player waits while it is far ahead: the critic below the margin of cross-entropy on either kind, the generator
        where the critic is above 1 less the margin. If both would wait, both train.
        """
        if self.how != "skip":
            return True
        real, fake = float(softplus(-real_logits).mean()), float(softplus(fake_logits).mean())
        d_waits, g_waits = min(real, fake) < MARGIN, max(real, fake) > 1 - MARGIN
        both = d_waits and g_waits
        self.g_waits.fill_(g_waits and not both)
        return not d_waits or both

    def penalty(self, D: nn.Module) -> Tensor:
        """The critic's L2 penalty, `l2 / 2 |weights|²`."""
        if self.how != "l2":
            return self.l2
        return 0.5 * self.l2 * torch.stack([p.square().sum() for p in D.parameters()]).sum()

    @torch.no_grad()
    def adapt(self, generator_error: Tensor) -> None:
        """Raise the penalty where the generator loses too clearly, lower it where it wins; never under 0."""
        if self.how == "l2":
            step = (generator_error > AIM_HIGH).float() - (generator_error < AIM_LOW).float()
            self.l2.add_(L2_STEP * step).clamp_(min=0)


class BalancedObjective(NonSaturating):
    """The classic game under a referee, who decides with the critic's errors who plays in this turn."""

    def __init__(self, how: BalanceMode) -> None:
        super().__init__()
        self.balance = Balance(how)

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        if player == "D":
            return self._discriminators(nets, batch)
        loss = super().loss("G", nets, batch)
        self.balance.adapt(loss.total.detach())
        loss.update = not bool(self.balance.g_waits)
        loss.terms["G/plays"] = loss.total.new_tensor(loss.update)
        return loss

    def _discriminators(self, nets: nn.ModuleDict, batch: Batch) -> Loss:
        D = nets["D"]
        assert isinstance(D, Discriminator)
        real_logits = self.judge(D, batch.real, batch.labels)
        fake_logits = self.judge(D, batch.fake.detach(), batch.fake_labels)
        total = self.discriminator_loss(real_logits, fake_logits, batch)
        plays = self.balance.weigh(real_logits.detach(), fake_logits.detach())
        terms = {"D/loss": total, "D/plays": total.new_tensor(plays), "D/l2": self.balance.l2.clone()}
        return Loss(total + self.balance.penalty(D), terms | accuracy_terms(real_logits, fake_logits), plays)

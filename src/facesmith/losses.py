"""Objectives: what each player minimises, from the critic's logits.

Every adversarial objective also says how the game stands, in the monitor's three curves (`judged`).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import softplus

from facesmith.contracts import Batch, Loss, Objective


def non_saturating_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """The critic's cross-entropy, `-log σ(D(x)) - log(1 - σ(D(G(z))))`.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, eq. 1, on logits for stability.
    """
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def non_saturating_g(fake_logits: Tensor) -> Tensor:
    """The generator's cross-entropy with flipped labels, `-log σ(D(G(z)))`: its gradient doesn't vanish while D wins.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3.
    """
    return softplus(-fake_logits).mean()


def judged(real_logits: Tensor | None, fake_logits: Tensor) -> dict[str, Tensor]:
    """How the game stands: the shares of pictures that the critic judges right, and of fakes that fool it."""
    if real_logits is None:
        return {"G/fools": (fake_logits > 0).float().mean()}
    return {
        "D/knows_real": (real_logits > 0).float().mean(),
        "D/knows_fake": (fake_logits <= 0).float().mean(),
    }


class NonSaturating(Objective):
    """The classic GAN game on logits: a critic's cross-entropy, a generator's with flipped labels."""

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        D = nets["D"]
        if player == "D":
            # Real and fake pass separately: BatchNorm in the critic is to see one kind at a time (Radford et al. 2016).
            real_logits, fake_logits = D(batch.real), D(batch.fake.detach())
            total = non_saturating_d(real_logits, fake_logits)
            return Loss(total, {"D/loss": total, **judged(real_logits, fake_logits)})
        fake_logits = D(batch.fake)
        total = non_saturating_g(fake_logits)
        return Loss(total, {"G/loss": total, **judged(None, fake_logits)})

"""Linear directions: where in the latent space an attribute's logit grows fastest, the others' staying as they are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

SAME = 0.1  # directions that differ by less than that together count once
RIDGE = 0.05  # of the number of faces: how far slopes are drawn towards 0


def slopes(u: Tensor, logits: Tensor) -> Tensor:
    """`[A, d]`: by how much each logit grows along each coordinate, by ridge regression.

    Args:
        u: coordinates `[N, d]`.
        logits: `[N, A]`.
    """
    u, y = u - u.mean(0), logits.double() - logits.double().mean(0)
    ridge = RIDGE * len(u) * torch.eye(u.shape[1], dtype=u.dtype)
    slope: Tensor = torch.linalg.solve(u.T @ u + ridge, u.T @ y).T
    return slope


def explained(u: Tensor, logits: Tensor, steepest: Tensor) -> Tensor:
    """Share `[A]` of each logit's variance that the slopes explain, of latents that they weren't fitted to."""
    y = logits.double()
    guess = (u - u.mean(0)) @ steepest.T + y.mean(0)
    return 1 - (y - guess).square().mean(0) / y.var(0, correction=0).clamp_min(1e-12)


def without(step: Tensor, others: Tensor) -> Tensor:
    """What of a step `[d]` is orthogonal to all of others `[K, d]`; near-parallel ones are no reason to lose it all."""
    if not len(others):
        return step
    units = others / others.norm(dim=1, keepdim=True).clamp_min(1e-12)
    _, sizes, axes = torch.linalg.svd(units, full_matrices=False)
    axes = axes[sizes > SAME]
    along: Tensor = (step @ axes.T) @ axes
    return step - along


def orthogonal(steepest: Mapping[str, Tensor], chosen: list[str], keep: list[str]) -> dict[str, Tensor]:
    """Directions of length 1, each orthogonal to the slopes of all that is to stay, but for its own."""
    steps = {}
    for name in chosen:
        others = [steepest[other] for other in keep if other != name and other in steepest]
        step = without(
            steepest[name], torch.stack(others) if others else steepest[name].new_empty(0, len(steepest[name]))
        )
        steps[name] = step / step.norm().clamp_min(1e-12)
    return steps

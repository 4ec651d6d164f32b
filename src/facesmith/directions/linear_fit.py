"""Linear directions: where an attribute's logit grows fastest in the latent space while other logits stay the same."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

MIN_SINGULAR_VALUE = 0.1  # nearly parallel directions, whose singular value is smaller, count as one
RIDGE = 0.05  # regularization, as a share of the number of faces


def fit_slopes(u: Tensor, logits: Tensor) -> Tensor:
    """Return the gradient of each logit by ridge regression, `[A, d]`.

    Args:
        u: whitened latents `[N, d]`.
        logits: `[N, A]`.
    """
    u, y = u - u.mean(0), logits.double() - logits.double().mean(0)
    ridge = RIDGE * len(u) * torch.eye(u.shape[1], dtype=u.dtype)
    slopes: Tensor = torch.linalg.solve(u.T @ u + ridge, u.T @ y).T
    return slopes


def r_squared(u: Tensor, logits: Tensor, slopes: Tensor) -> Tensor:
    """Return the share of each logit's variance that the slopes explain, `[A]`.

    Args:
        u: whitened latents `[N, d]` that the slopes were not fitted to.
        logits: `[N, A]`.
        slopes: `[A, d]`.
    """
    y = logits.double()
    prediction = (u - u.mean(0)) @ slopes.T + y.mean(0)
    return 1 - (y - prediction).square().mean(0) / y.var(0, correction=0).clamp_min(1e-12)


def project_out(step: Tensor, others: Tensor) -> Tensor:
    """Return the part of a step `[d]` that is orthogonal to all others `[K, d]`.

    Nearly parallel others are treated as one, so that their tiny difference does not remove a whole axis.
    """
    if not len(others):
        return step
    units = others / others.norm(dim=1, keepdim=True).clamp_min(1e-12)
    _, singular_values, axes = torch.linalg.svd(units, full_matrices=False)
    axes = axes[singular_values > MIN_SINGULAR_VALUE]
    projection: Tensor = (step @ axes.T) @ axes
    return step - projection


def orthogonal_directions(slopes: Mapping[str, Tensor], keep_of: Mapping[str, list[str]]) -> dict[str, Tensor]:
    """Return a unit direction `[d]` for each name in `keep_of`, orthogonal to the slopes that are listed for it."""
    directions = {}
    for name, keep in keep_of.items():
        others = [slopes[other] for other in keep]
        step = project_out(
            slopes[name], torch.stack(others) if others else slopes[name].new_empty(0, len(slopes[name]))
        )
        directions[name] = step / step.norm().clamp_min(1e-12)
    return directions

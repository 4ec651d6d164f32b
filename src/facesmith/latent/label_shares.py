"""Labels for generated faces, with the same distribution as in the training set.

A label is -1 (no), 1 (yes) or 0 (unknown). A conditional generator stores how often each combination of labels occurs
among its training faces (`Generator.label_shares`). Attributes that a user leaves open are drawn from these shares.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facesmith.gan.contracts import Generator


def label_combinations(label_dim: int) -> Tensor:
    """Return all combinations of -1 and 1, `[2 ** label_dim, label_dim]`; the first label changes slowest."""
    bits = torch.arange(label_dim - 1, -1, -1)
    return ((torch.arange(2**label_dim)[:, None] >> bits & 1) * 2 - 1).float()


def store_label_shares(G: Generator, labels: Tensor) -> None:
    """Set `G.label_shares` from the labels `[N, label_dim]` of training faces; faces with an unknown label are skipped.

    At least one face must have all its labels known.
    """
    known = labels[(labels != 0).all(1)]
    assert len(known) > 0
    place_values = 2 ** torch.arange(G.label_dim - 1, -1, -1)
    counts = torch.bincount(((known > 0).long() * place_values).sum(1), minlength=len(G.label_shares))
    G.label_shares.copy_(counts / len(known))


def draw_labels(G: Generator, count: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor | None:
    """Draw labels `[count, label_dim]` on the CPU; return None for an unconditional generator.

    Args:
        condition: `[label_dim]` with -1 or 1 where a label is fixed and 0 where it is drawn. Open labels follow their
            distribution among the training faces that match the condition, or among all if none matches. The same
            random state mostly draws the same open labels, whatever the condition.
    """
    if not G.label_dim:
        return None
    combinations, shares = label_combinations(G.label_dim), G.label_shares.cpu().double()
    if condition is not None:
        matching = shares * (combinations * condition >= 0).all(1)
        shares = matching if bool(matching.sum() > 0) else shares
    cumulative = shares.cumsum(0)
    positions = torch.rand(count, generator=rng, dtype=torch.float64) * cumulative[-1]
    labels = combinations[torch.searchsorted(cumulative, positions, right=True).clamp_max(len(combinations) - 1)]
    return labels if condition is None else torch.where(condition == 0, labels, condition)

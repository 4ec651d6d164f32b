"""Labels of faces to be drawn, as the training faces have them.

A label is -1 (no), 1 (yes) or 0 (unknown). A conditional generator keeps the shares of all combinations of yes and no
among the faces that taught it (`Generator.label_shares`), so that what is not asked for comes as often, and beside what
else, as it does in life.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facesmith.gan.contracts import Generator


def combinations(label_dim: int) -> Tensor:
    """All labels there can be, `[2 ** label_dim, label_dim]` of -1 and 1; the first label changes last."""
    bits = torch.arange(label_dim - 1, -1, -1)
    return ((torch.arange(2**label_dim)[:, None] >> bits & 1) * 2 - 1).float()


def take_labels(G: Generator, labels: Tensor) -> None:
    """Keep in a generator how labels `[N, label_dim]` of training faces are spread; those with a 0 don't count."""
    known = labels[(labels != 0).all(1)]
    assert len(known) > 0
    places = 2 ** torch.arange(G.label_dim - 1, -1, -1)
    counts = torch.bincount(((known > 0).long() * places).sum(1), minlength=len(G.label_shares))
    G.label_shares.copy_(counts / len(known))


def draw_labels(G: Generator, count: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor | None:
    """Labels `[count, label_dim]` on the CPU; None of a generator that has no condition.

    Args:
        given: `[label_dim]`, 0 where a label is open. Open ones are drawn as the training faces have them that the
            given ones are true of; where there is none, as all have them. The same random number draws the same
            open labels, as far as both kinds of faces have them as often.
    """
    if not G.label_dim:
        return None
    every, shares = combinations(G.label_dim), G.label_shares.double().cpu()
    if condition is not None:
        fitting = shares * (every * condition >= 0).all(1)
        shares = fitting if bool(fitting.sum() > 0) else shares
    ends = shares.cumsum(0)
    at = torch.rand(count, generator=rng, dtype=torch.float64) * ends[-1]
    labels = every[torch.searchsorted(ends, at, right=True).clamp_max(len(every) - 1)]
    return labels if condition is None else torch.where(condition == 0, labels, condition)

"""Walks through the latent space: from latent to latent and, if closed, back to the first.

A normal latent of d numbers is about √d long, whatever its direction, so that is the only length a generator was
trained on. The straight line between two of them is shorter half-way, by √2, and shows pale, average faces there; the
arc between them keeps the length.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facesmith.errors import BadOption

FEWEST = 2  # latents that make a walk


def walk_positions(n_latents: int, frames: int, *, closed: bool) -> Tensor:
    """Where each frame of a walk stands, float64 `[frames]`: 2.25 is a quarter of the way from the third latent on.

    The pace is even. The last frame of a closed walk stands one step before the first, that of an open one at its end.
    """
    steps = torch.arange(frames, dtype=torch.float64)
    return steps * n_latents / frames if closed else steps * (n_latents - 1) / max(1, frames - 1)


def walk_latents(latents: Tensor, at: Tensor, *, spherical: bool) -> Tensor:
    """The latents `[M, d]` at places `[M]` of the walk through latents `[N, d]`, to which it comes exactly.

    Raises:
        BadOption: there are fewer than two to walk between.
    """
    if len(latents) < FEWEST:
        raise BadOption(f"A walk leads from face to face: it needs {FEWEST} seeds or more, not {len(latents)}.")
    leg = at.floor().long()
    start, end = (latents[(leg + i) % len(latents)].double() for i in (0, 1))
    share = (at - leg).unsqueeze(1)
    between = slerp(start, end, share) if spherical else start.lerp(end, share)
    return between.to(latents.dtype)


def slerp(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """The latents `[M, d]` at shares `[M, 1]` of the arcs from start to end: direction and length change evenly.

    Source: Shoemake 1985, "Animating rotation with quaternion curves"; for latents White 2016, arXiv:1609.04468, who
    leaves the lengths to the sines, so that the pace changes where they differ.
    """
    lengths = [each.norm(dim=1, keepdim=True).clamp_min(1e-12) for each in (start, end)]
    angle = torch.cosine_similarity(start, end, dim=1).clamp(-1, 1).arccos().unsqueeze(1)
    sine = angle.sin()
    turned = ((1 - share) * angle).sin() * (start / lengths[0]) + (share * angle).sin() * (end / lengths[1])
    arc = turned / sine * lengths[0].lerp(lengths[1], share)
    # Latents of one direction have no arc between them, and those of opposite ones no single arc.
    return torch.where(sine < 1e-6, start.lerp(end, share), arc)

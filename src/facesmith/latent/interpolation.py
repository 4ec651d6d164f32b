"""Walks through the latent space: interpolation from latent to latent and, for closed walks, back to the first.

A latent of d normal random numbers has a norm of about √d, whatever its direction. So a generator has seen no other
norms in training. On the straight line between two such latents the norm falls by a factor of √2 half-way, where faces
look pale and average. The arc between them keeps the norm.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facesmith.errors import BadOption

MIN_WALK_LATENTS = 2


def walk_positions(n_latents: int, frames: int, *, closed: bool) -> Tensor:
    """Return the position of each frame along a walk, float64 `[frames]`, evenly spaced.

    Position 2.25 is a quarter of the way from latent 2 to latent 3, counted from 0. The last frame of a closed walk is
    one step before latent 0; that of an open walk is the last latent.
    """
    steps = torch.arange(frames, dtype=torch.float64)
    return steps * n_latents / frames if closed else steps * (n_latents - 1) / max(1, frames - 1)


def walk_latents(latents: Tensor, positions: Tensor, *, spherical: bool) -> Tensor:
    """Return the latents `[M, d]` at positions `[M]` of the walk through latents `[N, d]`.

    Whole-numbered positions give the latents themselves, to the last bit.

    Args:
        spherical: interpolate along arcs (`slerp`) rather than straight lines.

    Raises:
        BadOption: there are fewer than two latents.
    """
    if len(latents) < MIN_WALK_LATENTS:
        raise BadOption(f"A walk goes from face to face, so it needs at least {MIN_WALK_LATENTS}, not {len(latents)}.")
    leg = positions.floor().long()
    start, end = (latents[(leg + i) % len(latents)].double() for i in (0, 1))
    t = (positions - leg).unsqueeze(1)
    between = slerp(start, end, t) if spherical else start.lerp(end, t)
    return between.to(latents.dtype)


def slerp(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Interpolate along arcs: direction and norm both change at an even rate.

    Args:
        start: `[M, d]`.
        end: `[M, d]`.
        t: `[M, 1]`; 0 gives the start, 1 the end.

    Source: Shoemake 1985, "Animating rotation with quaternion curves". For latents: White 2016, arXiv:1609.04468, where
    the norm is not interpolated separately, so the rate varies if the norms differ.
    """
    norms = [each.norm(dim=1, keepdim=True).clamp_min(1e-12) for each in (start, end)]
    angle = torch.cosine_similarity(start, end, dim=1).clamp(-1, 1).arccos().unsqueeze(1)
    sine = angle.sin()
    rotated = ((1 - t) * angle).sin() * (start / norms[0]) + (t * angle).sin() * (end / norms[1])
    arc = rotated / sine * norms[0].lerp(norms[1], t)
    # Between parallel latents there is no arc, and between opposite ones no unique arc.
    return torch.where(sine < 1e-6, start.lerp(end, t), arc)

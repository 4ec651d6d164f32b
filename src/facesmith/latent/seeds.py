"""Seeds -> latents. A seed names a face: the same model and seed give the same one, on every run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from facesmith.contracts import Generator
from facesmith.seeds import BATCH, check_psi, check_seeds


def latents(G: Generator, seeds: Sequence[int]) -> Tensor:
    """`w` `[N, w_dim]`, one for each seed alone, to the bit, whatever else is drawn with it.

    Raises:
        BadOption: a seed is negative or too large.
    """
    check_seeds(seeds)
    device, drawn = G.w_avg.device, [G.draw_z(1, torch.Generator().manual_seed(seed)) for seed in seeds]
    batches = [filled(torch.cat(drawn[start : start + BATCH])) for start in range(0, len(drawn), BATCH)]
    return torch.cat([torch.empty(0, G.w_dim, device=device), *(G.mapping(z.to(device)) for z in batches)])[
        : len(seeds)
    ]


def filled(some: Tensor) -> Tensor:
    """A batch of full size: the last of `[N, ...]` is repeated."""
    return torch.cat([some, some[-1:].expand(BATCH - len(some), *some.shape[1:])])


def truncate(w: Tensor, w_avg: Tensor, psi: float) -> Tensor:
    """Pull latents towards the average face, trading variety for quality.

    Args:
        w: `[N, w_dim]` or `[N, num_ws, w_dim]`.
        w_avg: `[w_dim]`, the mean of `w` over many faces.
        psi: 1 leaves `w` as it is, 0 gives the average face.

    Raises:
        BadOption: psi lies outside 0 to 1.

    Source: Karras et al. 2019, arXiv:1812.04948, appendix B.
    """
    check_psi(psi)
    return w if psi == 1 else w_avg.lerp(w, psi)

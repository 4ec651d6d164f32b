"""Latents -> pixels: a generator in evaluation mode, drawing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from facesmith.contracts import Generator
from facesmith.images import Pixels, to_uint8
from facesmith.latent import latents, truncate

# Every batch has this many latents, filled up where fewer are left: libraries choose their arithmetic by the batch's
# shape, and a seed is to give the same face, to the bit, whatever is drawn beside it.
BATCH = 16


def synthesize_seeds(G: nn.Module, seeds: Sequence[int], psi: float = 1.0) -> Pixels:
    """Faces of seeds by a generator in evaluation mode, uint8 `[N, H, W, C]`."""
    assert isinstance(G, Generator)
    with torch.inference_mode():
        return synthesize(G, G.mapping(latents(G, seeds).to(G.w_avg.device)), psi)


@torch.inference_mode()
def synthesize(G: Generator, w: Tensor, psi: float = 1.0) -> Pixels:
    """Faces of latents `[N, w_dim]`, uint8 `[N, H, W, C]`."""
    w = truncate(w.to(G.w_avg.device), G.w_avg, psi)
    pictures = np.empty((len(w), G.resolution, G.resolution, G.channels), np.uint8)
    for start in range(0, len(w), BATCH):
        some = w[start : start + BATCH]
        full = torch.cat([some, some[-1:].expand(BATCH - len(some), *some.shape[1:])])
        pictures[start : start + len(some)] = to_uint8(G.synthesis(full))[: len(some)].cpu().numpy()
    return pictures

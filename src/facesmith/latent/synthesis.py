"""Latents -> pixels by a generator, and pixels -> latents by an encoder, both in evaluation mode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from facesmith.gan.contracts import Encoder, Generator
from facesmith.io.images import Pixels, to_float, to_uint8
from facesmith.latent import BATCH_SIZE, around, filled, latents, truncate


def synthesize_seeds(G: nn.Module, seeds: Sequence[int], psi: float = 1.0, condition: Tensor | None = None) -> Pixels:
    """Faces of seeds by a generator in evaluation mode, uint8 `[N, H, W, C]`.

    Args:
        given: labels that a conditional generator is told (`latent.labels.draw_labels`); psi then pulls towards the
            average of such faces, since that of all is not as labelled.
    """
    assert isinstance(G, Generator)
    with torch.inference_mode():
        w = latents(G, seeds, condition)
        return synthesize(G, w if psi == 1 else truncate(w, around(G, w, condition), psi))


@torch.inference_mode()
def synthesize(G: Generator, w: Tensor, psi: float = 1.0) -> Pixels:
    """Faces of latents `[N, w_dim]` or `[N, num_ws, w_dim]`, uint8 `[N, H, W, C]`."""
    w = w.to(G.w_avg.device)
    w = truncate(w, around(G, w), psi)
    pictures = np.empty((len(w), G.resolution, G.resolution, G.channels), np.uint8)
    for start in range(0, len(w), BATCH_SIZE):
        some = w[start : start + BATCH_SIZE]
        pictures[start : start + len(some)] = to_uint8(G.synthesis(filled(some)))[: len(some)].cpu().numpy()
    return pictures


@torch.inference_mode()
def encode(G: Generator, E: Encoder, pictures: Pixels) -> Tensor:
    """`w` `[N, w_dim]`, on the CPU, that E finds likeliest for pictures `[N, H, W, C]` of the generator's size."""
    w = torch.empty(len(pictures), G.w_dim)
    for start in range(0, len(pictures), BATCH_SIZE):
        some = torch.tensor(pictures[start : start + BATCH_SIZE], device=G.w_avg.device)
        mean, _ = E(to_float(filled(some)))
        w[start : start + len(some)] = mean[: len(some)].cpu()
    return w

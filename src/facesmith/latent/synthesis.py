"""Latents -> images with a generator, and images -> latents with an encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from facesmith.gan.contracts import Encoder, Generator
from facesmith.io.batches import full_batches
from facesmith.io.seeds import BATCH_SIZE
from facesmith.latent.from_seeds import latents, truncate
from facesmith.pictures.images import Pixels, to_float, to_uint8


def synthesize_seeds(G: nn.Module, seeds: Sequence[int], psi: float = 1.0, condition: Tensor | None = None) -> Pixels:
    """Return one face per seed, uint8 `[N, H, W, C]`.

    Args:
        G: a `Generator` in evaluation mode.
        psi: truncation, 0-1.
        condition: labels `[label_dim]` that all faces get, as in `draw_labels`.
    """
    assert isinstance(G, Generator)
    with torch.inference_mode():
        return synthesize(G, latents(G, seeds, condition), psi)


@torch.inference_mode()
def synthesize(G: Generator, w: Tensor, psi: float = 1.0) -> Pixels:
    """Return the faces of latents `[N, w_dim]` or `[N, num_ws, w_dim]`, uint8 `[N, H, W, C]`.

    A face depends on its own latent only, to the last bit.

    Args:
        G: in evaluation mode.
        psi: truncation, 0-1.
    """
    w = truncate(G, w.to(G.w_avg.device), psi)
    images = np.empty((len(w), G.resolution, G.resolution, G.channels), np.uint8)
    for rows, n in full_batches(len(w), BATCH_SIZE):
        images[rows[:n]] = to_uint8(G.synthesis(w[rows]))[:n].cpu().numpy()
    return images


@torch.inference_mode()
def encode(G: Generator, E: Encoder, images: Pixels) -> Tensor:
    """Return the latents `[N, w_dim]`, on the CPU, that a recipe's own encoder gives for images `[N, H, W, C]`."""
    w = torch.empty(len(images), G.w_dim)
    for rows, n in full_batches(len(images), BATCH_SIZE):
        mean, _ = E(to_float(torch.from_numpy(images[rows]).to(G.w_avg.device)))
        w[rows[:n]] = mean[:n].cpu()
    return w

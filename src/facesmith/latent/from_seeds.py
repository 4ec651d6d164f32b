"""Seeds -> latents. The same model and the same seed give the same latent, and so the same face, on every run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from facesmith.gan.contracts import Generator
from facesmith.io.batches import full_batches
from facesmith.io.seeds import BATCH_SIZE, check_psi, checked_seeds
from facesmith.latent.label_shares import draw_labels

AVERAGE_COUNT = 10_000  # latents in the mean, whose standard error is then 1 % of their standard deviation


def latents(G: Generator, seeds: Sequence[int], condition: Tensor | None = None) -> Tensor:
    """Return `w` `[N, w_dim]`, one latent per seed.

    Each latent depends on its own seed only, to the last bit: it does not matter which other seeds are requested.

    Args:
        condition: labels `[label_dim]` that all faces get, 0 where a label is left to chance (see `draw_labels`).

    Raises:
        BadOption: a seed is negative or too large.
    """
    z, labels = draw_z_and_labels(G, seeds, condition)
    device = G.w_avg.device
    parts = [torch.empty(0, G.w_dim, device=device)]
    for rows, n in full_batches(len(z), BATCH_SIZE):
        w = G.mapping(z[rows].to(device), None if labels is None else labels[rows].to(device))
        parts.append(w[:n])
    return torch.cat(parts)


def draw_z_and_labels(
    G: Generator, seeds: Sequence[int], condition: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Draw `z` `[N, z_dim]` and, of a conditional generator, labels `[N, label_dim]`, both on the CPU.

    Raises:
        BadOption: a seed is negative or too large.
    """
    z, labels = [torch.empty(0, G.z_dim)], [torch.empty(0, G.label_dim)]
    for seed in checked_seeds(seeds):
        rng = torch.Generator().manual_seed(seed)
        z.append(G.draw_z(1, rng))
        # Labels are drawn after z, so that a condition does not change z.
        drawn = draw_labels(G, 1, rng, condition)
        labels += [] if drawn is None else [drawn]
    return torch.cat(z), torch.cat(labels) if G.label_dim else None


def draw_latents(G: Generator, count: int, rng: torch.Generator) -> Tensor:
    """Draw `w` `[count, w_dim]` from the distribution that the generator is trained on, labels included."""
    z, labels = G.draw_z(count, rng), draw_labels(G, count, rng)
    device = G.w_avg.device
    return G.mapping(z.to(device), None if labels is None else labels.to(device))


def average_latent(G: Generator, rng: torch.Generator) -> Tensor:
    """Return `w_avg` `[w_dim]`, the mean of many random latents."""
    return draw_latents(G, AVERAGE_COUNT, rng).mean(0)


def truncate(G: Generator, w: Tensor, psi: float) -> Tensor:
    """Pull latents towards the average face, trading variety for quality.

    Args:
        w: `[N, w_dim]` or `[N, num_ws, w_dim]`.
        psi: 1 returns `w` unchanged, 0 returns the average face (of a conditional generator: with the labels of `w`).

    Raises:
        BadOption: psi is not between 0 and 1.

    Source: Karras et al. 2019, arXiv:1812.04948, appendix B.
    """
    check_psi(psi)
    return move_from_average(G, w, psi)


def move_from_average(G: Generator, w: Tensor, psi: float) -> Tensor:
    """Return `truncate` for any psi: above 1 faces become more extreme, and below 0 their opposites.

    Args:
        w: `[N, w_dim]` or `[N, num_ws, w_dim]`.
    """
    return w if psi == 1 else truncation_center(G, w).lerp(w, psi)


def truncation_center(G: Generator, w: Tensor) -> Tensor:
    """Return the latent towards which `truncate` pulls `w`: the average face, with the labels of each face kept.

    Half a label means nothing to a conditional generator, so truncation must not change the labels.

    Args:
        w: `[..., w_dim]`; the last `label_dim` numbers of each latent are its labels.

    Returns:
        `[w_dim]`, or `[..., w_dim]` of a conditional generator.
    """
    if not G.label_dim:
        return G.w_avg
    z_dim = G.w_dim - G.label_dim
    return torch.cat([G.w_avg[:z_dim].expand(*w.shape[:-1], -1), w[..., z_dim:]], -1)

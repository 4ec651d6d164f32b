"""Seeds -> latents. A seed names a face: the same model and seed give the same one, on every run."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from facesmith.gan.contracts import Generator
from facesmith.io.seeds import BATCH_SIZE, check_psi, check_seeds
from facesmith.latent.labels import draw_labels

AVERAGED = 10_000  # latents: their mean is a hundredth of a standard deviation beside the true one
AVERAGING_SEED = 20_180_912


def latents(G: Generator, seeds: Sequence[int], condition: Tensor | None = None) -> Tensor:
    """`w` `[N, w_dim]`, one for each seed alone, to the bit, whatever else is drawn with it.

    Args:
        given: labels that a conditional generator is to be told, as in `draw_labels`.

    Raises:
        BadOption: a seed is negative or too large.
    """
    device, (z, labels) = G.w_avg.device, drawn(G, seeds, condition)
    parts = [torch.empty(0, G.w_dim, device=device)]
    for start in range(0, len(z), BATCH_SIZE):
        some = slice(start, start + BATCH_SIZE)
        told = None if labels is None else filled(labels[some]).to(device)
        parts.append(G.mapping(filled(z[some]).to(device), told))
    return torch.cat(parts)[: len(z)]


def drawn(G: Generator, seeds: Sequence[int], condition: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """What seeds stand for, on the CPU: `z` `[N, z_dim]`, and labels `[N, label_dim]` where the generator has any.

    Raises:
        BadOption: a seed is negative or too large.
    """
    check_seeds(seeds)
    z, labels = [torch.empty(0, G.z_dim)], [torch.empty(0, G.label_dim)]
    for seed in seeds:
        rng = torch.Generator().manual_seed(seed)
        z.append(G.draw_z(1, rng))
        told = draw_labels(G, 1, rng, condition)  # after z, which is thereby the same whatever is given
        labels += [] if told is None else [told]
    return torch.cat(z), torch.cat(labels) if G.label_dim else None


def draw_latents(G: Generator, count: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
    """`w` `[count, w_dim]` of new faces, such as the generator is trained on; `given` as in `draw_labels`."""
    z, labels = G.draw_z(count, rng), draw_labels(G, count, rng, condition)
    device = G.w_avg.device
    return G.mapping(z.to(device), None if labels is None else labels.to(device))


def average_latent(G: Generator, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
    """`w` `[w_dim]`: the mean over many faces, or over those that have the given labels."""
    return draw_latents(G, AVERAGED, rng, condition).mean(0)


def around(G: Generator, w: Tensor, condition: Tensor | None = None) -> Tensor:
    """What truncation pulls latents `w` towards: the average face or, where labels are given, that of such faces.

    `[w_dim]`; of a generator in whose latents labels stand by themselves `[..., w_dim]`, the average face with each
    latent's own labels: half a label is nothing that it was ever told.
    """
    if G.labels_in_w:
        z_dim = G.w_dim - G.label_dim
        return torch.cat([G.w_avg[:z_dim].expand(*w.shape[:-1], -1), w[..., z_dim:]], -1)
    return G.w_avg if condition is None else average_latent(G, torch.Generator().manual_seed(AVERAGING_SEED), condition)


def filled(some: Tensor) -> Tensor:
    """A batch of full size: the last of `[N, ...]` is repeated."""
    return torch.cat([some, some[-1:].expand(BATCH_SIZE - len(some), *some.shape[1:])])


def truncate(w: Tensor, w_avg: Tensor, psi: float) -> Tensor:
    """Pull latents towards the average face, trading variety for quality.

    Args:
        w: `[N, w_dim]` or `[N, num_ws, w_dim]`.
        w_avg: `[w_dim]`, the mean of `w` over many faces, or as `around` gives it.
        psi: 1 leaves `w` as it is, 0 gives the average face.

    Raises:
        BadOption: psi lies outside 0 to 1.

    Source: Karras et al. 2019, arXiv:1812.04948, appendix B.
    """
    check_psi(psi)
    return w if psi == 1 else w_avg.lerp(w, psi)

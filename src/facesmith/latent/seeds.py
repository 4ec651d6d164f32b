"""Seeds -> latents. A seed names a face: the same model and seed give the same one, on every run."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from facesmith.contracts import Generator
from facesmith.errors import BadOption
from facesmith.latent.labels import draw_labels

# Every batch has this many latents, filled up where fewer are left: libraries choose their arithmetic by the batch's
# shape, and a seed is to give the same face, to the bit, whatever is drawn beside it.
BATCH = 16
MOST_SEEDS = 1_000_000
LARGEST_SEED = 2**63 - 1
RANDOM_BELOW = 1_000_000  # seeds chosen for a person stay short enough to be typed again
AVERAGED = 10_000  # latents: their mean is a hundredth of a standard deviation beside the true one
AVERAGING_SEED = 20_180_912


def latents(G: Generator, seeds: Sequence[int], given: Tensor | None = None) -> Tensor:
    """`w` `[N, w_dim]`, one for each seed alone, to the bit, whatever else is drawn with it.

    Args:
        given: labels that a conditional generator is to be told, as in `draw_labels`.

    Raises:
        BadOption: a seed is negative or too large.
    """
    device, (z, labels) = G.w_avg.device, drawn(G, seeds, given)
    parts = [torch.empty(0, G.w_dim, device=device)]
    for start in range(0, len(z), BATCH):
        some = slice(start, start + BATCH)
        told = None if labels is None else filled(labels[some]).to(device)
        parts.append(G.mapping(filled(z[some]).to(device), told))
    return torch.cat(parts)[: len(z)]


def drawn(G: Generator, seeds: Sequence[int], given: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """What seeds stand for, on the CPU: `z` `[N, z_dim]`, and labels `[N, label_dim]` where the generator has any.

    Raises:
        BadOption: a seed is negative or too large.
    """
    z, labels = [torch.empty(0, G.z_dim)], [torch.empty(0, G.label_dim)]
    for seed in seeds:
        if not 0 <= seed <= LARGEST_SEED:
            raise BadOption(f"Seed {seed} lies outside 0 to {LARGEST_SEED}.")
        rng = torch.Generator().manual_seed(seed)
        z.append(G.draw_z(1, rng))
        told = draw_labels(G, 1, rng, given)  # after z, which is thereby the same whatever is given
        labels += [] if told is None else [told]
    return torch.cat(z), torch.cat(labels) if G.label_dim else None


def draw_latents(G: Generator, count: int, rng: torch.Generator, given: Tensor | None = None) -> Tensor:
    """`w` `[count, w_dim]` of new faces, such as the generator is trained on; `given` as in `draw_labels`."""
    z, labels = G.draw_z(count, rng), draw_labels(G, count, rng, given)
    device = G.w_avg.device
    return G.mapping(z.to(device), None if labels is None else labels.to(device))


def average_latent(G: Generator, rng: torch.Generator, given: Tensor | None = None) -> Tensor:
    """`w` `[w_dim]`: the mean over many faces, or over those that have the given labels."""
    return draw_latents(G, AVERAGED, rng, given).mean(0)


def filled(some: Tensor) -> Tensor:
    """A batch of full size: the last of `[N, ...]` is repeated."""
    return torch.cat([some, some[-1:].expand(BATCH - len(some), *some.shape[1:])])


def random_seeds(count: int, seed: int) -> list[int]:
    """Different seeds, always the same ones for this seed.

    Raises:
        BadOption: there are not so many.
    """
    if not 0 <= count <= RANDOM_BELOW:
        raise BadOption(f"{count} random seeds can't be had; 0 to {RANDOM_BELOW} can.")
    return random.Random(seed).sample(range(RANDOM_BELOW), count)


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
    if not 0 <= psi <= 1:
        raise BadOption(f"psi is {psi:g}; it goes from 0, the average face, to 1, the most varied ones.")
    return w if psi == 1 else w_avg.lerp(w, psi)


def parse_seeds(text: str) -> list[int]:
    """Seeds of a text such as `3`, `0-15` or `1,4,7-9`, in its order.

    Raises:
        BadOption: the text is none, or names too many.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise BadOption(f"--seeds {text!r} can't be read. Write seeds like 3 or 0-15 or 1,4,7-9.")
        low, high = int(first), int(last) if dash else int(first)
        if high < low or high > LARGEST_SEED:
            raise BadOption(f"--seeds {part.strip()}: seeds go from a lower to a higher number, up to {LARGEST_SEED}.")
        if len(seeds) + high - low + 1 > MOST_SEEDS:
            raise BadOption(f"--seeds {text!r} names more than {MOST_SEEDS} faces.")
        seeds.extend(range(low, high + 1))
    return seeds

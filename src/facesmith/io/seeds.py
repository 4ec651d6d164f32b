"""Seeds as people write them. A seed names a face. Loads no torch, since a model in ONNX needs none."""

from __future__ import annotations

import random
from collections.abc import Sequence

from facesmith.errors import BadOption

# Every batch has this many latents, filled up where fewer are left: libraries choose their arithmetic by the batch's
# shape, and a seed is to give the same face, to the bit, whatever is drawn beside it.
BATCH_SIZE = 16
MAX_SEED_COUNT = 1_000_000
MAX_SEED = 2**63 - 1
RANDOM_SEED_LIMIT = 1_000_000  # seeds chosen for a person stay short enough to be typed again


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise BadOption where a seed is negative or too large."""
    for seed in seeds:
        if not 0 <= seed <= MAX_SEED:
            raise BadOption(f"Seed {seed} lies outside 0 to {MAX_SEED}.")


def check_psi(psi: float) -> None:
    """Raise BadOption where psi lies outside 0 to 1."""
    if not 0 <= psi <= 1:
        raise BadOption(f"psi is {psi:g}; it goes from 0, the average face, to 1, the most varied ones.")


def random_seeds(count: int, seed: int) -> list[int]:
    """Different seeds, always the same ones for this seed.

    Raises:
        BadOption: there are not so many.
    """
    if not 0 <= count <= RANDOM_SEED_LIMIT:
        raise BadOption(f"{count} random seeds can't be had; 0 to {RANDOM_SEED_LIMIT} can.")
    return random.Random(seed).sample(range(RANDOM_SEED_LIMIT), count)


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
        if high < low or high > MAX_SEED:
            raise BadOption(f"--seeds {part.strip()}: seeds go from a lower to a higher number, up to {MAX_SEED}.")
        if len(seeds) + high - low + 1 > MAX_SEED_COUNT:
            raise BadOption(f"--seeds {text!r} names more than {MAX_SEED_COUNT} faces.")
        seeds.extend(range(low, high + 1))
    return seeds

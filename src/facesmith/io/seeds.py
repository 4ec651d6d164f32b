"""Parse and check seeds. A seed identifies a face. Doesn't import torch, so that ONNX models work without it."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from numbers import Real
from operator import index

from facesmith.errors import BadOption
from facesmith.io.messages import shorten

# Every batch of latents has this size; the last one is padded. Libraries choose their kernels by shape. With a fixed
# shape, a seed gives the same face, bit for bit, whatever else is in the batch.
BATCH_SIZE = 16
MAX_SEED_COUNT = 1_000_000
MAX_SEED = 2**32 - 1  # torch's generator ignores higher bits: seeds n and n + 2**32 would be the same face
DASHES = re.compile("[\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}]")  # that text processors make of a hyphen
RANDOM_SEED_LIMIT = 1_000_000  # random seeds are below this, so that they are short enough to type


def checked_seeds(seeds: Iterable[int]) -> list[int]:
    """The seeds as Python's integers; those of NumPy and torch are seeds, too.

    Raises:
        BadOption: a seed is no whole number or out of range, or there are more than `MAX_SEED_COUNT`.
    """
    try:
        iterator = None if isinstance(seeds, (str, bytes, Mapping)) else iter(seeds)
    except TypeError:  # a number, or an array without dimensions
        iterator = None
    if iterator is None:
        raise BadOption(f"{shorten(repr(seeds), 40)} is not a list of seeds. Write [3] or range(16).")
    checked: list[int] = []
    for seed in iterator:
        if len(checked) == MAX_SEED_COUNT:
            raise BadOption(f"There are more than {MAX_SEED_COUNT} seeds. Draw fewer faces at a time.")
        checked.append(_checked_seed(seed))
    return checked


def _checked_seed(seed: object) -> int:
    try:
        number = None if isinstance(seed, bool) else index(seed)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None:
        raise BadOption(f"{shorten(repr(seed), 40)} is not a seed. Use whole numbers from 0 to {MAX_SEED}.")
    if not 0 <= number <= MAX_SEED:
        raise BadOption(f"A seed is out of range. Use whole numbers from 0 to {MAX_SEED}.")
    return number


def parse_seed(text: str) -> int:
    """Parse one seed, a whole number from 0 to `MAX_SEED`.

    Raises:
        BadOption: the text is anything else, such as a number with thousands of digits.
    """
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal()):
        raise BadOption(f"{shorten(digits, 40)!r} is not a seed; expected a whole number.")
    significant = digits.lstrip("0") or "0"
    if len(significant) > len(str(MAX_SEED)) or int(significant) > MAX_SEED:
        raise BadOption(f"Seed {shorten(digits, 40)} is out of range: seeds go from 0 to {MAX_SEED}.")
    return int(significant)


def check_psi(psi: float) -> None:
    """Raise BadOption if psi is not a number between 0 and 1."""
    if not isinstance(psi, Real):
        raise BadOption(f"psi is {shorten(repr(psi), 40)}; expected a number from 0 to 1.")
    if not 0 <= psi <= 1:
        raise BadOption(f"psi is {psi:g}; expected 0 (the average face) to 1 (most varied).")


def random_seeds(count: int, seed: int) -> list[int]:
    """Distinct random seeds; the same `seed` gives the same list.

    Raises:
        BadOption: `count` is larger than the number of seeds to choose from.
    """
    if not 0 <= count <= RANDOM_SEED_LIMIT:
        raise BadOption(f"{count} random seeds were requested; at most {RANDOM_SEED_LIMIT} are possible.")
    return random.Random(seed).sample(range(RANDOM_SEED_LIMIT), count)


def parse_seeds(text: str) -> list[int]:
    """Parse seeds such as `3`, `0-15` or `1,4,7-9`, keeping their order.

    Raises:
        BadOption: the text can't be read, or lists more than `MAX_SEED_COUNT` seeds.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = DASHES.sub("-", part.strip()).partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise BadOption(f"--seeds {shorten(text)!r} can't be read. Write seeds like 3 or 0-15 or 1,4,7-9.")
        try:
            low = parse_seed(first)
            high = parse_seed(last) if dash else low
        except BadOption as error:
            raise BadOption(f"--seeds: {error}") from None
        if high < low:
            raise BadOption(f"--seeds {part.strip()}: expected the lower seed first.")
        if len(seeds) + high - low + 1 > MAX_SEED_COUNT:
            raise BadOption(f"--seeds {shorten(text)!r} lists more than {MAX_SEED_COUNT} seeds.")
        seeds.extend(range(low, high + 1))
    return seeds

"""Seed -> z in numpy, number for number as torch's CPU generator draws it, so that a seed names the same face there.

torch's generator is the Mersenne Twister, seeded by the lower 32 bits of the seed. Its `rand` takes the lower 24 bits
of each word. Its `randn` is Box and Muller's transform: for fewer than 16 numbers in double precision, one pair after
the other; for 16 and more in single precision, by blocks of 8 radii and 8 angles, the last block drawn anew where the
count is no multiple of 16. Words and uniform numbers are the same to the bit; logarithm and sine are the machine's, so
that normal numbers may differ in their last bits: by 5e-7 at most, over 74 lengths up to 1000 and 10 seeds of each.

Source: ATen/core/MT19937RNGEngine.h, ATen/core/DistributionsHelper.h and ATen/native/cpu/DistributionTemplates.h of
PyTorch 2.14; Box and Muller 1958, "A note on the generation of random normal deviates".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Draw = Callable[[int, int], Floats]
BLOCK = 16  # of normal numbers that are made together


def uniform(seed: int, count: int) -> Floats:
    """`torch.rand(count)`: `[count]` in [0, 1)."""
    return (_words(seed, count) & np.uint32(2**24 - 1)).astype(np.float32) * np.float32(2**-24)


def normal(seed: int, count: int) -> Floats:
    """`torch.randn(count)`, `[count]`, to the last bit or the one before."""
    return _few_normal(seed, count) if count < BLOCK else _many_normal(seed, count)


def centred_uniform(seed: int, count: int) -> Floats:
    """Uniform numbers of mean 0 and variance 1."""
    return (uniform(seed, count) * np.float32(2) - np.float32(1)) * np.float32(np.sqrt(3))


def centred_poisson(seed: int, count: int) -> Floats:
    """`torch.poisson(torch.ones(count)) - 1`: how many uniform numbers keep their product above 1/e."""
    drawn = np.empty(count, np.float32)
    doubles = iter(_doubles(seed, 32 * count + 64))  # one takes two on average
    for i in range(count):
        product, events = next(doubles), 0
        while product > np.exp(-1.0):
            product, events = product * next(doubles), events + 1
        drawn[i] = events - 1
    return drawn


# By the name that a file's metadata gives.
DRAWS: Mapping[str, Draw] = MappingProxyType(
    {"normal": normal, "centred uniform": centred_uniform, "centred poisson": centred_poisson}
)


def _words(seed: int, count: int) -> NDArray[np.uint32]:
    twister = np.random.RandomState(seed & 0xFFFFFFFF)  # of this class numpy promises the same stream for ever
    return twister.randint(0, 2**32, count, dtype=np.uint32)


def _doubles(seed: int, count: int) -> NDArray[np.float64]:
    """`torch.rand(count, dtype=torch.float64)`: the lower 53 bits of two words, the first the higher."""
    high, low = _words(seed, 2 * count).astype(np.uint64).reshape(-1, 2).T
    return ((high << np.uint64(32) | low) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53


def _few_normal(seed: int, count: int) -> Floats:
    angle, radius = _doubles(seed, 2 * -(-count // 2)).reshape(-1, 2).T
    angle, radius = 2 * np.pi * angle, np.sqrt(-2 * np.log1p(-radius))
    pairs: Floats = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)
    return pairs.reshape(-1)[:count]


def _many_normal(seed: int, count: int) -> Floats:
    whole = count // BLOCK * BLOCK
    numbers = uniform(seed, count if count == whole else count + BLOCK)
    drawn = np.empty(count, np.float32)
    drawn[:whole] = _blocks(numbers[:whole])
    if count > whole:
        drawn[-BLOCK:] = _blocks(numbers[count:])
    return drawn


def _blocks(numbers: Floats) -> Floats:
    """Normal numbers `[n]` of uniform ones, n a multiple of 16."""
    first, second = numbers.reshape(-1, 2, BLOCK // 2).transpose(1, 0, 2)
    radius = np.sqrt(np.float32(-2) * np.log(np.float32(1) - first))
    angle = (np.float32(2 * np.pi) * second).astype(np.float64)  # rounded as torch does, its cosine not
    blocks = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    normals: Floats = blocks.astype(np.float32).reshape(-1)
    return normals

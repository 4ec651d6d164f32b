"""Seeds to z in NumPy: the same numbers as torch's CPU generator, so that a seed gives the same face without torch.

torch's generator is the Mersenne Twister, seeded with the seed. `rand` uses the lower 24 bits of
each 32-bit word. `randn` is the Box-Muller transform. It draws fewer than 16 numbers in double precision, pair by
pair. It draws 16 or more in single precision, in blocks of 8 radii and 8 angles. If the count is not a multiple of 16,
it draws the last block again with new words.

Uniform numbers are identical to the bit. Normal numbers may differ in their last bits, because logarithm and sine
depend on the machine: by at most 5e-7, over 74 lengths up to 1000 and 10 seeds each.

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
BLOCK = 16  # torch draws normal numbers in blocks of this size


def uniform(seed: int, count: int) -> Floats:
    """`torch.rand(count)`: `[count]` in [0, 1)."""
    return (_random_words(seed, count) & np.uint32(2**24 - 1)).astype(np.float32) * np.float32(2**-24)


def normal(seed: int, count: int) -> Floats:
    """`torch.randn(count)`: `[count]`, equal up to the last bits."""
    return _normal_pairs(seed, count) if count < BLOCK else _normal_blocks(seed, count)


def centered_uniform(seed: int, count: int) -> Floats:
    """Uniform numbers `[count]` with mean 0 and variance 1."""
    return (uniform(seed, count) * np.float32(2) - np.float32(1)) * np.float32(np.sqrt(3))


def centered_poisson(seed: int, count: int) -> Floats:
    """`torch.poisson(torch.ones(count)) - 1`: `[count]`, counted by multiplying uniform numbers until below 1/e."""
    numbers = np.empty(count, np.float32)
    doubles = iter(_uniform_doubles(seed, 32 * count + 64))  # two per number on average
    for i in range(count):
        product, events = next(doubles), 0
        while product > np.exp(-1.0):
            product, events = product * next(doubles), events + 1
        numbers[i] = events - 1
    return numbers


# By the name in the metadata of an exported file.
DRAWS: Mapping[str, Draw] = MappingProxyType(
    {"normal": normal, "centered uniform": centered_uniform, "centered poisson": centered_poisson}
)


def _random_words(seed: int, count: int) -> NDArray[np.uint32]:
    """The generator's 32-bit words. NumPy guarantees that RandomState never changes its stream."""
    return np.random.RandomState(seed).randint(0, 2**32, count, dtype=np.uint32)


def _uniform_doubles(seed: int, count: int) -> NDArray[np.float64]:
    """`torch.rand(count, dtype=torch.float64)`: the lower 53 bits of two words, the high word first."""
    high, low = _random_words(seed, 2 * count).astype(np.uint64).reshape(-1, 2).T
    return ((high << np.uint64(32) | low) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53


def _normal_pairs(seed: int, count: int) -> Floats:
    angle, radius = _uniform_doubles(seed, 2 * -(-count // 2)).reshape(-1, 2).T
    angle, radius = 2 * np.pi * angle, np.sqrt(-2 * np.log1p(-radius))
    pairs: Floats = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)
    return pairs.reshape(-1)[:count]


def _normal_blocks(seed: int, count: int) -> Floats:
    in_full_blocks = count // BLOCK * BLOCK
    uniforms = uniform(seed, count if count == in_full_blocks else count + BLOCK)
    normals = np.empty(count, np.float32)
    normals[:in_full_blocks] = _box_muller(uniforms[:in_full_blocks])
    if count > in_full_blocks:
        normals[-BLOCK:] = _box_muller(uniforms[count:])
    return normals


def _box_muller(uniforms: Floats) -> Floats:
    """Transform uniform numbers `[n]` to normal ones, block by block; n is a multiple of 16."""
    first, second = uniforms.reshape(-1, 2, BLOCK // 2).transpose(1, 0, 2)
    radius = np.sqrt(np.float32(-2) * np.log(np.float32(1) - first))
    angle = (np.float32(2 * np.pi) * second).astype(np.float64)  # torch rounds the angle to float32, but not its cosine
    blocks = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    normals: Floats = blocks.astype(np.float32).reshape(-1)
    return normals

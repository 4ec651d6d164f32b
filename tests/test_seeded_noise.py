"""Seeds give the same latents in NumPy as in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from facesmith.export.seeded_noise import DRAWS, normal, uniform
from facesmith.nets.gray import Generator

SEEDS = st.integers(0, 2**32 - 1)
COUNTS = st.integers(1, 600)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=150, deadline=None)
@given(SEEDS, COUNTS)
@example(2**32 - 1, 1)
@example(2**32 - 1, 16)
@example(0, 17)
def test_normal_numbers_equal_torchs(seed, count):
    expected = torch.randn(1, count, generator=seeded(seed)).numpy()[0]
    numbers = normal(seed, count)
    assert numbers.dtype == np.float32
    assert np.abs(numbers - expected).max() <= 1e-6
    assert count >= 16 or np.abs(numbers - expected).max() <= 1e-7, "fewer than 16 are computed in double precision"


@settings(max_examples=50, deadline=None)
@given(SEEDS, COUNTS)
def test_uniform_numbers_equal_torchs_to_the_bit(seed, count):
    assert np.array_equal(uniform(seed, count), torch.rand(1, count, generator=seeded(seed)).numpy()[0])


@pytest.mark.parametrize(
    ("prior", "name"), [("normal", "normal"), ("uniform", "centered uniform"), ("poisson", "centered poisson")]
)
@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, z_dim=st.integers(1, 300))
def test_latents_of_every_prior_equal_the_generators(prior, name, seed, z_dim):
    with torch.device("meta"):
        G = Generator(z_dim, 8, prior)
    assert np.abs(DRAWS[name](seed, z_dim) - G.draw_z(1, seeded(seed)).numpy()[0]).max() <= 1e-6

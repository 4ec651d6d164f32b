"""Seeds and latents: deterministic, independent of the batch, and truncated towards the average."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import TinyG
from torch import nn

from facesmith.errors import BadOption
from facesmith.io.seeds import parse_seeds
from facesmith.latent import latents, truncate


def test_latent_of_a_seed_does_not_depend_on_the_batch():
    G = TinyG(16, 3)
    together = latents(G, [7, 3, 7])
    assert torch.equal(together[0], together[2])
    assert torch.equal(together[1:2], latents(G, [3]))
    assert latents(G, []).shape == (0, 8)


class WithMapping(TinyG):
    """A mapping network wide enough that libraries choose their arithmetic by the batch size."""

    def __init__(self):
        super().__init__(16, 3, z_dim=128)
        self.linear = nn.Linear(128, 128)

    def mapping(self, z, labels=None):
        return self.linear(z)


@torch.inference_mode()
def test_mapped_latent_is_bit_identical_in_any_batch():
    G = WithMapping()
    together = latents(G, range(37))
    assert together.shape == (37, 128)
    for seed in (0, 16, 36):
        assert torch.equal(together[seed : seed + 1], latents(G, [seed]))


def test_latents_of_seeds_differ_and_are_normal():
    z = latents(TinyG(16, 3, z_dim=64), range(500))
    assert len({row.numpy().tobytes() for row in z}) == 500
    assert abs(z.mean().item()) < 0.02
    assert z.std().item() == pytest.approx(1.0, abs=0.02)


def test_truncation_interpolates_between_average_and_latent():
    G, w = TinyG(16, 3), torch.randn(3, 8)
    G.w_avg += 2
    assert torch.equal(truncate(G, w, 1.0), w)
    assert torch.allclose(truncate(G, w, 0.0), G.w_avg.expand(3, 8))
    assert torch.allclose(truncate(G, w, 0.5), (w + 2) / 2, atol=1e-6)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_seeds_are_parsed(seeds):
    assert parse_seeds(",".join(map(str, seeds))) == seeds


def test_ranges_include_both_ends():
    assert parse_seeds("1, 4,7-9") == [1, 4, 7, 8, 9]
    assert parse_seeds("7\N{EN DASH}9,1\N{MINUS SIGN}2") == [7, 8, 9, 1, 2]


@pytest.mark.parametrize(
    "text", ["", "a", "-1", "1-", "3-1", "1.5", "1,,2", "0-99999999", str(2**32), "9" * 5000, "1-" + "9" * 5000, "²"]
)
def test_wrong_syntax_is_refused_with_an_example(text):
    with pytest.raises(BadOption, match="seeds"):
        parse_seeds(text)

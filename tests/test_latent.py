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


def test_a_seed_has_its_latent_whatever_is_drawn_beside_it():
    G = TinyG(16, 3)
    together = latents(G, [7, 3, 7])
    assert torch.equal(together[0], together[2])
    assert torch.equal(together[1:2], latents(G, [3]))
    assert latents(G, []).shape == (0, 8)


class WithMapping(TinyG):
    """A mapping wide enough for libraries to choose their arithmetic by the batch."""

    def __init__(self):
        super().__init__(16, 3, z_dim=128)
        self.linear = nn.Linear(128, 128)

    def mapping(self, z, labels=None):
        return self.linear(z)


@torch.inference_mode()
def test_a_mapped_latent_is_the_same_to_the_bit_whatever_is_drawn_beside_it():
    G = WithMapping()
    together = latents(G, range(37))
    assert together.shape == (37, 128)
    for seed in (0, 16, 36):
        assert torch.equal(together[seed : seed + 1], latents(G, [seed]))


def test_seeds_differ_and_are_normal():
    z = latents(TinyG(16, 3, z_dim=64), range(500))
    assert len({row.numpy().tobytes() for row in z}) == 500
    assert abs(z.mean().item()) < 0.02
    assert z.std().item() == pytest.approx(1.0, abs=0.02)


def test_truncation_goes_from_the_latent_to_the_average():
    G, w = TinyG(16, 3), torch.randn(3, 8)
    G.w_avg += 2
    assert torch.equal(truncate(G, w, 1.0), w)
    assert torch.allclose(truncate(G, w, 0.0), G.w_avg.expand(3, 8))
    assert torch.allclose(truncate(G, w, 0.5), (w + 2) / 2)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_seeds_are_read_as_written(seeds):
    assert parse_seeds(",".join(map(str, seeds))) == seeds


def test_ranges_hold_both_ends():
    assert parse_seeds("1, 4,7-9") == [1, 4, 7, 8, 9]


@pytest.mark.parametrize("text", ["", "a", "-1", "1-", "3-1", "1.5", "1,,2", "0-99999999", str(2**63), "²"])
def test_other_texts_are_refused_with_how_to_write_them(text):
    with pytest.raises(BadOption, match="seeds"):
        parse_seeds(text)

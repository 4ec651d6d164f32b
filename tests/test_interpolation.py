"""Ways through the latent space: exact at the seeds, even in between, and at home where faces are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import TinyG

from facesmith.errors import BadOption
from facesmith.latent import latents
from facesmith.latent.interpolation import slerp, walk_latents, walk_positions


def normal(count, size=100):
    return latents(TinyG(16, 3, z_dim=size), range(count))


@pytest.mark.parametrize("spherical", [True, False])
@pytest.mark.parametrize(("closed", "legs"), [(True, 3), (False, 2)])
def test_a_walk_comes_to_its_latents_exactly(spherical, closed, legs):
    z = normal(3)
    frames = 10 * legs + (0 if closed else 1)
    w = walk_latents(z, walk_positions(3, frames, closed=closed), spherical=spherical)
    assert w.shape == (frames, 100)
    assert torch.equal(w[[0, 10, 20]], z)
    assert torch.equal(w[-1], z[2]) is not closed


def test_a_closed_walk_has_no_seam():
    w = walk_latents(normal(4), walk_positions(4, 100, closed=True), spherical=True)
    steps = (w - w.roll(1, 0)).norm(dim=1)
    assert steps[0] < 1.5 * steps.median()
    assert steps.min() > 0.5 * steps.median()


def test_the_sphere_is_kept_and_the_straight_line_leaves_it():
    z, at = normal(6), walk_positions(6, 60, closed=True)
    round_, straight = (walk_latents(z, at, spherical=each).norm(dim=1) for each in (True, False))
    assert round_.min() > 0.95 * z.norm(dim=1).min()
    assert round_.max() < 1.05 * z.norm(dim=1).max()
    assert straight.min() < 0.8 * z.norm(dim=1).min()


@given(st.floats(0, 1), st.integers(0, 1000))
def test_a_slerp_turns_evenly(share, seed):
    start, end = torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    between = slerp(start, end, torch.tensor([[share]], dtype=torch.float64))
    whole, part = (torch.cosine_similarity(start, each).clamp(-1, 1).arccos() for each in (end, between))
    assert part.item() == pytest.approx(share * whole.item(), abs=1e-6)
    assert between.norm().item() == pytest.approx(((1 - share) * start.norm() + share * end.norm()).item())


def test_latents_of_one_direction_are_walked_straight():
    start, half = torch.ones(1, 4, dtype=torch.float64), torch.full((1, 1), 0.5, dtype=torch.float64)
    assert torch.allclose(slerp(start, 3 * start, half), 2 * start)
    assert torch.equal(slerp(start, start, half), start)
    assert torch.allclose(slerp(start, -start, half), 0 * start)


def test_one_latent_is_no_walk():
    with pytest.raises(BadOption, match="2 seeds or more"):
        walk_latents(normal(1), walk_positions(1, 5, closed=True), spherical=True)

"""Walks: exact at their latents, evenly paced, and of constant norm on the sphere."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import TinyG

from facesmith.errors import BadOption
from facesmith.latent import latents
from facesmith.latent.interpolation import slerp, walk_latents, walk_positions


def random_latents(count, size=100):
    return latents(TinyG(16, 3, z_dim=size), range(count))


@pytest.mark.parametrize("spherical", [True, False])
@pytest.mark.parametrize(("closed", "legs"), [(True, 3), (False, 2)])
def test_walk_visits_its_latents_exactly(spherical, closed, legs):
    z = random_latents(3)
    frames = 10 * legs + (0 if closed else 1)
    w = walk_latents(z, walk_positions(3, frames, closed=closed), spherical=spherical)
    assert w.shape == (frames, 100)
    assert torch.equal(w[[0, 10, 20]], z)
    assert torch.equal(w[-1], z[2]) is not closed


def test_closed_walk_has_no_seam():
    w = walk_latents(random_latents(4), walk_positions(4, 100, closed=True), spherical=True)
    steps = (w - w.roll(1, 0)).norm(dim=1)
    assert steps[0] < 1.5 * steps.median()
    assert steps.min() > 0.5 * steps.median()


def test_arcs_keep_the_norm_and_straight_lines_do_not():
    z, positions = random_latents(6), walk_positions(6, 60, closed=True)
    arc, straight = (walk_latents(z, positions, spherical=each).norm(dim=1) for each in (True, False))
    assert arc.min() > 0.95 * z.norm(dim=1).min()
    assert arc.max() < 1.05 * z.norm(dim=1).max()
    assert straight.min() < 0.8 * z.norm(dim=1).min()


@given(st.floats(0, 1), st.integers(0, 1000))
def test_slerp_changes_angle_and_norm_evenly(t, seed):
    start, end = torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    between = slerp(start, end, torch.tensor([[t]], dtype=torch.float64))
    whole, part = (torch.cosine_similarity(start, each).clamp(-1, 1).arccos() for each in (end, between))
    assert part.item() == pytest.approx(t * whole.item(), abs=1e-6)
    assert between.norm().item() == pytest.approx(((1 - t) * start.norm() + t * end.norm()).item())


def test_parallel_latents_are_interpolated_linearly():
    start, half = torch.ones(1, 4, dtype=torch.float64), torch.full((1, 1), 0.5, dtype=torch.float64)
    assert torch.allclose(slerp(start, 3 * start, half), 2 * start)
    assert torch.equal(slerp(start, start, half), start)
    assert torch.allclose(slerp(start, -start, half), 0 * start)


def test_walk_needs_two_latents():
    with pytest.raises(BadOption, match="at least 2"):
        walk_latents(random_latents(1), walk_positions(1, 5, closed=True), spherical=True)

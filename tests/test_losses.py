"""Losses against values that others have published, and the balance that they report."""

from __future__ import annotations

import pytest
import torch
from small import small_state

from facesmith.losses import judged, non_saturating_d, non_saturating_g
from facesmith.trainer import make_batch

# torchgan's own test values.
DX = torch.tensor([1.3, 2.9, 8.4, 6.3])
DGZ = torch.tensor([4.8, 1.2, -3.5, 5.9])


def test_losses_match_torchgan():
    assert non_saturating_g(DGZ).item() == pytest.approx(0.9509911, rel=1e-6)
    assert non_saturating_d(DX, DGZ).item() == pytest.approx(3.1251488, rel=1e-6)


def test_confident_logits_keep_their_gradient():
    fake = torch.tensor([-200.0], requires_grad=True)
    non_saturating_g(fake).backward()
    assert fake.grad.item() == pytest.approx(-1.0)


def test_judged_counts_who_is_right():
    assert {k: v.item() for k, v in judged(DX, DGZ).items()} == {"D/knows_real": 1.0, "D/knows_fake": 0.25}
    assert judged(None, DGZ)["G/fools"].item() == 0.75


def test_the_critic_leaves_the_fakes_graph_to_the_generator():
    state = small_state()
    batch = make_batch(state, state.recipe.turns(0)[0], state.knobs, torch.Generator().manual_seed(0))
    state.objective.loss("D", state.nets, batch).total.backward()
    assert all(p.grad is None for p in state.nets["G"].parameters())
    state.objective.loss("G", state.nets, batch).total.backward()
    assert all(p.grad is not None for p in state.nets["G"].parameters())

"""The balancing rules: which player skips its step, and how the L2 penalty adapts."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facesmith.gan.balance import L2_STEP, Balance


def logits_with(loss_real, loss_fake):
    """The logits of one real image and one fake that have these cross-entropies."""
    return -torch.tensor([math.log(math.expm1(loss_real))]), torch.tensor([math.log(math.expm1(loss_fake))])


@pytest.mark.parametrize(
    ("loss_real", "loss_fake", "d_updates", "g_updates"),
    [
        (0.5, 0.5, True, True),
        (0.2, 0.5, False, True),
        (0.5, 0.2, False, True),
        (0.5, 0.8, True, False),
        (0.8, 0.5, True, False),
        (0.2, 0.8, True, True),  # both would skip
        (0.31, 0.69, True, True),
    ],
)
def test_the_player_that_is_ahead_skips_its_step(loss_real, loss_fake, d_updates, g_updates):
    balance = Balance("skip")
    assert balance.decide(*logits_with(loss_real, loss_fake)) is d_updates
    assert bool(balance.g_waits) is not g_updates


@given(st.floats(0.01, 5), st.floats(0.01, 5))
def test_players_never_both_skip(loss_real, loss_fake):
    balance = Balance("skip")
    assert balance.decide(*logits_with(loss_real, loss_fake)) or not bool(balance.g_waits)


@pytest.mark.parametrize("mode", ["none", "l2"])
def test_other_modes_never_skip(mode):
    balance = Balance(mode)
    assert balance.decide(*logits_with(0.01, 0.01))
    assert not bool(balance.g_waits)


@given(st.lists(st.floats(0, 5), max_size=50))
def test_l2_weight_follows_the_rule_of_the_text(g_losses):
    balance, expected = Balance("l2"), 0.0
    for g_loss in g_losses:
        balance.adapt(torch.tensor(g_loss))
        expected = max(expected + L2_STEP * ((g_loss > 1.3) - (g_loss < 0.9)), 0.0)
    assert balance.l2.item() == pytest.approx(expected, abs=1e-7)


def test_l2_penalty_is_half_the_weighted_square_of_all_parameters():
    balance, D = Balance("l2"), torch.nn.Linear(3, 1)
    assert balance.penalty(D).item() == 0
    balance.l2.fill_(0.5)
    square = D.weight.square().sum() + D.bias.square().sum()
    assert balance.penalty(D).item() == pytest.approx(0.25 * square.item())
    assert Balance("none").penalty(D).item() == 0

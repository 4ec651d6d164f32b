"""The referee of the balanced recipes: who waits, and how heavy the critic's penalty is."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facesmith.gan.balance import L2_STEP, Balance


def logits_of(error_real, error_fake):
    """Logits of one real face and one fake whose cross-entropies are these."""
    return -torch.tensor([math.log(math.expm1(error_real))]), torch.tensor([math.log(math.expm1(error_fake))])


@pytest.mark.parametrize(
    ("error_real", "error_fake", "d_plays", "g_plays"),
    [
        (0.5, 0.5, True, True),
        (0.2, 0.5, False, True),
        (0.5, 0.2, False, True),
        (0.5, 0.8, True, False),
        (0.8, 0.5, True, False),
        (0.2, 0.8, True, True),  # both would wait
        (0.31, 0.69, True, True),
    ],
)
def test_who_is_ahead_waits(error_real, error_fake, d_plays, g_plays):
    balance = Balance("skip")
    assert balance.weigh(*logits_of(error_real, error_fake)) is d_plays
    assert bool(balance.g_waits) is not g_plays


@given(st.floats(0.01, 5), st.floats(0.01, 5))
def test_never_do_both_wait(error_real, error_fake):
    balance = Balance("skip")
    assert balance.weigh(*logits_of(error_real, error_fake)) or not bool(balance.g_waits)


@pytest.mark.parametrize("how", ["none", "l2"])
def test_without_skipping_nobody_waits(how):
    balance = Balance(how)
    assert balance.weigh(*logits_of(0.01, 0.01))
    assert not bool(balance.g_waits)


@given(st.lists(st.floats(0, 5), max_size=50))
def test_the_penalty_follows_the_texts_rule(errors):
    balance, expected = Balance("l2"), 0.0
    for error in errors:
        balance.adapt(torch.tensor(error))
        expected += L2_STEP * ((error > 1.3) - (error < 0.9))
        expected = max(expected, 0.0)
    assert balance.l2.item() == pytest.approx(expected, abs=1e-7)


def test_the_penalty_is_half_the_weights_square():
    balance, D = Balance("l2"), torch.nn.Linear(3, 1)
    assert balance.penalty(D).item() == 0
    balance.l2.fill_(0.5)
    square = D.weight.square().sum() + D.bias.square().sum()
    assert balance.penalty(D).item() == pytest.approx(0.25 * square.item())
    balance.how = "none"
    balance.l2.zero_()
    assert balance.penalty(D).item() == 0

"""Losses against values that others have published, and the balance that they report."""

from __future__ import annotations

import pytest
import torch
from small import small_state

from facesmith.gan.contracts import Batch, Knobs
from facesmith.gan.losses import (
    NonSaturating,
    Wasserstein,
    accuracy_terms,
    gradient_penalty,
    least_squares_d,
    least_squares_g,
    non_saturating_d,
    non_saturating_g,
    r1_penalty,
    wasserstein_d,
    wasserstein_g,
)
from facesmith.training.trainer import make_batch

# torchgan's own test values.
DX = torch.tensor([1.3, 2.9, 8.4, 6.3])
DGZ = torch.tensor([4.8, 1.2, -3.5, 5.9])


def test_losses_match_torchgan():
    assert non_saturating_g(DGZ).item() == pytest.approx(0.9509911, rel=1e-6)
    assert non_saturating_d(DX, DGZ).item() == pytest.approx(3.1251488, rel=1e-6)
    assert least_squares_g(DGZ).item() == pytest.approx(7.3425, rel=1e-6)
    assert least_squares_d(DX, DGZ).item() == pytest.approx(19.76125, rel=1e-6)
    assert wasserstein_g(DGZ).item() == pytest.approx(-2.1, rel=1e-6)
    assert wasserstein_d(DX, DGZ).item() == pytest.approx(-2.625, rel=1e-6)


def test_smoothing_moves_the_real_faces_target_only():
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    expected = cross_entropy(DX, torch.full_like(DX, 0.9)) + cross_entropy(DGZ, torch.zeros_like(DGZ))
    assert non_saturating_d(DX, DGZ, label_smoothing=0.1).item() == pytest.approx(expected.item(), rel=1e-6)
    assert least_squares_d(torch.full_like(DX, 0.9), torch.zeros_like(DGZ), label_smoothing=0.1).item() == 0


@pytest.mark.parametrize(("slope", "expected"), [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0)])
def test_the_gradient_penalty_is_the_slopes_distance_from_1(slope, expected):
    direction = torch.randn(12)
    discriminator = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1))
    discriminator[1].weight.data = (slope * direction / direction.norm())[None]
    penalty = gradient_penalty(discriminator, torch.randn(5, 3, 2, 2), torch.randn(5, 3, 2, 2))
    assert penalty.item() == pytest.approx(expected, abs=1e-5)
    penalty.backward()
    assert torch.isfinite(discriminator[1].weight.grad).all()


def test_a_penalty_of_some_pictures_is_that_of_all_on_average():
    torch.manual_seed(0)
    nets = torch.nn.ModuleDict({"G": torch.nn.Identity(), "D": small_state("wgan-gp64").nets["D"]})
    knobs = Knobs(lr={})
    found = {}
    for count in (2, None):
        game, draws = Wasserstein(penalty_batch=count), []
        for _ in range(50):
            real, fake = torch.rand(8, 3, 16, 16) * 2 - 1, torch.zeros(8, 3, 16, 16)
            terms = game.loss("D", nets, Batch(real, real, fake, None, knobs, 0, "train")).terms
            draws.append(terms["D/gradient_penalty"].item())
        found[count] = sum(draws) / len(draws)
    assert found[2] == pytest.approx(found[None], rel=0.05)


@pytest.mark.parametrize("slope", [0.0, 1.0, 3.0])
def test_the_squared_slope_is_that_at_real_faces(slope):
    direction = torch.randn(12)
    discriminator = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1))
    discriminator[1].weight.data = (slope * direction / direction.norm())[None]
    found = r1_penalty(discriminator, torch.randn(5, 3, 2, 2))
    assert found.item() == pytest.approx(slope**2, abs=1e-5)
    found.backward()
    assert torch.isfinite(discriminator[1].weight.grad).all()


@pytest.mark.parametrize("told", [False, True])
def test_a_penalty_now_and_then_weighs_over_all_steps_as_if_always_there(told):
    torch.manual_seed(0)
    state = small_state("quick64", **({"condition": ("smiling",)} if told else {}))
    nets = state.nets.eval()  # no dropout: every step is judged alike
    real, fake = torch.rand(8, 3, 16, 16) * 2 - 1, torch.zeros(8, 3, 16, 16)
    labels = torch.ones(8, 1) if told else None
    games = {every: NonSaturating(gamma=0.3, every=every, penalty_batch=4) for every in (1, 5)}
    totals = {
        every: [
            game.loss("D", nets, Batch(real, real, fake, labels, Knobs(lr={}), step, "train", labels)).total.item()
            for step in range(10)
        ]
        for every, game in games.items()
    }
    assert sum(totals[5]) == pytest.approx(sum(totals[1]), rel=1e-5)
    slope = r1_penalty(nets["D"], real[:4], None if labels is None else labels[:4]).item()
    assert totals[1][0] - totals[5][1] == pytest.approx(0.5 * 0.3 * slope, rel=1e-4)
    assert totals[5][0] - totals[5][1] == pytest.approx(5 * 0.5 * 0.3 * slope, rel=1e-4)


def test_confident_logits_keep_their_gradient():
    fake = torch.tensor([-200.0], requires_grad=True)
    non_saturating_g(fake).backward()
    assert fake.grad.item() == pytest.approx(-1.0)


def test_judged_counts_who_is_right():
    assert {k: v.item() for k, v in accuracy_terms(DX, DGZ).items()} == {
        "D/accuracy_real": 1.0,
        "D/accuracy_fake": 0.25,
    }
    assert accuracy_terms(None, DGZ)["G/fooling_rate"].item() == 0.75
    assert accuracy_terms(DX, DGZ, real_threshold=3.0)["D/accuracy_real"].item() == 0.5


def test_scores_without_a_threshold_are_ranked():
    ranks = accuracy_terms(DX, DGZ, real_threshold=None)
    assert ranks == {"D/auc": pytest.approx(12 / 16)}  # 1.3 > two of the fakes, 2.9 > two, 8.4 and 6.3 > all
    assert accuracy_terms(None, DGZ, real_threshold=None) == {}


def test_the_critic_leaves_the_fakes_graph_to_the_generator():
    state = small_state()
    batch = make_batch(state, state.recipe.turns(0)[0], state.knobs, torch.Generator().manual_seed(0))
    state.objective.loss("D", state.nets, batch).total.backward()
    assert all(p.grad is None for p in state.nets["G"].parameters())
    state.objective.loss("G", state.nets, batch).total.backward()
    assert all(p.grad is not None for p in state.nets["G"].parameters())

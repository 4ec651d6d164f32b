"""Loss functions against published values, gradient penalties against known gradients, and what objectives log."""

from __future__ import annotations

import pytest
import torch
from small import small_state
from torch.nn.functional import binary_cross_entropy_with_logits

from facesmith.gan import contracts
from facesmith.gan.contracts import Batch, Knobs
from facesmith.gan.losses import (
    NonSaturating,
    Wasserstein,
    accuracy_terms,
    cross_entropies,
    gradient_penalty,
    least_squares_d,
    least_squares_g,
    non_saturating_d,
    non_saturating_g,
    r1_penalty,
    squared_errors,
    wasserstein_d,
    wasserstein_g,
)
from facesmith.nets import modulated
from facesmith.training.step import make_batch, train_step

# Inputs and expected losses of torchgan's own tests.
DX = torch.tensor([1.3, 2.9, 8.4, 6.3])
DGZ = torch.tensor([4.8, 1.2, -3.5, 5.9])


class LinearD(contracts.Discriminator):
    """A linear discriminator of images 3x2x2, whose gradient has the given norm everywhere."""

    def __init__(self, gradient_norm):
        super().__init__()
        direction = torch.randn(12)
        self.weight = torch.nn.Parameter(gradient_norm * direction / direction.norm())

    def forward(self, x, labels=None):
        return x.flatten(1) @ self.weight


def real_and_blank_images():
    return torch.rand(8, 3, 16, 16) * 2 - 1, torch.zeros(8, 3, 16, 16)


def test_losses_match_torchgan():
    assert non_saturating_g(DGZ).item() == pytest.approx(0.9509911, rel=1e-6)
    assert non_saturating_d(DX, DGZ).item() == pytest.approx(3.1251488, rel=1e-6)
    assert least_squares_g(DGZ).item() == pytest.approx(7.3425, rel=1e-6)
    assert least_squares_d(DX, DGZ).item() == pytest.approx(19.76125, rel=1e-6)
    assert wasserstein_g(DGZ).item() == pytest.approx(-2.1, rel=1e-6)
    assert wasserstein_d(DX, DGZ).item() == pytest.approx(-2.625, rel=1e-6)


def test_label_smoothing_changes_the_target_of_real_images_only():
    real_term = binary_cross_entropy_with_logits(DX, torch.full_like(DX, 0.9)).item()
    fake_term = binary_cross_entropy_with_logits(DGZ, torch.zeros_like(DGZ)).item()
    assert non_saturating_d(DX, DGZ, label_smoothing=0.1).item() == pytest.approx(real_term + fake_term, rel=1e-6)
    parts = [part.item() for part in cross_entropies(DX, DGZ, label_smoothing=0.1)]
    assert parts == pytest.approx([real_term, fake_term], rel=1e-6)
    assert least_squares_d(torch.full_like(DX, 0.9), torch.zeros_like(DGZ), label_smoothing=0.1).item() == 0
    assert [part.item() for part in squared_errors(DX - DX, DGZ - DGZ, label_smoothing=0.5)] == [0.125, 0]


@pytest.mark.parametrize(
    ("name", "values"), [("dcgan32", {"loss": "bce"}), ("dcgan32", {"loss": "lsgan"}), ("balanced64", {})]
)
def test_logged_losses_on_real_images_and_on_fakes_add_up_to_the_loss_of_the_discriminator(name, values):
    terms = train_step(small_state(name, **values))
    parts = terms["D/loss_real"].item() + terms["D/loss_fake"].item()
    assert parts == pytest.approx(terms["D/loss"].item(), rel=1e-5)


def test_a_critic_has_no_loss_on_real_images_alone():
    assert "D/loss_real" not in train_step(small_state("wgan-gp64"))


@pytest.mark.parametrize(("gradient_norm", "expected"), [(1.0, 0.0), (3.0, 4.0), (0.0, 1.0)])
def test_gradient_penalty_is_the_squared_distance_of_the_gradient_norm_from_1(gradient_norm, expected):
    D = LinearD(gradient_norm)
    penalty = gradient_penalty(D, torch.randn(5, 3, 2, 2), torch.randn(5, 3, 2, 2))
    assert penalty.item() == pytest.approx(expected, abs=1e-5)
    penalty.backward()
    assert torch.isfinite(D.weight.grad).all()


@pytest.mark.parametrize("gradient_norm", [0.0, 1.0, 3.0])
def test_r1_penalty_is_the_squared_gradient_norm(gradient_norm):
    D = LinearD(gradient_norm)
    penalty = r1_penalty(D, torch.randn(5, 3, 2, 2))
    assert penalty.item() == pytest.approx(gradient_norm**2, abs=1e-5)
    penalty.backward()
    assert torch.isfinite(D.weight.grad).all()


def test_r1_in_bfloat16_has_nearly_the_same_gradient():
    torch.manual_seed(0)
    D, real = modulated.Discriminator(resolution=16).eval(), torch.rand(8, 3, 16, 16) * 2 - 1
    gradients = []
    for is_bfloat16 in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bfloat16):
            penalty = r1_penalty(D, real)
        assert penalty.dtype == torch.float32
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(penalty, list(D.parameters())[:4])]))
    assert torch.cosine_similarity(*gradients, dim=0) > 0.99


def test_gradient_penalty_on_part_of_a_batch_has_the_same_mean():
    torch.manual_seed(0)
    nets = torch.nn.ModuleDict({"G": torch.nn.Identity(), "D": small_state("wgan-gp64").nets["D"]})
    means = {}
    for penalty_batch in (2, None):
        objective, total = Wasserstein(penalty_batch=penalty_batch), 0.0
        for _ in range(50):
            real, fake = real_and_blank_images()
            loss = objective.loss("D", nets, Batch(real, real, fake, None, Knobs(lr={}), 0, "train"))
            total += loss.terms["D/gradient_penalty"].item()
        means[penalty_batch] = total / 50
    assert means[2] == pytest.approx(means[None], rel=0.05)


@pytest.mark.parametrize("conditional", [False, True])
def test_lazy_r1_has_the_same_total_as_r1_in_every_step(conditional):
    torch.manual_seed(0)
    state = small_state("quick", **({"condition": ("smiling",)} if conditional else {}))
    nets = state.nets.eval()  # without dropout, the same images have the same logits in every step
    real, fake = real_and_blank_images()
    labels = torch.ones(8, 1) if conditional else None

    def d_losses(penalty_every):
        objective = NonSaturating(gamma=0.3, penalty_every=penalty_every, penalty_batch=4)
        batches = (Batch(real, real, fake, labels, Knobs(lr={}), step, "train", labels) for step in range(10))
        return [objective.loss("D", nets, batch).total.item() for batch in batches]

    always, lazy = d_losses(1), d_losses(5)
    assert sum(lazy) == pytest.approx(sum(always), rel=1e-5)
    r1 = r1_penalty(nets["D"], real[:4], None if labels is None else labels[:4]).item()
    assert always[0] - lazy[1] == pytest.approx(0.5 * 0.3 * r1, rel=1e-4)
    assert lazy[0] - lazy[1] == pytest.approx(5 * 0.5 * 0.3 * r1, rel=1e-4)


def test_gradient_does_not_vanish_for_confident_logits():
    fake_logits = torch.tensor([-200.0], requires_grad=True)
    non_saturating_g(fake_logits).backward()
    assert fake_logits.grad.item() == pytest.approx(-1.0)


def test_accuracy_terms_are_shares_on_either_side_of_the_threshold():
    terms = accuracy_terms(DX, DGZ)
    assert {name: term.item() for name, term in terms.items()} == {"D/accuracy_real": 1.0, "D/accuracy_fake": 0.25}
    assert accuracy_terms(None, DGZ)["G/fooling_rate"].item() == 0.75
    assert accuracy_terms(DX, DGZ, real_threshold=3.0)["D/accuracy_real"].item() == 0.5


def test_without_a_threshold_the_auc_is_logged():
    # Of the four fakes, 1.3 and 2.9 are above two each; 8.4 and 6.3 are above all.
    assert accuracy_terms(DX, DGZ, real_threshold=None) == {"D/auc": pytest.approx(12 / 16)}
    assert accuracy_terms(None, DGZ, real_threshold=None) == {}


def test_discriminator_loss_sends_no_gradient_to_the_generator():
    state = small_state()
    batch = make_batch(state, state.recipe.turns(0)[0], state.knobs, torch.Generator().manual_seed(0))
    state.objective.loss("D", state.nets, batch).total.backward()
    assert all(p.grad is None for p in state.nets["G"].parameters())
    state.objective.loss("G", state.nets, batch).total.backward()
    assert all(p.grad is not None for p in state.nets["G"].parameters())

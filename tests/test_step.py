"""One step: which networks change, what the clock counts, exact resume, averages."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import RECIPES, TEST_RECIPES, small_state, train_to_end

from facesmith.errors import NonFiniteLoss
from facesmith.gan.contracts import Generator, Knobs, Loss, Objective
from facesmith.modelfiles.checkpoint import load_state, save_state
from facesmith.training.averages import inference_networks, update_averages
from facesmith.training.state import load_state_dict, state_dict
from facesmith.training.step import make_batch, train_step

ALL = (*RECIPES, *TEST_RECIPES)


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def steps(state, count):
    return [train_step(state) for _ in range(count)]


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("name", ALL)
def test_a_step_changes_the_networks_of_its_players_and_returns_finite_terms(name):
    state = small_state(name)
    while state.seen == 0:  # past any pretraining
        before = {key: weights(net) for key, net in state.nets.items()}
        terms = train_step(state)
    assert all(not torch.equal(weights(net), before[key]) for key, net in state.nets.items())
    assert terms
    assert all(torch.isfinite(term) and not term.requires_grad for term in terms.values())


def test_a_term_of_several_turns_is_their_mean(monkeypatch):
    state, losses = small_state("test-pretrained", pretraining=0), []
    loss_of = state.objective.loss

    def watched(player, nets, batch):
        loss = loss_of(player, nets, batch)
        losses.extend([loss.terms["D/loss"].item()] if player == "D" else [])
        return loss

    monkeypatch.setattr(state.objective, "loss", watched)
    terms = train_step(state)
    assert len(losses) == 5
    assert float(terms["D/loss"]) == pytest.approx(sum(losses) / 5)


def test_pretraining_changes_only_the_discriminator_and_stops_the_clock():
    state = small_state("test-pretrained")
    G, D, average = weights(state.nets["G"]), weights(state.nets["D"]), weights(state.averages["G"])
    steps(state, 3)
    assert state.seen == 0
    assert torch.equal(weights(state.nets["G"]), G)
    assert torch.equal(weights(state.averages["G"]), average)
    assert not torch.equal(weights(state.nets["D"]), D)
    steps(state, 1)
    assert state.seen == 5 * 8  # five discriminator turns of 8 real images; the generator's turn shows none


def test_a_waiting_player_is_not_updated_and_the_other_is():
    state = small_state("test-balanced")
    steps(state, 2)
    D, G = weights(state.nets["D"]), weights(state.nets["G"])
    steps(state, 1)  # in the third step the discriminator waits
    assert torch.equal(weights(state.nets["D"]), D)
    assert not torch.equal(weights(state.nets["G"]), G)


@pytest.mark.parametrize("name", ALL)
def test_no_gradient_reaches_a_network_outside_the_playing_player(name):
    state = small_state(name)
    playing = []

    class Observed(Objective):
        def loss(self, player, nets, batch) -> Loss:
            playing.append(
                (player, {key for key, net in nets.items() if all(p.requires_grad for p in net.parameters())})
            )
            loss = inner.loss(player, nets, batch)
            grads = {key: [p.grad for p in net.parameters()] for key, net in nets.items()}
            assert all(grad is None for own in grads.values() for grad in own), "gradients of an earlier player remain"
            return loss

    inner, state.objective = state.objective, Observed()
    steps(state, 5)
    assert playing
    assert all(trainable == set(state.players[player].nets) for player, trainable in playing)


def test_the_gan_loss_does_not_reach_the_encoder():
    state = small_state("test-autoencoder")
    (turn,) = state.recipe.turns(0)
    batch = make_batch(state, turn, state.knobs, torch.Generator().manual_seed(0))
    terms = state.objective.loss("G", state.nets, batch).terms
    terms["G/gan"].backward(retain_graph=True)
    assert all(p.grad is None for p in state.nets["E"].parameters())
    assert all(p.grad is not None for p in state.nets["G"].parameters())
    terms["G/reconstruction"].backward()
    assert all(p.grad is not None for p in state.nets["E"].parameters())


@pytest.mark.parametrize("name", ["dcgan64", *TEST_RECIPES])
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_resume_at_any_step_gives_identical_weights(name, data):
    stop = data.draw(st.integers(0, 7))
    straight = small_state(name)
    steps(straight, 8)

    first = small_state(name)
    steps(first, stop)
    saved = copy.deepcopy(state_dict(first))
    torch.manual_seed(12345)  # the global generator may change in between
    second = small_state(name)
    load_state_dict(second, saved)
    steps(second, 8 - stop)
    assert same(state_dict(second), state_dict(straight))


def between(low, high):
    return lambda state, terms: low < float(state.nets["G"].level) < high


def waited(player):
    return lambda state, terms: (terms["D/plays"], terms["G/plays"]) == ((0, 1) if player == "D" else (1, 0))


# Moments at which resuming is hard: (recipe, hyperparameters, steps before the stop, a condition that must hold then).
MOMENTS = [
    *((name, {}, 2, lambda state, terms: True) for name in RECIPES),
    ("gray-dcgan64", {}, 1, lambda state, terms: state.seen == 0),  # during pretraining
    ("gray-dcgan64", {"prior": "poisson"}, 3, lambda state, terms: state.seen > 0),  # after it
    ("progressive64", {"growing": 1.0}, 4, between(0, 0.5)),
    ("progressive64", {"growing": 1.0, "loss": "wgan-gp"}, 4, between(0, 0.5)),
    ("progressive64", {"growing": 1.0, "resolution": 128}, 3, between(0.2, 0.4)),
    ("balanced64", {"balance": "skip"}, 2, waited("G")),
    ("vaegan64", {"balance": "skip"}, 2, waited("G")),
    ("balanced64", {"balance": "skip", "lr": 3e-3, "d_dropout": 0.0}, 8, waited("D")),
    ("balanced64", {"balance": "l2"}, 2, lambda state, terms: True),
    ("dcgan32", {"brightness": 0.5, "rotation_degrees": 15.0, "dropout": 0.2}, 2, lambda state, terms: True),
]


@pytest.mark.parametrize(("name", "values", "stop", "shows"), MOMENTS)
def test_every_recipe_resumes_exactly_at_hard_moments(tmp_path, name, values, stop, shows):
    def new():
        state = small_state(name, budget=200 if stop > 5 else 52, **values)
        if (
            values.get("balance") == "skip" and stop == 2
        ):  # a discriminator that takes everything for real, so that G waits
            torch.nn.init.constant_(state.nets["D"].layers[-1].bias, 0.8)
        return state

    straight = new()
    steps(straight, stop + 2)
    first = new()
    (*_, terms) = steps(first, stop)
    assert shows(first, terms), "the stop is at the intended moment"
    save_state(tmp_path / "state.pt", state_dict(first))
    torch.manual_seed(12345)
    second = new()
    load_state_dict(second, load_state(tmp_path / "state.pt"))
    steps(second, 2)
    assert same(state_dict(second), state_dict(straight))


def test_another_seed_gives_another_training():
    a, b = small_state(seed=0), small_state(seed=1)
    assert not torch.equal(weights(a.nets["G"]), weights(b.nets["G"]))
    steps(a, 1)
    steps(b, 1)
    assert a.stream.position == b.stream.position
    assert not torch.equal(a.stream.draw(8), b.stream.draw(8))


def test_steps_end_exactly_at_the_budget():
    state = small_state(budget=64)
    train_to_end(state)
    assert (state.seen, state.step) == (64, 8)


def test_knobs_follow_progress_and_set_the_level():
    state = small_state("test-balanced", budget=64)
    steps(state, 5)  # the fifth step began at 32 of 64 images
    assert float(state.nets["G"].level) == pytest.approx(0.5)
    assert float(state.averages["G"].level) == pytest.approx(0.5)


def test_the_average_halves_old_weights_within_its_half_life():
    state = small_state()
    for p in state.averages["G"].parameters():
        p.data.fill_(1.0)
    for p in state.nets["G"].parameters():
        p.data.zero_()
    state.seen = 1000
    for _ in range(10):  # ten updates of 5 images: 50, the half-life at a share of .05
        update_averages(state, Knobs(lr={}, ema_share=0.05), 5)
    assert weights(state.averages["G"]).tolist() == pytest.approx([0.5] * len(weights(state.averages["G"])), rel=1e-4)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_leaves_the_weights(poison):
    state = small_state()
    steps(state, 2)
    inner = state.objective

    class Poisoned(Objective):
        def loss(self, player, nets, batch) -> Loss:
            loss = inner.loss(player, nets, batch)
            return Loss(loss.total * poison, loss.terms)

    state.objective = Poisoned()
    before = {name: weights(net) for name, net in state.nets.items()}
    with pytest.raises(NonFiniteLoss, match="lower learning rate"):
        train_step(state)
    assert all(torch.equal(weights(net), before[name]) for name, net in state.nets.items())


def test_a_gradient_that_is_not_finite_leaves_the_weights():
    state = small_state()
    G = state.nets["G"]
    inner = state.objective

    class Overflowing(Objective):
        def loss(self, player, nets, batch) -> Loss:
            loss = inner.loss(player, nets, batch)
            if player == "D":
                return loss
            spike = (next(G.parameters()) * 0.0).sum().abs().sqrt()  # 0, with an infinite slope
            return Loss(loss.total + spike, loss.terms)

    state.objective = Overflowing()
    before = weights(G)
    with pytest.raises(NonFiniteLoss):
        train_step(state)
    assert torch.equal(weights(G), before)


def test_gradients_are_clipped_to_the_norm_of_the_player():
    state = small_state("test-pretrained", pretraining=1)
    norms = []
    optimizer = state.optimizers["D"]
    inner = optimizer.step

    def step():
        norms.append(torch.nn.utils.get_total_norm([p.grad for p in state.nets["D"].parameters()]).item())
        inner()

    optimizer.step = step
    steps(state, 1)
    assert norms == [pytest.approx(0.01, rel=1e-3)]


def test_inference_networks_have_their_own_batch_norm_statistics():
    state = small_state("test-autoencoder")
    steps(state, 4)
    running = state.averages["G"].norm.running_mean.clone()
    nets = inference_networks(state)
    G = nets["G"]
    assert isinstance(G, Generator)
    assert torch.equal(state.averages["G"].norm.running_mean, running), "the averages themselves do not change"
    pictures = G(torch.randn(512, 8, generator=torch.Generator().manual_seed(3)))
    hidden = torch.atanh(pictures.clamp(-0.999, 0.999))
    centred = (hidden.mean((0, 2, 3)) - G.norm.bias) / G.norm.weight
    assert centred.abs().max() < 0.1, "on new latents the statistics fit"
    assert not any(net.training for net in nets.values())
    assert same(dict(inference_networks(state).state_dict()), dict(nets.state_dict()))


def test_statistics_of_an_autoencoder_fit_encoded_latents():
    state = small_state("vae64", lr=5e-3, budget=2000, faces=256)
    train_to_end(state)
    nets = inference_networks(state)
    faces = state.stream.draw(128)
    mean, _ = nets["E"](faces)
    reconstructed = nets["G"](mean)
    by_batch = nets["G"].train()(mean)  # with the statistics of these latents
    error, least = ((images - faces).square().mean().item() for images in (reconstructed, by_batch))
    assert error < 1.1 * least


def test_mirroring_flips_about_half_of_the_faces():
    plain = small_state(mirror=False)
    faces = plain.stream.draw(48)
    whole = {face.numpy().tobytes() for face in faces}
    mirrored = small_state(mirror=True).stream.draw(48)
    flips = [face.numpy().tobytes() not in whole for face in mirrored]
    assert 10 < sum(flips) < 38
    assert all(
        torch.equal(face.flip(2), other) or torch.equal(face, other)
        for face, other in itertools.islice(zip(faces, mirrored, strict=True), 48)
    )

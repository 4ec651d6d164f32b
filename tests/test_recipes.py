"""Every recipe of the registry, and the registry itself."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import RECIPES, TEST_RECIPES, Tiny, small_recipe, small_state

from facesmith.errors import BadOption
from facesmith.gan.contracts import Batch, Discriminator, Encoder, Generator, Loss, Objective, Turn, set_level
from facesmith.gan.list_recipes import count_parameters, describe_recipe, multiply_adds, recipe_table
from facesmith.gan.recipe import find_recipe, make_recipe, parse_settings, recipe, recipes
from facesmith.gan.recipe_options import option
from facesmith.training.step import play, train_step

PARAMETERS = {  # as the texts' own networks count
    "balanced64": {"D": 6_500_897, "G": 4_109_571},
    "dcgan64": {"D": 2_765_568, "G": 3_576_704},
    "elu36": {"D": 651_330, "G": 320_835},
    "gray-dcgan64": {"D": 1_168_933, "G": 486_113},
}


@dataclass(frozen=True, kw_only=True)
class Kinds(Tiny):
    name: ClassVar[str] = "test-kinds"
    widths: tuple[int, ...] = option((8, 4), "widths", at_least=1, at_most=16)
    loss: Literal["bce", "lsgan"] = option("bce", "loss")
    residual: bool = option(False, "residual blocks")


recipe("test-kinds")(Kinds)


def test_every_recipe_is_tested():
    assert set(RECIPES) == {name for name in recipes() if not name.startswith("test-")}


@pytest.mark.parametrize("name", RECIPES)
def test_networks_have_the_shapes_that_the_contract_says(name):
    held = small_recipe(name)
    nets = held.networks()
    G = nets["G"]
    assert isinstance(G, Generator)
    z = G.draw_z(3, torch.Generator().manual_seed(0))
    w = G.mapping(z)
    pictures = G.synthesis(w)
    assert z.shape == (3, G.z_dim)
    assert w.shape == (3, G.w_dim)
    assert pictures.shape == (3, held.channels, held.resolution, held.resolution)
    assert pictures.abs().max() <= 1
    assert torch.equal(G.eval().synthesis(w[:, None].expand(-1, G.num_ws, -1)), G.synthesis(w))
    assert {"D", "E"} & set(nets), "someone must say what a good picture is"
    if "D" in nets:
        assert isinstance(nets["D"], Discriminator)
        assert nets["D"](pictures).shape == (3,)
    if "E" in nets:
        assert isinstance(nets["E"], Encoder)
        mean, log_variance = nets["E"](pictures)
        assert mean.shape == log_variance.shape == z.shape


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_networks_are_as_large_as_their_source_says(name):
    with torch.device("meta"):
        assert {key: count_parameters(net) for key, net in make_recipe(name, {}).networks().items()} == PARAMETERS[name]


@pytest.mark.parametrize("name", RECIPES)
def test_the_module_tells_source_command_and_result(name):
    told = "\n".join(describe_recipe(name))
    assert "Text:" in told or "Paper:" in told
    assert f"facesmith train {name}" in told
    assert "What it does:" in told
    assert "Cost:" in told or name == "quick64"
    assert "Result:" in told
    assert all(each.metadata["help"] in told for each in fields(find_recipe(name)))


@pytest.mark.parametrize("name", [*RECIPES, *TEST_RECIPES, "test-kinds"])
def test_values_survive_json(name):
    held = make_recipe(name, {})
    assert make_recipe(name, json.loads(json.dumps(held.hyperparameters()))) == held


def test_the_grey_networks_have_the_slopes_of_the_text():
    nets = small_recipe("gray-dcgan64").networks()
    slopes = {
        key: [layer.negative_slope for layer in net.modules() if isinstance(layer, torch.nn.LeakyReLU)]
        for key, net in nets.items()
    }
    assert slopes == {"D": [0.2, 0.2, 0.2, 0.2], "G": [0.2, 0.2, 0.2, 0.01, 0.01]}


def test_what_the_texts_state_are_the_defaults():
    gray = make_recipe("gray-dcgan64", {})
    (pretrain,) = gray.turns(49)
    assert (pretrain.players, pretrain.n_real, pretrain.n_fake, pretrain.phase) == (("D",), 500, 500, "pretrain")
    *discriminator, generator = gray.turns(50)
    assert [(turn.players, turn.n_real, turn.n_fake, turn.replacement) for turn in discriminator] == [
        (("D",), 64, 64, True)
    ] * 5
    assert (generator.players, generator.n_real, generator.n_fake) == (("G",), 0, 128)
    assert {player.clip_norm for player in gray.players().values()} == {0.01}
    assert gray.knobs(0.5).lr == {"D": 5e-5, "G": 5e-5}
    elu = make_recipe("elu36", {})
    *discriminator, generator = elu.turns(0)
    assert [(turn.players, turn.n_real, turn.n_fake, turn.replacement) for turn in discriminator] == [
        (("D",), 100, 100, True)
    ] * 5
    assert (generator.players, generator.n_real, generator.n_fake) == (("G",), 0, 100)
    assert elu.knobs(0.5).lr == {"D": 1e-3, "G": 1e-4}
    wasserstein = make_recipe("wgan-gp64", {})
    assert [turn.players for turn in wasserstein.turns(0)] == [("D",)] * 5 + [("G",)]
    assert wasserstein.penalty == 10


def test_dcgan_starts_from_the_weights_of_the_paper():
    torch.manual_seed(0)
    nets = make_recipe("dcgan64", {}).networks()
    for net in nets.values():
        for key, weight in net.named_parameters():
            if weight.ndim == 4:
                assert weight.std().item() == pytest.approx(0.02, rel=0.05), key
                assert abs(weight.mean().item()) < 1e-3, key
            elif key.endswith("weight"):
                assert weight.mean().item() == pytest.approx(1.0, abs=0.01), key
            else:
                assert not weight.any(), key


def test_dcgan_grows_to_other_sizes():
    for resolution in (16, 32, 128):
        nets = make_recipe("dcgan64", {"resolution": resolution, "width": 4, "channels": 1}).networks()
        pictures = nets["G"](torch.randn(2, 100))
        assert pictures.shape == (2, 1, resolution, resolution)
        assert nets["D"](pictures).shape == (2,)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("dcgan46", {}, "did you mean 'dcgan64'"),
        ("dcgan64", {"widht": 3}, "did you mean 'width'"),
        ("dcgan64", {"width": "wide"}, "whole number"),
        ("dcgan64", {"width": 0}, "Expected 1 to 512"),
        ("dcgan64", {"width": True}, "whole number"),
        ("dcgan64", {"lr": float("nan")}, "a number"),
        ("dcgan64", {"channels": 2}, "3 for color"),
        ("dcgan64", {"resolution": 48}, "power of two"),
        ("test-kinds", {"loss": "hinge"}, "one of bce, lsgan"),
        ("test-kinds", {"widths": [4, 99]}, "Expected 1 to 16"),
        ("test-kinds", {"widths": ["a"]}, "list"),
    ],
)
def test_a_wrong_value_is_told_with_what_would_be_right(name, values, words):
    with pytest.raises(BadOption, match=words):
        make_recipe(name, values)


def test_settings_are_read_as_what_the_field_holds():
    read = parse_settings("test-kinds", ["widths=16,8", "loss=lsgan", "residual=yes", "lr=1e-3", "batch_size=4"])
    assert read == {"widths": (16, 8), "loss": "lsgan", "residual": True, "lr": 1e-3, "batch_size": 4}
    assert make_recipe("test-kinds", read).hyperparameters().items() >= read.items()


@pytest.mark.parametrize("setting", ["width", "width=", "width=ten", "width=3.5", "lr=fast"])
def test_an_unreadable_setting_is_refused(setting):
    with pytest.raises(BadOption):
        make_recipe("dcgan64", parse_settings("dcgan64", [setting]))


@given(st.text(max_size=20))
def test_no_setting_ends_in_a_traceback(text):
    try:
        make_recipe("test-kinds", parse_settings("test-kinds", [text]))
    except BadOption as error:
        assert str(error)


def test_two_recipes_can_not_share_a_name():
    with pytest.raises(AssertionError, match="two recipes"):
        recipe("test-kinds")(Kinds)


def test_the_list_counts_what_a_layer_costs_by_hand():
    G = make_recipe("dcgan64", {"resolution": 8, "width": 4, "z_dim": 8, "channels": 1}).networks()["G"].to("meta")
    by_hand = 8 * 4 * 16 + 4 * 1 * 16 * 16  # 1x1 -> 4x4 with kernel 4; 4x4 -> 8x8, each input pixel times 4x4
    assert multiply_adds(G) == by_hand
    lines = list(recipe_table())
    assert any(line.startswith("dcgan64") and "3,576,704" in line for line in lines)


def test_quick64_ends_annealed_whatever_the_budget():
    knobs = make_recipe("quick64", {}).knobs
    rates = [knobs(progress / 100).lr["G"] for progress in range(101)]
    assert rates == sorted(rates, reverse=True)
    assert rates[:70] == [8e-4] * 70
    assert rates[-1] == pytest.approx(8e-5)
    assert make_recipe("quick64", {"decay": 0.0}).knobs(1.0).lr["G"] == 8e-4


def test_gan_accuracy_is_taken_of_fifty_fakes_every_500_steps():
    state = small_state("gray-dcgan64", budget=10**6, batch_size=2)
    assert state.recipe.pretraining == 2
    taken, shown = {}, {}
    for step in (2, 500, 501, 502, 1001):
        state.step = step
        terms = train_step(state)
        taken[step], shown[step] = terms.get("G/gan_accuracy"), terms.get("G/epoch")
    assert [step for step, held in taken.items() if held is not None] == [501, 1001]
    for share in (taken[501], taken[1001]):
        assert float(share) * 50 == pytest.approx(round(float(share) * 50), abs=1e-4)
    assert [step for step, pictures in shown.items() if pictures is not None] == [501, 1001]
    assert shown[501].shape == (5, 1, 64, 64)


def test_labels_are_flipped_in_a_tenth_of_the_critics_batches_and_never_while_it_is_pretrained():
    state = small_state("gray-dcgan64", budget=10**6)
    real, fake = torch.full((4,), 3.0), torch.full((4,), -3.0)
    batch = Batch(real, real, fake, None, state.knobs, 0, "train")
    right = float(state.objective.discriminator_loss(real, fake, replace(batch, phase="pretrain")))
    torch.manual_seed(0)
    flipped = [float(state.objective.discriminator_loss(real, fake, batch)) > 2 * right for _ in range(2000)]
    assert np.mean(flipped) == pytest.approx(0.1, abs=0.02)
    pretraining = replace(batch, phase="pretrain")
    assert {float(state.objective.discriminator_loss(real, fake, pretraining)) for _ in range(200)} == {right}


GAMES = [  # every recipe by its own values, and those of its values that change who learns from what
    *((name, {}) for name in RECIPES),
    ("gray-dcgan64", {"pretraining": 0, "prior": "poisson", "smooth": False}),
    ("dcgan32", {"loss": "lsgan", "blocks": "residual", "deeper": 1, "dropout": 0.2}),
    ("dcgan32", {"brightness": 0.5, "rotation_degrees": 15.0}),
    ("dcgan64", {"label_smoothing": 0.1}),
    ("balanced64", {"balance": "none", "d_norm": "batch", "g_dropout": 0.2, "optimizer": "sgd"}),
    ("balanced64", {"balance": "skip"}),
    ("vaegan64", {"balance": "none"}),
    ("vaegan64", {"balance": "l2"}),
    ("progressive64", {"loss": "wgan-gp"}),
    ("progressive64", {"resolution": 128}),
]


class Watched(Objective):
    """An objective that takes note of all weights before each player's move, and of whether it moved."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.moves = inner, []

    def loss(self, player, nets, batch) -> Loss:
        before = {name: weights_of(net) for name, net in nets.items()}
        loss = self.inner.loss(player, nets, batch)
        self.moves.append((player, before, loss.update))
        return loss


def weights_of(net):
    return [p.detach().clone() for p in net.parameters()]


def changed(before, after):
    """The networks any of whose weights differ."""
    return {
        name for name in before if not all(torch.equal(a, b) for a, b in zip(before[name], after[name], strict=True))
    }


def moves_of(state, turn):
    """Who played in a turn, whether it was to move, and which networks changed by it."""
    inner, state.objective = state.objective, Watched(state.objective)
    play(state, turn, state.knobs, torch.Generator().manual_seed(state.step))
    moves, state.objective = state.objective.moves, inner
    after = [before for _, before, _ in moves[1:]] + [{name: weights_of(net) for name, net in state.nets.items()}]
    return [
        (player, update, changed(before, then)) for (player, before, update), then in zip(moves, after, strict=True)
    ]


@pytest.mark.parametrize(("name", "values"), GAMES)
@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0])  # at rest at 4x4, where it grows; amid a fade; whole
def test_a_move_changes_exactly_the_networks_of_who_moves(name, values, progress):
    state = small_state(name, budget=1000, **values)
    played = set()
    for step in range(state.recipe.hyperparameters().get("pretraining", 0) + 1):
        state.step, state.seen = step, int(progress * state.budget)
        set_level(state.nets, state.knobs.level)
        for turn in state.recipe.turns(step):
            averages = {key: weights_of(net) for key, net in state.averages.items()}
            for player, moved, networks in moves_of(state, turn):
                assert networks == (set(state.players[player].nets) if moved else set()), (player, turn)
                played.add(player)
            assert not changed(averages, {key: weights_of(net) for key, net in state.averages.items()})
    assert played == set(state.players)


@pytest.mark.parametrize("name", ["balanced64", "vaegan64"])
@pytest.mark.parametrize("waiting", ["D", "G"])
def test_who_waits_does_not_move(name, waiting):
    state = waits(small_state(name, balance="skip"), waiting)
    (turn,) = state.recipe.turns(0)
    moves = {player: (moved, networks) for player, moved, networks in moves_of(state, turn)}
    if (name, waiting) == ("vaegan64", "G"):  # it goes on learning to reconstruct
        assert moves == {"D": (True, {"D"}), "G": (True, {"G", "E"})}
    else:
        assert moves == {
            player: (player != waiting, set() if player == waiting else set(state.players[player].nets))
            for player in state.players
        }


def test_a_decoder_that_waits_hears_nothing_of_the_game():
    """Its step is that of a decoder whose critic says the opposite."""
    steps = []
    for sign in (1, -1):
        state = waits(small_state("vaegan64", balance="skip"), "G")
        (turn,) = state.recipe.turns(0)
        play(state, Turn(("D",), turn.n_real, turn.n_fake), state.knobs, torch.Generator().manual_seed(0))
        assert bool(state.objective.balance.g_waits)
        with torch.no_grad():
            state.nets["D"].layers[-1].weight.mul_(sign)
        torch.manual_seed(0)
        alone = Turn(("G",), turn.n_real, turn.n_fake)
        play(state, alone, state.knobs, torch.Generator().manual_seed(0))
        steps.append(weights_of(state.nets["G"]))
    assert all(torch.equal(a, b) for a, b in zip(*steps, strict=True))


def waits(state, player):
    """A state in whose next turn this player is ahead, and waits."""
    if player == "G":  # a critic that takes nearly all for real
        torch.nn.init.constant_(state.nets["D"].layers[-1].bias, 0.8)
        return state
    (turn,) = state.recipe.turns(0)
    state.objective.balance.mode = "none"
    for step in range(25):  # a critic that knows both kinds, since it alone has learnt
        alone = Turn(("D",), turn.n_real, turn.n_fake)
        play(state, alone, replace(state.knobs, lr={"D": 2e-3}), torch.Generator().manual_seed(step))
    state.objective.balance.mode = "skip"
    return state


def test_quick64_holds_its_critics_slope_down_every_fourth_step():
    for gamma, held in ((0.05, [True, False, False, False, True]), (0.0, [False] * 5)):
        state = small_state("quick64", gamma=gamma)
        assert ["D/r1" in train_step(state) for _ in held] == held


@pytest.mark.parametrize("loss", ["logistic", "wgan-gp"])
def test_progressive64_at_128_fades_its_scales_in_and_draws_what_its_level_can(loss):
    values = {"width": 2, "max_channels": 4, "batch_size": 2, "resolution": 128, "growing": 1.0, "loss": loss}
    state = small_state("progressive64", budget=40, **values)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    levels = []
    while state.seen < state.budget:
        train_step(state)
        levels.append(round(float(state.nets["G"].level), 5))
        pictures = state.averages["G"].eval()(z)
        assert pictures.shape == (2, 3, 128, 128)
        finest = 4 * 2 ** math.ceil(levels[-1] * 5)
        blocks = pictures.reshape(2, 3, finest, 128 // finest, finest, 128 // finest)
        assert torch.equal(blocks, blocks[:, :, :, :1, :, :1].expand_as(blocks)), levels[-1]
    assert levels == sorted(levels)
    assert {0.0, 0.2, 0.4, 0.6, 0.8} < set(levels) < {n / 10 for n in range(11)}  # all rests, and fades between

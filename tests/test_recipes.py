"""Every recipe, the registry, and the options of recipes."""

from __future__ import annotations

import importlib
import json
import math
import sys
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from small import RECIPES, TEST_RECIPES, Tiny, small_recipe, small_state

from facesmith.errors import BadOption
from facesmith.gan import recipe as registry
from facesmith.gan.contracts import Batch, Discriminator, Encoder, Generator, Loss, Objective, Turn, set_level
from facesmith.gan.list_recipes import describe_recipe, multiply_adds, recipe_table
from facesmith.gan.recipe import find_recipe, make_recipe, parse_settings, recipe, recipes
from facesmith.gan.recipe_options import option, options_of
from facesmith.latent.synthesis import synthesize_seeds
from facesmith.recipes.gray_dcgan64 import gan_accuracy
from facesmith.training.averages import inference_networks
from facesmith.training.monitor import Monitor
from facesmith.training.step import make_batch, run_turn, train_step

PARAMETERS = {  # of the texts' own networks
    "balanced64": {"D": 6_500_897, "G": 4_109_571},
    "dcgan64": {"D": 2_765_568, "G": 3_576_704},
    "elu36": {"D": 651_330, "G": 320_835},
    "gray-dcgan64": {"D": 1_168_933, "G": 486_113},
}

# A complete recipe: one file, and nothing else of the package changes.
HINGE32 = '''\
"""DCGAN with the hinge loss.

Paper:  Lim and Ye 2017, "Geometric GAN", arXiv:1705.02894.
Needs:  32x32 faces.
Run:    facesmith train hinge32 --data faces --out runs/hinge
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch.optim import Adam

from facesmith.gan.contracts import Knobs, Player, Turn
from facesmith.gan.losses import AdversarialObjective
from facesmith.gan.recipe import Recipe, recipe, require_power_of_two
from facesmith.gan.recipe_options import option
from facesmith.nets import dcgan


class Hinge(AdversarialObjective):
    def discriminator_loss(self, real_logits, fake_logits, batch):
        return (1 - real_logits).relu().mean() + (1 + fake_logits).relu().mean()

    def generator_loss(self, fake_logits):
        return -fake_logits.mean()


@recipe("hinge32")
@dataclass(frozen=True, kw_only=True)
class Hinge32(Recipe):
    source: ClassVar[str] = "Lim and Ye 2017"

    resolution: int = option(32, "height and width of the images", at_least=8, at_most=256)
    z_dim: int = option(64, "dimensions of the latent", at_least=1)
    width: int = option(16, "channels at half the resolution", at_least=1)
    lr: float = option(2e-4, "learning rate of both networks", at_least=0)

    def __post_init__(self):
        super().__post_init__()
        require_power_of_two(self)

    def networks(self):
        return {
            "G": dcgan.Generator(self.z_dim, self.width, self.resolution, self.channels),
            "D": dcgan.Discriminator(self.width, self.resolution, self.channels),
        }

    def players(self):
        adam = partial(Adam, betas=(0.0, 0.9))
        return {"D": Player(("D",), adam), "G": Player(("G",), adam)}

    def objective(self):
        return Hinge()

    def turns(self, step):
        return (Turn(("D", "G"), n_real=self.batch_size, n_fake=self.batch_size),)

    def knobs(self, progress):
        return Knobs(lr={"D": self.lr, "G": self.lr})
'''


@pytest.fixture
def new_recipe(tmp_path, monkeypatch):
    """The package as it is with one more file in `recipes/`."""
    (tmp_path / "hinge32.py").write_text(HINGE32)
    monkeypatch.setattr(registry, "_RECIPES", dict(recipes()))
    package = importlib.import_module("facesmith.recipes")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    yield "hinge32"
    sys.modules.pop("facesmith.recipes.hinge32", None)


def test_one_new_file_of_80_lines_adds_a_recipe(new_recipe):
    assert len(HINGE32.splitlines()) <= 80
    assert any(line.startswith(new_recipe) for line in recipe_table())
    assert "Geometric GAN" in "\n".join(describe_recipe(new_recipe))
    values = parse_settings(new_recipe, ["resolution=16", "width=4", "z_dim=8", "batch_size=8"])
    state = small_state(new_recipe, **values)
    before = weights_of(state.nets)
    for _ in range(3):
        terms = train_step(state)
    assert {"D/loss", "G/loss", "D/accuracy_real", "D/accuracy_fake", "G/fooling_rate"} <= set(terms)
    assert state.seen == 3 * 8
    assert not all(torch.equal(a, b) for a, b in zip(before, weights_of(state.nets), strict=True))
    faces = synthesize_seeds(inference_networks(state)["G"], range(4))
    assert faces.shape == (4, 16, 16, 3)
    assert faces.std() > 0


@dataclass(frozen=True, kw_only=True)
class EveryType(Tiny):
    """A recipe with an option of every type."""

    name: ClassVar[str] = "test-types"
    widths: tuple[int, ...] = option((8, 4), "widths", at_least=1, at_most=16)
    loss: Literal["bce", "lsgan"] = option("bce", "loss")
    residual: bool = option(False, "residual blocks")


recipe("test-types")(EveryType)


def test_every_recipe_is_tested():
    assert set(RECIPES) == {name for name in recipes() if not name.startswith("test-")}


@pytest.mark.parametrize("name", RECIPES)
def test_networks_follow_the_contract(name):
    recipe = small_recipe(name)
    nets = recipe.networks()
    G = nets["G"]
    assert isinstance(G, Generator)
    z = G.draw_z(3, torch.Generator().manual_seed(0))
    w = G.mapping(z)
    images = G.synthesis(w)
    assert z.shape == (3, G.z_dim)
    assert w.shape == (3, G.w_dim)
    assert images.shape == (3, recipe.channels, recipe.resolution, recipe.resolution)
    assert images.abs().max() <= 1
    assert torch.equal(G.eval().synthesis(w[:, None].expand(-1, G.num_ws, -1)), G.synthesis(w))
    assert {"D", "E"} & set(nets), "a generator needs a discriminator or an encoder to learn from"
    if "D" in nets:
        assert isinstance(nets["D"], Discriminator)
        assert nets["D"](images).shape == (3,)
    if "E" in nets:
        assert isinstance(nets["E"], Encoder)
        mean, log_variance = nets["E"](images)
        assert mean.shape == log_variance.shape == z.shape


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_networks_have_as_many_parameters_as_in_the_text(name):
    assert make_recipe(name, {}).parameter_counts() == PARAMETERS[name]


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_file_documents_source_command_cost_and_result(name):
    text = "\n".join(describe_recipe(name))
    assert "Source:" in text or "Paper:" in text
    assert f"facesmith train {name}" in text
    for part in ("Needs:", "Cost:", "Result:", "What it does:"):
        assert part in text
    assert all(option.help in text for option in options_of(find_recipe(name)).values())


@pytest.mark.parametrize("name", [*RECIPES, *TEST_RECIPES, "test-types"])
def test_options_survive_json(name):
    recipe = make_recipe(name, {})
    assert make_recipe(name, json.loads(json.dumps(recipe.hyperparameters()))) == recipe


def test_gray_networks_have_the_slopes_of_the_text():
    nets = small_recipe("gray-dcgan64").networks()
    slopes = {
        key: [layer.negative_slope for layer in net.modules() if isinstance(layer, torch.nn.LeakyReLU)]
        for key, net in nets.items()
    }
    assert slopes == {"D": [0.2, 0.2, 0.2, 0.2], "G": [0.2, 0.2, 0.2, 0.01, 0.01]}


def test_defaults_are_the_values_of_the_texts():
    def d_steps(turns):
        return [(turn.players, turn.n_real, turn.n_fake, turn.replacement) for turn in turns]

    gray = make_recipe("gray-dcgan64", {})
    (pretrain,) = gray.turns(49)
    assert (pretrain.players, pretrain.n_real, pretrain.n_fake, pretrain.phase) == (("D",), 500, 500, "pretrain")
    *d_turns, g_turn = gray.turns(50)
    assert d_steps(d_turns) == [(("D",), 64, 64, True)] * 5
    assert (g_turn.players, g_turn.n_real, g_turn.n_fake) == (("G",), 0, 128)
    assert {player.clip_norm for player in gray.players().values()} == {0.01}
    assert gray.knobs(0.5).lr == {"D": 5e-5, "G": 5e-5}

    elu = make_recipe("elu36", {})
    *d_turns, g_turn = elu.turns(0)
    assert d_steps(d_turns) == [(("D",), 100, 100, True)] * 5
    assert (g_turn.players, g_turn.n_real, g_turn.n_fake) == (("G",), 0, 100)
    assert elu.knobs(0.5).lr == {"D": 1e-3, "G": 1e-4}

    wasserstein = make_recipe("wgan-gp64", {})
    assert [turn.players for turn in wasserstein.turns(0)] == [("D",)] * 5 + [("G",)]
    assert wasserstein.penalty == 10


def test_dcgan_has_the_initial_weights_of_the_paper():
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


@pytest.mark.parametrize(("init", "batch_norm_mean"), [("text", 0.0), ("text-batchnorm-1", 1.0)])
def test_dcgan64_can_have_the_initial_weights_of_its_text_and_those_that_the_text_found_worse(init, batch_norm_mean):
    torch.manual_seed(0)
    for net in make_recipe("dcgan64", {"init": init}).networks().values():
        for weight in (weight for key, weight in net.named_parameters() if key.endswith("weight")):
            mean = 0.0 if weight.ndim == 4 else batch_norm_mean
            assert weight.std().item() == pytest.approx(0.2, rel=0.3)
            assert weight.mean().item() == pytest.approx(mean, abs=0.05)


def test_all_steps_of_an_iteration_of_elu36_can_share_their_faces_and_latents():
    state = small_state("elu36", shared_batch=True, d_steps=3)
    batches = []
    loss = state.objective.loss

    def recording_loss(player, nets, batch):
        batches.append((player, batch.real, batch.z))
        return loss(player, nets, batch)

    state.objective.loss = recording_loss
    train_step(state)
    players, reals, latents = zip(*batches, strict=True)
    assert players == ("D", "D", "D", "G")
    assert all(torch.equal(each, reals[0]) for each in reals)
    assert all(torch.equal(each, latents[0]) for each in latents)
    assert state.seen == state.recipe.batch_size == state.recipe.epoch_images(48)


def test_elu36_with_linear_output_is_the_network_of_the_notebook():
    nets = {name: small_recipe("elu36", output=name).networks() for name in ("tanh", "linear")}
    for net in "GD":
        nets["linear"][net].load_state_dict(nets["tanh"][net].state_dict())
    z = torch.randn(4, 8)
    image = nets["tanh"]["G"](z).atanh()  # the output without tanh, in the notebook from 0 to 1
    assert torch.allclose(nets["linear"]["G"](z), 2 * image - 1, atol=1e-4)
    pixels = torch.rand(4, 3, 36, 36)
    assert torch.allclose(nets["linear"]["D"](2 * pixels - 1), nets["tanh"]["D"](pixels), atol=1e-4)


@pytest.mark.parametrize("weight", [None, 0.0, 3.0])
def test_the_output_weights_of_the_discriminator_of_elu36_are_penalized(weight):
    state = small_state("elu36", **({} if weight is None else {"output_penalty": weight}))
    batch = make_batch(state, state.recipe.turns(0)[0], state.knobs, torch.Generator().manual_seed(0))
    loss = state.objective.loss("D", state.nets, batch)
    penalty = state.nets["D"].head.weight.square().mean().item()
    expected = 1.0 if weight is None else weight  # the notebook adds the penalty without a factor
    assert (loss.total - loss.terms["D/loss"]).item() == pytest.approx(expected * penalty, abs=1e-5)
    assert penalty > 1e-3


@pytest.mark.parametrize("name", ["balanced64", "vae64", "vaegan64"])
def test_a_linear_output_is_that_of_the_same_network_without_tanh(name):
    bounded, linear = (small_recipe(name, output=output).networks()["G"].eval() for output in ("tanh", "linear"))
    with torch.no_grad():
        bounded.last.weight.mul_(100)
    linear.load_state_dict(bounded.state_dict())
    z = torch.randn(4, 8)
    assert linear(z).abs().max() > 1
    assert torch.allclose(linear(z).tanh(), bounded(z), atol=1e-5)


def test_a_mixed_batch_is_normalized_together():
    values = {"d_norm": "batch", "d_dropout": 0.0, "mixed_batch": True, "balance": "none"}
    state = small_state("balanced64", **values)
    D = state.nets["D"]
    inputs = []
    D.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    train_step(state)
    assert [len(each) for each in inputs] == [16, 8]  # real images and fakes for D, then fakes for G


def test_gan_accuracy_can_be_measured_with_dropout():
    D = small_recipe("gray-dcgan64").networks()["D"].train()
    fakes = torch.randn(50, 1, 64, 64) * 5
    shares = {dropout: {float(gan_accuracy(D, fakes, dropout=dropout)) for _ in range(8)} for dropout in (True, False)}
    assert len(shares[True]) > 1
    assert len(shares[False]) == 1
    assert D.training


@pytest.mark.parametrize("name", ["vae64", "vaegan64", "balanced64"])
@pytest.mark.parametrize("resolution", [16, 18, 21])
def test_upsampling_networks_work_at_any_size(name, resolution):
    nets = small_recipe(name, resolution=resolution).networks()
    images = nets["G"](torch.randn(2, 8))
    assert images.shape == (2, 3, resolution, resolution)
    for net in nets.keys() & {"D", "E"}:
        nets[net](images)


@pytest.mark.parametrize("resolution", [16, 32, 128])
def test_dcgan_has_other_resolutions_and_gray_images(resolution):
    nets = make_recipe("dcgan64", {"resolution": resolution, "width": 4, "channels": 1}).networks()
    images = nets["G"](torch.randn(2, 100))
    assert images.shape == (2, 1, resolution, resolution)
    assert nets["D"](images).shape == (2,)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("dcgan46", {}, "did you mean 'dcgan64'"),
        ("dcgan64", {"widht": 3}, "did you mean 'width'"),
        ("dcgan64", {"width": "wide"}, "whole number"),
        ("dcgan64", {"width": 0}, "out of range. Expected 1 to 512"),
        ("dcgan32", {"brightness": -1.0}, "out of range. Expected at least 0"),
        ("dcgan64", {"width": True}, "whole number"),
        ("dcgan64", {"lr": float("nan")}, "a number"),
        ("dcgan64", {"channels": 2}, "3 for color"),
        ("dcgan64", {"resolution": 48}, "power of two"),
        ("test-types", {"loss": "hinge"}, "one of bce, lsgan"),
        ("test-types", {"widths": [4, 99]}, "out of range. Expected 1 to 16"),
        ("test-types", {"widths": ["a"]}, "list"),
        ("test-types", {"widths": 8}, "list"),
        ("test-conditional", {"condition": "male"}, "condition='male' is not a list"),
    ],
)
def test_message_about_a_wrong_option_says_what_was_expected(name, values, message):
    with pytest.raises(BadOption, match=message):
        make_recipe(name, values)


def test_settings_are_converted_to_the_type_of_their_option():
    values = parse_settings("test-types", ["widths=16,8", "loss=lsgan", "residual=yes", "lr=1e-3", "batch_size=4"])
    assert values == {"widths": (16, 8), "loss": "lsgan", "residual": True, "lr": 1e-3, "batch_size": 4}
    assert make_recipe("test-types", values).hyperparameters().items() >= values.items()


@pytest.mark.parametrize("setting", ["width", "width=", "width=ten", "width=3.5", "lr=fast"])
def test_malformed_setting_is_rejected(setting):
    with pytest.raises(BadOption):
        make_recipe("dcgan64", parse_settings("dcgan64", [setting]))


@given(st.text(max_size=20))
def test_any_setting_is_accepted_or_rejected_with_a_message(text):
    try:
        make_recipe("test-types", parse_settings("test-types", [text]))
    except BadOption as error:
        assert str(error)


def test_two_recipes_with_one_name_are_an_error():
    with pytest.raises(AssertionError, match="two recipes"):
        recipe("test-types")(EveryType)


def test_multiply_adds_match_a_count_by_hand():
    G = make_recipe("dcgan64", {"resolution": 8, "width": 4, "z_dim": 8, "channels": 1}).networks()["G"].to("meta")
    by_hand = 8 * 4 * 16 + 4 * 1 * 16 * 16  # 1x1 -> 4x4 with kernel 4; 4x4 -> 8x8, 4x4 outputs per input pixel
    assert multiply_adds(G) == by_hand
    assert any(line.startswith("dcgan64") and "3,576,704" in line for line in recipe_table())


def test_quick_decays_its_learning_rates_at_the_end_of_the_budget():
    knobs = make_recipe("quick", {}).knobs
    rates = [knobs(progress / 100).lr["G"] for progress in range(101)]
    assert rates == sorted(rates, reverse=True)
    assert rates[:70] == [8e-4] * 70
    assert rates[-1] == pytest.approx(8e-5)
    assert make_recipe("quick", {"decay": 0.0}).knobs(1.0).lr["G"] == 8e-4


@pytest.mark.parametrize(("gamma", "expected"), [(0.05, [True, False, False, False, True]), (0.0, [False] * 5)])
def test_quick_computes_r1_in_every_fourth_step(gamma, expected):
    state = small_state("quick", gamma=gamma)
    assert ["D/r1" in train_step(state) for _ in expected] == expected


def test_gan_accuracy_is_measured_on_50_fakes_every_500_steps():
    state = small_state("gray-dcgan64", budget=10**6, batch_size=2)
    assert state.recipe.pretraining == 2
    terms = {}
    for step in (2, 500, 501, 502, 1001):
        state.step = step
        terms[step] = train_step(state)
    assert [step for step in terms if "G/gan_accuracy" in terms[step]] == [501, 1001]
    for step in (501, 1001):
        detected = float(terms[step]["G/gan_accuracy"]) * 50
        assert detected == pytest.approx(round(detected), abs=5e-3)
    assert [step for step in terms if "G/epoch" in terms[step]] == [501, 1001]
    assert terms[501]["G/epoch"].shape == (5, 1, 64, 64)


def printed_in_training(state, steps, folder, capsys):
    """The lines of a recipe's text that are printed in these many steps, and the losses of each step."""
    losses = []
    with Monitor(folder, state, 0.0, Console(stderr=True, width=200), prints_text=True) as monitor:
        for _ in range(steps):
            terms = train_step(state)
            losses.append({name: float(term) for name, term in terms.items() if not term.ndim})
            monitor.log_step(terms)
    return [line for line in capsys.readouterr().err.splitlines() if "kimg" not in line], losses


def test_the_gray_recipe_prints_the_lines_of_its_text(tmp_path, capsys):
    state = small_state("gray-dcgan64", pretraining=10, d_steps=2, budget=500 * 4 * 3, faces=8)
    lines, losses = printed_in_training(state, 10 + 501, tmp_path, capsys)
    pretraining = [np.mean([each["D/loss"] for each in losses[start : start + 5]]) for start in (0, 5)]
    assert lines[0] == "[INFO] Pretraining discriminator..."
    assert lines[1:3] == [f"Epoch {i} - Loss {loss:.4f}" for i, loss in enumerate(pretraining, 1)]
    printed = [
        f"Step {step % 500:3d} - Disc loss {losses[10 + step]['D/loss']:.4f} - "
        f"GAN loss {losses[10 + step]['G/loss']:.4f}"
        for step in (0, 100, 200, 300, 400, 500)
    ]
    accuracy = f"[TESTING] GAN accuracy: {losses[509]['G/gan_accuracy']:.4f}"
    lines = [line for line in lines[3:] if not line.startswith(("---", "==="))]
    assert lines == ["Epoch 1/3", *printed[:5], accuracy, "Epoch 2/3", printed[5]]
    assert len(list((tmp_path / "shown").iterdir())) == 1


def test_dcgan64_prints_its_losses_every_50_batches_of_an_epoch(tmp_path, capsys):
    state = small_state("dcgan64", budget=8 * 480, faces=480)
    lines, losses = printed_in_training(state, 121, tmp_path, capsys)
    steps = (0, 50, 60, 110, 120)  # an epoch has 60 batches of 8
    expected = [
        f"Epoch [{step // 60}/8] | d_loss: {losses[step]['D/loss']:.4f} | g_loss: {losses[step]['G/loss']:.4f}"
        for step in steps
    ]
    assert lines == expected


def test_elu36_prints_each_iteration(tmp_path, capsys):
    lines, _ = printed_in_training(small_state("elu36"), 2, tmp_path, capsys)
    assert lines == ["Epoch 00000", "Epoch 00001"]
    assert not printed_in_training(small_state("dcgan32"), 2, tmp_path / "other", capsys)[0]


def test_an_epoch_is_what_the_text_counts():
    faces = 11_000
    assert make_recipe("gray-dcgan64", {}).epoch_images(faces) == 500 * 5 * 64
    assert make_recipe("elu36", {}).epoch_images(faces) == 5 * 100
    assert make_recipe("elu36", {"shared_batch": True}).epoch_images(faces) == 100
    assert make_recipe("dcgan64", {}).epoch_images(faces) == faces


def test_batch_normalization_of_one_pixel_needs_two_images():
    with pytest.raises(BadOption, match="Use --batch 2"):
        make_recipe("dcgan32", {"resolution": 16, "batch_size": 1})
    make_recipe("dcgan32", {"resolution": 16, "scales": 3, "batch_size": 1})
    state = small_state("dcgan32", resolution=16, batch_size=2)
    assert all(torch.isfinite(term).all() for term in train_step(state).values())


def test_the_discriminator_of_balanced64_can_be_smaller_than_the_generator():
    for d_width, count in ((32, 6_500_897), (24, 3_657_625), (16, 1_626_385)):
        assert make_recipe("balanced64", {"d_width": d_width}).parameter_counts() == {"G": 4_109_571, "D": count}


def test_labels_are_flipped_in_a_tenth_of_the_batches_but_not_in_pretraining():
    state = small_state("gray-dcgan64", budget=10**6)
    real, fake = torch.full((4,), 3.0), torch.full((4,), -3.0)
    batch = Batch(real, real, fake, None, state.knobs, 0, "train")

    def d_loss(phase):
        return float(state.objective.discriminator_loss(real, fake, replace(batch, phase=phase)))

    correct = d_loss("pretrain")
    torch.manual_seed(0)
    flipped = [d_loss("train") > 2 * correct for _ in range(2000)]
    assert np.mean(flipped) == pytest.approx(0.1, abs=0.02)
    assert {d_loss("pretrain") for _ in range(200)} == {correct}


TRAINING_VARIANTS = [  # every recipe with its defaults, and with options that change losses or networks
    *((name, {}) for name in RECIPES),
    ("gray-dcgan64", {"pretraining": 0, "prior": "poisson", "smooth": False}),
    ("elu36", {"shared_batch": True, "output": "linear"}),
    ("balanced64", {"mixed_batch": True, "d_norm": "batch", "output": "linear"}),
    ("vae64", {"resolution": 18, "output": "linear"}),
    ("vaegan64", {"resolution": 18, "output": "linear"}),
    ("dcgan32", {"loss": "lsgan", "blocks": "residual", "deeper": 1, "dropout": 0.2}),
    ("dcgan32", {"brightness": 0.5, "rotation_degrees": 15.0, "translation": 0.1}),
    ("dcgan64", {"label_smoothing": 0.1}),
    ("balanced64", {"balance": "none", "d_norm": "batch", "g_dropout": 0.2, "optimizer": "sgd"}),
    ("balanced64", {"balance": "skip"}),
    ("vaegan64", {"balance": "none"}),
    ("vaegan64", {"balance": "l2"}),
    ("progressive64", {"loss": "wgan-gp"}),
    ("progressive64", {"resolution": 128}),
]


class Recorder(Objective):
    """Wraps an objective and records all weights before each player's step, and whether the player takes it."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.steps = inner, []

    def loss(self, player, nets, batch) -> Loss:
        before = all_weights(nets)
        loss = self.inner.loss(player, nets, batch)
        self.steps.append((player, before, loss.update))
        return loss


def weights_of(net):
    return [p.detach().clone() for p in net.parameters()]


def all_weights(nets):
    return {name: weights_of(net) for name, net in nets.items()}


def changed(before, after):
    """Names of the networks that have any different weight."""
    return {
        name for name in before if not all(torch.equal(a, b) for a, b in zip(before[name], after[name], strict=True))
    }


def play_and_record(state, turn):
    """Play a turn. For each of its players: the name, whether it took its step, and which networks changed."""
    objective, state.objective = state.objective, Recorder(state.objective)
    run_turn(state, turn, state.knobs, torch.Generator().manual_seed(state.step))
    steps, state.objective = state.objective.steps, objective
    after = [before for _, before, _ in steps[1:]] + [all_weights(state.nets)]
    return [
        (player, update, changed(before, then)) for (player, before, update), then in zip(steps, after, strict=True)
    ]


@pytest.mark.parametrize(("name", "values"), TRAINING_VARIANTS)
@pytest.mark.parametrize("progress", [0.0, 0.4, 1.0])  # for growing networks: 4x4, during a fade, full resolution
def test_each_player_changes_exactly_its_own_networks(name, values, progress):
    state = small_state(name, budget=1000, **values)
    played = set()
    for step in range(state.recipe.hyperparameters().get("pretraining", 0) + 1):
        state.step, state.seen = step, int(progress * state.budget)
        set_level(state.nets, state.knobs.level)
        for turn in state.recipe.turns(step):
            averages = all_weights(state.averages)
            for player, updated, networks in play_and_record(state, turn):
                assert networks == (set(state.players[player].nets) if updated else set()), (player, turn)
                played.add(player)
            assert not changed(averages, all_weights(state.averages))
    assert played == set(state.players)


@pytest.mark.parametrize("name", ["balanced64", "vaegan64"])
@pytest.mark.parametrize("waiting", ["D", "G"])
def test_a_waiting_player_skips_its_step(name, waiting):
    state = state_with_waiting(small_state(name, balance="skip"), waiting)
    (turn,) = state.recipe.turns(0)
    steps = {player: (updated, networks) for player, updated, networks in play_and_record(state, turn)}
    if (name, waiting) == ("vaegan64", "G"):  # it keeps learning to reconstruct
        assert steps == {"D": (True, {"D"}), "G": (True, {"G", "E"})}
    else:
        assert steps == {
            player: (player != waiting, set() if player == waiting else set(state.players[player].nets))
            for player in state.players
        }


def test_a_waiting_decoder_learns_nothing_from_the_discriminator():
    """Its step is the same if the discriminator's output changes its sign."""
    weights = []
    for sign in (1, -1):
        state = state_with_waiting(small_state("vaegan64", balance="skip"), "G")
        (turn,) = state.recipe.turns(0)
        run_turn(state, replace(turn, players=("D",)), state.knobs, torch.Generator().manual_seed(0))
        assert bool(state.objective.balance.g_waits)
        with torch.no_grad():
            state.nets["D"].layers[-1].weight.mul_(sign)
        torch.manual_seed(0)
        run_turn(state, replace(turn, players=("G",)), state.knobs, torch.Generator().manual_seed(0))
        weights.append(weights_of(state.nets["G"]))
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def state_with_waiting(state, player):
    """Change a state so that this player waits in the next turn."""
    if player == "G":  # make D take nearly all fakes for real
        torch.nn.init.constant_(state.nets["D"].layers[-1].bias, 0.8)
        return state
    (turn,) = state.recipe.turns(0)
    state.objective.balance.mode = "none"
    for step in range(25):  # train D alone until it detects both kinds
        alone = Turn(("D",), turn.n_real, turn.n_fake)
        run_turn(state, alone, replace(state.knobs, lr={"D": 2e-3}), torch.Generator().manual_seed(step))
    state.objective.balance.mode = "skip"
    return state


@pytest.mark.parametrize("loss", ["logistic", "wgan-gp"])
def test_progressive64_at_128_fades_in_each_scale_and_images_have_no_finer_detail(loss):
    values = {"width": 2, "max_channels": 4, "batch_size": 2, "resolution": 128, "growing": 1.0, "loss": loss}
    state = small_state("progressive64", budget=40, **values)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    levels = []
    while state.seen < state.budget:
        train_step(state)
        levels.append(round(float(state.nets["G"].level), 5))
        images = state.averages["G"].eval()(z)
        assert images.shape == (2, 3, 128, 128)
        side = 4 * 2 ** math.ceil(levels[-1] * 5)
        blocks = images.reshape(2, 3, side, 128 // side, side, 128 // side)
        assert torch.equal(blocks, blocks[:, :, :, :1, :, :1].expand_as(blocks)), levels[-1]
    assert levels == sorted(levels)
    assert {0.0, 0.2, 0.4, 0.6, 0.8} < set(levels) < {n / 10 for n in range(11)}  # all scales, and fades between them

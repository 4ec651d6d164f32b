"""Every recipe of the registry, and the registry itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import OURS, TINY, Tiny, small_recipe, small_state

from facesmith.contracts import Batch, Discriminator, Encoder, Generator
from facesmith.errors import BadOption
from facesmith.listing import count, details, listing, multiply_adds
from facesmith.recipe import find, make, parse_settings, recipe, recipes, value
from facesmith.trainer import train_step

PARAMETERS = {  # as the texts' own networks count
    "balanced64": {"D": 6_500_897, "G": 4_109_571},
    "dcgan64": {"D": 2_765_568, "G": 3_576_704},
    "elu36": {"D": 651_330, "G": 320_835},
    "gray-dcgan64": {"D": 1_168_933, "G": 486_113},
}


@dataclass(frozen=True, kw_only=True)
class Kinds(Tiny):
    name: ClassVar[str] = "test-kinds"
    widths: tuple[int, ...] = value((8, 4), "widths", at_least=1, at_most=16)
    loss: Literal["bce", "lsgan"] = value("bce", "loss")
    residual: bool = value(False, "residual blocks")


recipe("test-kinds")(Kinds)


def test_every_recipe_is_tested():
    assert set(OURS) == {name for name in recipes() if not name.startswith("test-")}


@pytest.mark.parametrize("name", OURS)
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
        assert {key: count(net) for key, net in make(name, {}).networks().items()} == PARAMETERS[name]


@pytest.mark.parametrize("name", OURS)
def test_the_module_tells_source_command_and_result(name):
    told = "\n".join(details(name))
    assert "Text:" in told or "Paper:" in told
    assert f"facesmith train {name}" in told
    assert "Result:" in told
    assert all(each.metadata["help"] in told for each in fields(find(name)))


@pytest.mark.parametrize("name", [*OURS, *TINY, "test-kinds"])
def test_values_survive_json(name):
    held = make(name, {})
    assert make(name, json.loads(json.dumps(held.values()))) == held


def test_dcgan_starts_from_the_weights_of_the_paper():
    torch.manual_seed(0)
    nets = make("dcgan64", {}).networks()
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
        nets = make("dcgan64", {"resolution": resolution, "width": 4, "channels": 1}).networks()
        pictures = nets["G"](torch.randn(2, 100))
        assert pictures.shape == (2, 1, resolution, resolution)
        assert nets["D"](pictures).shape == (2,)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("dcgan46", {}, "did you mean 'dcgan64'"),
        ("dcgan64", {"widht": 3}, "did you mean 'width'"),
        ("dcgan64", {"width": "wide"}, "whole number"),
        ("dcgan64", {"width": 0}, "outside 1 to 512"),
        ("dcgan64", {"width": True}, "whole number"),
        ("dcgan64", {"lr": float("nan")}, "a number"),
        ("dcgan64", {"channels": 2}, "3 for colour"),
        ("dcgan64", {"resolution": 48}, "power of two"),
        ("test-kinds", {"loss": "hinge"}, "one of bce, lsgan"),
        ("test-kinds", {"widths": [4, 99]}, "outside 1 to 16"),
        ("test-kinds", {"widths": ["a"]}, "list"),
    ],
)
def test_a_wrong_value_is_told_with_what_would_be_right(name, values, words):
    with pytest.raises(BadOption, match=words):
        make(name, values)


def test_settings_are_read_as_what_the_field_holds():
    read = parse_settings("test-kinds", ["widths=16,8", "loss=lsgan", "residual=yes", "lr=1e-3", "batch_size=4"])
    assert read == {"widths": (16, 8), "loss": "lsgan", "residual": True, "lr": 1e-3, "batch_size": 4}
    assert make("test-kinds", read).values().items() >= read.items()


@pytest.mark.parametrize("setting", ["width", "width=", "width=ten", "width=3.5", "lr=fast"])
def test_an_unreadable_setting_is_refused(setting):
    with pytest.raises(BadOption):
        make("dcgan64", parse_settings("dcgan64", [setting]))


@given(st.text(max_size=20))
def test_no_setting_ends_in_a_traceback(text):
    try:
        make("test-kinds", parse_settings("test-kinds", [text]))
    except BadOption as error:
        assert str(error)


def test_two_recipes_can_not_share_a_name():
    with pytest.raises(AssertionError, match="two recipes"):
        recipe("test-kinds")(Kinds)


def test_the_list_counts_what_a_layer_costs_by_hand():
    G = make("dcgan64", {"resolution": 8, "width": 4, "z_dim": 8, "channels": 1}).networks()["G"].to("meta")
    by_hand = 8 * 4 * 16 + 4 * 1 * 16 * 16  # 1x1 -> 4x4 with kernel 4; 4x4 -> 8x8, each input pixel times 4x4
    assert multiply_adds(G) == by_hand
    lines = list(listing())
    assert any(line.startswith("dcgan64") and "3,576,704" in line for line in lines)


def test_quick64_ends_annealed_whatever_the_budget():
    knobs = make("quick64", {}).knobs
    rates = [knobs(progress / 100).lr["G"] for progress in range(101)]
    assert rates == sorted(rates, reverse=True)
    assert rates[:70] == [2e-4] * 70
    assert rates[-1] == pytest.approx(2e-5)
    assert make("quick64", {"decay": 0.0}).knobs(1.0).lr["G"] == 2e-4


def test_gan_accuracy_is_taken_of_fifty_fakes_every_500_steps():
    state = small_state("gray-dcgan64", budget=10**6, batch_size=2)
    assert state.recipe.pretraining == 2
    taken = {}
    for step in (2, 500, 501, 502, 1001):
        state.step = step
        taken[step] = train_step(state).get("G/gan_accuracy")
    assert [step for step, held in taken.items() if held is not None] == [501, 1001]
    for share in (taken[501], taken[1001]):
        assert float(share) * 50 == pytest.approx(round(float(share) * 50), abs=1e-4)


def test_labels_are_flipped_in_a_tenth_of_the_critics_batches_and_never_while_it_is_pretrained():
    state = small_state("gray-dcgan64", budget=10**6)
    real, fake = torch.full((4,), 3.0), torch.full((4,), -3.0)
    batch = Batch(real, real, fake, None, state.knobs, 0, "train")
    right = float(state.objective.critic_loss(real, fake, replace(batch, phase="pretrain")))
    torch.manual_seed(0)
    flipped = [float(state.objective.critic_loss(real, fake, batch)) > 2 * right for _ in range(2000)]
    assert np.mean(flipped) == pytest.approx(0.1, abs=0.02)
    pretraining = replace(batch, phase="pretrain")
    assert {float(state.objective.critic_loss(real, fake, pretraining)) for _ in range(200)} == {right}

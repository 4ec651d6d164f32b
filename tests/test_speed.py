from __future__ import annotations

import pytest
import torch
from small import RECIPES, procedural_pixels, small_recipe

from facesmith.device import has_bfloat16, pick_device
from facesmith.errors import BadOption
from facesmith.gan.contracts import set_level
from facesmith.training import speed as speed_module
from facesmith.training.speed import measure

CPU = torch.device("cpu")


def test_the_faster_precision_is_chosen_if_it_is_worth_it(monkeypatch):
    monkeypatch.setattr(speed_module, "has_bfloat16", lambda device: True)
    for gain, chosen in ((0.5, "float32"), (1.05, "float32"), (1.5, "bfloat16")):
        rates = {torch.float32: 100.0, torch.bfloat16: 100.0 * gain}
        monkeypatch.setattr(speed_module, "_timed", lambda state, steps, rates=rates: rates[state.precision])
        speed = measure(small_recipe("dcgan64"), CPU)
        assert speed.precision == chosen
        assert speed.best == rates[speed_module.PRECISIONS[chosen]]
        assert f"{gain:.2f} times" in speed.why


def test_what_is_asked_for_is_measured_alone():
    speed = measure(small_recipe("dcgan64"), CPU, "float32", procedural_pixels())
    assert set(speed.images_per_second) == {"float32"}
    assert speed.best > 0
    assert speed.memory_bytes > 2**20
    assert speed.why == "as asked"


def test_a_cpu_without_bfloat16_is_not_asked_to_emulate_it(monkeypatch):
    monkeypatch.setattr(speed_module, "has_bfloat16", lambda device: False)
    speed = measure(small_recipe("dcgan64"), CPU)
    assert (speed.precision, set(speed.images_per_second)) == ("float32", {"float32"})
    assert "no bfloat16 of its own" in speed.why


def test_pretraining_is_not_what_is_measured():
    speed = measure(small_recipe("test-pretrained", pretraining=5), CPU, "float32")
    assert speed.best > 0


def test_a_growing_recipe_is_measured_at_all_its_sizes(monkeypatch):
    def by_level(state, steps):
        set_level(state.nets, state.knobs.level)
        return 100.0 if float(state.nets["G"].level) < 1 else 20.0

    monkeypatch.setattr(speed_module, "_timed", by_level)
    speed = measure(small_recipe("progressive64", growing=0.5), CPU, "float32")
    assert speed.best == pytest.approx(1 / (0.5 / 100 + 0.5 / 20))  # half of the faces at each speed


def test_a_speed_seen_once_promises_nothing(monkeypatch):
    seen = iter([20.0, 100.0, 20.0, 10.0])  # the first step of all isn't counted
    monkeypatch.setattr(speed_module, "_timed", lambda state, steps: next(seen))
    assert measure(small_recipe("dcgan64"), CPU, "float32").best == pytest.approx(20)


def test_what_comes_every_few_steps_is_measured_at_its_share(monkeypatch):
    def by_step(state, steps):
        return 10.0 if state.step % 8 == 0 else 100.0

    monkeypatch.setattr(speed_module, "_timed", by_step)
    rare = pytest.approx(8 / (1 / 10 + 7 / 100))
    assert measure(small_recipe("quick64", penalty_every=8), CPU, "float32").best == rare
    assert measure(small_recipe("quick64", penalty_every=8, gamma=0.0), CPU, "float32").best == 10.0
    values = {"growing": 0.0, "penalty_every": 8}
    assert measure(small_recipe("progressive64", **values), CPU, "float32").best == rare
    assert measure(small_recipe("progressive64", **values, loss="wgan-gp"), CPU, "float32").best == 10.0


def test_a_step_is_measured_as_the_step_that_it_is(monkeypatch):
    shown = []
    inner = speed_module.train_step
    monkeypatch.setattr(speed_module, "train_step", lambda state: (shown.append(state.step), inner(state)))
    measure(small_recipe("progressive64", growing=0.0, penalty_every=4), CPU, "float32")
    assert set(shown) == {0, 1}
    shown.clear()
    measure(small_recipe("test-pretrained", pretraining=5), CPU, "float32")
    assert set(shown) == {5}


@pytest.mark.parametrize("name", RECIPES)
def test_a_rhythm_is_whole(name):
    representative_steps = small_recipe(name).representative_steps()
    assert sum(representative_steps.values()) == pytest.approx(1)
    assert all(share > 0 for share in representative_steps.values())


@pytest.mark.skipif(not has_bfloat16(CPU), reason="this CPU has no bfloat16 of its own")
def test_bfloat16_trains_to_finite_terms():
    assert measure(small_recipe("dcgan64"), CPU, "bfloat16").best > 0


def test_wrong_names_are_told():
    with pytest.raises(BadOption, match="auto, float32, bfloat16"):
        measure(small_recipe("dcgan64"), CPU, "float16")
    with pytest.raises(BadOption, match="one of auto"):
        pick_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(BadOption, match="not available"):
            pick_device("cuda")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")

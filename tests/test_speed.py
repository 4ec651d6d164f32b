from __future__ import annotations

import pytest
import torch
from small import RECIPES, procedural_pixels, small_recipe

from facesmith.device import has_bfloat16, pick_device
from facesmith.errors import BadOption
from facesmith.gan.contracts import set_level
from facesmith.training import speed as speed_module
from facesmith.training.speed import measure, measure_threads

CPU = torch.device("cpu")


def test_bfloat16_is_chosen_if_it_is_clearly_faster(monkeypatch):
    monkeypatch.setattr(speed_module, "has_bfloat16", lambda device: True)
    for gain, chosen in ((0.5, "float32"), (1.05, "float32"), (1.5, "bfloat16")):
        rates = {torch.float32: 100.0, torch.bfloat16: 100.0 * gain}
        monkeypatch.setattr(speed_module, "_time_steps", lambda state, steps, rates=rates: rates[state.precision])
        speed = measure(small_recipe("dcgan64"), CPU)
        assert speed.precision == chosen
        assert speed.chosen == rates[speed_module.PRECISIONS[chosen]]
        assert f"{gain:.2f} times" in speed.why


def test_a_requested_precision_is_the_only_one_measured():
    speed = measure(small_recipe("dcgan64"), CPU, "float32", procedural_pixels())
    assert set(speed.images_per_second) == {"float32"}
    assert speed.chosen > 0
    assert speed.why == "as requested"


def test_a_cpu_without_native_bfloat16_uses_float32(monkeypatch):
    monkeypatch.setattr(speed_module, "has_bfloat16", lambda device: False)
    speed = measure(small_recipe("dcgan64"), CPU)
    assert (speed.precision, set(speed.images_per_second)) == ("float32", {"float32"})
    assert "no native bfloat16" in speed.why


@pytest.mark.parametrize(
    ("machine", "instructions", "native"),
    [
        ("x86_64", "none", False),
        ("x86_64", "avx512_bf16", True),
        ("AMD64", "amx_tile", True),
        ("aarch64", "none", True),
    ],
)
def test_a_cpu_that_emulates_bfloat16_has_no_native_one(machine, instructions, native, monkeypatch):
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr("platform.machine", lambda: machine)
    for name in ("avx512_bf16", "amx_tile"):
        monkeypatch.setattr(f"torch.cpu._is_{name}_supported", lambda name=name: name == instructions)
    assert has_bfloat16(CPU) is native


def test_pretraining_is_not_measured():
    speed = measure(small_recipe("test-pretrained", pretraining=5), CPU, "float32")
    assert speed.chosen > 0


def test_a_growing_recipe_is_measured_at_all_sizes(monkeypatch):
    def by_level(state, steps):
        set_level(state.nets, state.knobs.level)
        return 100.0 if float(state.nets["G"].level) < 1 else 20.0

    monkeypatch.setattr(speed_module, "_time_steps", by_level)
    speed = measure(small_recipe("progressive64", growing=0.5), CPU, "float32")
    assert speed.chosen == pytest.approx(1 / (0.5 / 100 + 0.5 / 20))  # half of the images at each speed


def test_the_median_of_several_rounds_counts(monkeypatch):
    seen = iter([20.0, 100.0, 20.0, 10.0])  # the first one does not count
    monkeypatch.setattr(speed_module, "_time_steps", lambda state, steps: next(seen))
    assert measure(small_recipe("dcgan64"), CPU, "float32").chosen == pytest.approx(20)


def test_periodic_steps_count_by_their_share(monkeypatch):
    def by_step(state, steps):
        return 10.0 if state.step % 8 == 0 else 100.0

    monkeypatch.setattr(speed_module, "_time_steps", by_step)
    rare = pytest.approx(8 / (1 / 10 + 7 / 100))
    assert measure(small_recipe("quick", penalty_every=8), CPU, "float32").chosen == rare
    assert measure(small_recipe("quick", penalty_every=8, gamma=0.0), CPU, "float32").chosen == 10.0
    values = {"growing": 0.0, "penalty_every": 8}
    assert measure(small_recipe("progressive64", **values), CPU, "float32").chosen == rare
    assert measure(small_recipe("progressive64", **values, loss="wgan-gp"), CPU, "float32").chosen == 10.0


def test_a_step_is_measured_under_its_own_number(monkeypatch):
    steps = []
    inner = speed_module.train_step
    monkeypatch.setattr(speed_module, "train_step", lambda state: (steps.append(state.step), inner(state)))
    measure(small_recipe("progressive64", growing=0.0, penalty_every=4), CPU, "float32")
    assert set(steps) == {0, 1}
    steps.clear()
    measure(small_recipe("test-pretrained", pretraining=5), CPU, "float32")
    assert set(steps) == {5}


@pytest.mark.parametrize("name", RECIPES)
def test_shares_of_representative_steps_sum_to_one(name):
    representative_steps = small_recipe(name).representative_steps()
    assert sum(representative_steps.values()) == pytest.approx(1)
    assert all(share > 0 for share in representative_steps.values())


@pytest.mark.skipif(not has_bfloat16(CPU), reason="this CPU has no native bfloat16")
def test_bfloat16_trains_to_finite_terms():
    assert measure(small_recipe("dcgan64"), CPU, "bfloat16").chosen > 0


def test_unknown_precisions_and_devices_are_refused():
    with pytest.raises(BadOption, match="auto, float32, bfloat16"):
        measure(small_recipe("dcgan64"), CPU, "float16")
    with pytest.raises(BadOption, match="one of auto"):
        pick_device("tpu")
    with pytest.raises(BadOption, match="CUDA_VISIBLE_DEVICES=1 facesmith"):
        pick_device("cuda:1")
    if not torch.cuda.is_available():
        with pytest.raises(BadOption, match="not available"):
            pick_device("cuda")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")


def test_numbers_of_threads_are_compared_and_restored(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(speed_module, "_time_steps", lambda state, steps: 10.0 * torch.get_num_threads())
    assert measure_threads(small_recipe("dcgan64"), CPU, "float32", None, [1, 3]) == {1: 10.0, 3: 30.0}
    assert torch.get_num_threads() == before

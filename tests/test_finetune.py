"""Beginning from a model: its weights, a run's critic or a patient generator, exact resume, and what does not fit."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from io import StringIO

import pytest
import torch
from rich.console import Console
from small import QUIET, RESOLUTION, faces_folder, small_state, stop_after

import facesmith.training.train as train_module
from facesmith.errors import BadData, BadModel, BadOption
from facesmith.modelfiles.checkpoint import load_model, load_state
from facesmith.modelfiles.run_folder import MODEL
from facesmith.recipes.quick64 import Quick64
from facesmith.training.finetune import WARMUP, begin, open_start, save_discriminator
from facesmith.training.plan import TrainOptions
from facesmith.training.train import recipe_name, train

SMALL = {"resolution": RESOLUTION, "width": 4, "z_dim": 8, "batch_size": 8}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return faces_folder(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def parent(faces, tmp_path_factory):
    """A run of dcgan64 to begin from."""
    out = tmp_path_factory.mktemp("parent") / "run"
    train(
        TrainOptions("dcgan64", faces, out, SMALL, kimg=0.08, save_every_kimg=0.04, precision="float32", threads=1),
        QUIET,
    )
    return out


@pytest.fixture(scope="module")
def quick(faces, tmp_path_factory):
    """A run of quick64 to begin from."""
    out = tmp_path_factory.mktemp("quick") / "run"
    values = {"resolution": RESOLUTION, "width": 4, "z_dim": 8, "batch_size": 8, "hidden": 16}
    train(TrainOptions("quick64", faces, out, values, kimg=0.08, precision="float32", threads=1), QUIET)
    return out


@pytest.fixture
def asked(parent, faces, tmp_path):
    """A run of other faces that begins from it; the recipe and its values are the parent's."""
    return TrainOptions(
        None, faces, tmp_path / "run", {}, kimg=0.12, save_every_kimg=0.04, seed=1, precision="float32", threads=1,
        finetune_from=parent,
    )  # fmt: skip


def test_networks_begin_as_the_model_and_the_runs_critic_left_off(parent):
    state = small_state(seed=5)
    begin(state, open_start(parent, None))
    model, kept = load_model(parent), load_state(parent / "state.pt")
    for name, tensor in model.nets["G"].state_dict().items():
        assert torch.equal(state.nets["G"].state_dict()[name], tensor)
        assert torch.equal(state.averages["G"].state_dict()[name], tensor)
    for name, tensor in state.nets["D"].state_dict().items():
        assert torch.equal(tensor, kept["nets"][f"D.{name}"])


def test_a_critic_laid_beside_a_copied_model_comes_along(parent, tmp_path):
    file = tmp_path / "kept.safetensors"
    shutil.copy(parent / MODEL, file)
    assert save_discriminator(parent, file) == tmp_path / "kept.discriminator.safetensors"
    alone, whole = open_start(file, None), open_start(parent, None)
    assert alone.warmup == whole.warmup == 0.0
    for name, tensor in whole.weights["D"].items():
        assert torch.equal(alone.weights["D"][name], tensor)


def test_a_critic_belongs_to_one_model(parent, tmp_path, faces):
    other = tmp_path / "other"
    train(TrainOptions("dcgan64", faces, other, SMALL, kimg=0.08, seed=3, precision="float32", threads=1), QUIET)
    with pytest.raises(BadModel, match="is another model"):
        save_discriminator(parent, other / MODEL)
    shutil.copy(parent / MODEL, tmp_path / MODEL)
    save_discriminator(parent, tmp_path / MODEL)
    shutil.copy(other / MODEL, tmp_path / MODEL)
    with pytest.raises(BadModel, match="was made for another model"):
        open_start(tmp_path / MODEL, None)


def test_a_run_goes_on_by_the_models_recipe_and_values(asked, parent):
    assert train(asked, QUIET).finished
    header = load_model(asked.out).header
    assert header["recipe"] == "dcgan64"
    assert header["hyperparameters"] == load_model(parent).header["hyperparameters"]
    assert header["finetuned_from"] == load_model(parent).hash
    assert json.loads((asked.out / "run.json").read_text())["finetuned_from"]["warmup"] == 0.0  # its critic came along


def test_where_the_critic_is_new_the_generator_waits_for_it(asked, parent, tmp_path, monkeypatch):
    file = shutil.copy(parent / MODEL, tmp_path / "model.safetensors")
    start = open_start(file, "dcgan64")
    assert start.warmup == WARMUP
    state = small_state(budget=1000)
    state.warmup = start.warmup
    usual = state.recipe.knobs(0).lr["G"]
    rates = []
    for seen in (0, 25, 50, 500):
        state.seen = seen
        rates.append(state.knobs.lr["G"] / usual)
        assert state.knobs.lr["D"] == usual
    assert rates == pytest.approx([0, 0.5, 1, 1])
    monkeypatch.setattr("facesmith.training.finetune.WARMUP", 0.5)
    assert train(replace(asked, finetune_from=file), QUIET).finished
    first, *_, last = map(json.loads, (asked.out / "log.jsonl").read_text().splitlines())
    assert first["lr/G"] < first["lr/D"]
    assert last["lr/G"] == last["lr/D"]


def test_resuming_changes_nothing_and_needs_the_same_model(asked, parent, tmp_path, monkeypatch):
    straight = replace(asked, out=tmp_path / "straight")
    assert train(straight, QUIET).finished
    with monkeypatch.context() as patched:
        stop_after(4, patched)
        assert not train(asked, QUIET).finished
    with pytest.raises(BadData, match="--from was"):
        train(replace(asked, finetune_from=None, recipe="dcgan64", hyperparameters=SMALL), QUIET)
    assert train(asked, QUIET).finished
    assert (asked.out / MODEL).read_bytes() == (straight.out / MODEL).read_bytes()


def test_a_run_goes_on_when_the_model_it_began_from_is_gone_or_another(asked, parent, quick, tmp_path, monkeypatch):
    straight = replace(asked, out=tmp_path / "straight")
    assert train(straight, QUIET).finished
    begun = tmp_path / "begun"
    shutil.copytree(parent, begun)
    asked = replace(asked, finetune_from=begun)
    with monkeypatch.context() as patched:
        stop_after(4, patched)
        assert not train(asked, QUIET).finished
    with pytest.raises(BadData, match="recipe was dcgan64, now dcgan32"):
        train(replace(asked, recipe="dcgan32", hyperparameters={"resolution": RESOLUTION}), QUIET)
    shutil.copy(quick / MODEL, begun / MODEL)  # another model in its place
    with monkeypatch.context() as patched:
        stop_after(1, patched)
        assert not train(asked, QUIET).finished
    shutil.rmtree(begun)
    assert recipe_name(None, begun, asked.out) == "dcgan64"
    with pytest.raises(BadModel, match="does not exist"):
        recipe_name(None, begun, asked.out, force=True)
    assert train(asked, QUIET).finished
    assert (asked.out / MODEL).read_bytes() == (straight.out / MODEL).read_bytes()
    assert train(replace(asked, kimg=0.16, extend=True), QUIET).finished


def test_a_run_that_was_killed_before_its_first_save_begins_from_the_planned_model_only(asked, parent, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(train_module, "_train", lambda *_: None)  # killed before its first save
        train(asked, QUIET)
    monkeypatch.setattr("facesmith.training.finetune.load_model", lambda _: replace(load_model(parent), hash="0" * 64))
    with pytest.raises(BadData, match="--from was"):
        train(asked, QUIET)


def test_it_is_said_whether_a_critic_comes_along(asked, parent, tmp_path):
    file = shutil.copy(parent / MODEL, tmp_path / "alone.safetensors")
    for start, expected in (
        (parent, "its critic comes along"), (parent / MODEL, "its critic comes along"), (file, "with a new critic"),
    ):  # fmt: skip
        told = StringIO()
        train(replace(asked, finetune_from=start, force=True), Console(file=told, width=300))
        assert f"{start}: {expected}" in told.getvalue()


def test_what_does_not_fit_is_refused(asked, parent, tmp_path):
    with pytest.raises(BadOption, match="trained by dcgan64, not vae64"):
        train(replace(asked, recipe="vae64"), QUIET)
    with pytest.raises(BadData, match="network G of another shape"):
        train(replace(asked, hyperparameters={"width": 8}), QUIET)
    with pytest.raises(BadModel):
        train(replace(asked, start=tmp_path / "nothing"), QUIET)
    assert train(replace(asked, hyperparameters={"lr": 1e-4, "batch_size": 4}), QUIET).finished  # these alter no shape


def test_where_faces_are_few_quick64_goes_on_gently_and_what_is_asked_for_stands(asked, quick):
    few = replace(asked, finetune_from=quick, hyperparameters={"dropout": 0.3})
    told = StringIO()
    assert train(few, Console(file=told, width=200)).finished
    assert "hidden_dropout=0.5 lr=0.0002 lr_d=0.0004" in told.getvalue()
    held, usual = load_model(few.out).header["hyperparameters"], load_model(quick).header["hyperparameters"]
    assert held == usual | {"dropout": 0.3, "hidden_dropout": 0.5, "lr": 2e-4, "lr_d": 4e-4}
    assert usual["lr"] == Quick64.lr  # from nothing its values are the usual ones, however few the faces
    train(few, QUIET)  # the same command finds its run


def test_a_run_begun_before_by_other_values_goes_on_by_them(asked, quick, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(Quick64, "few_faces", {})
        stop_after(4, before)
        assert not train(replace(asked, finetune_from=quick), QUIET).finished
    assert train(replace(asked, finetune_from=quick), QUIET).finished
    assert load_model(asked.out).header["hyperparameters"]["lr"] == Quick64.lr


def test_a_model_that_learnt_by_values_of_its_own_keeps_them(asked, quick, tmp_path):
    gentle = replace(asked, finetune_from=quick, hyperparameters={"lr": 1e-5, "dropout": 0.4}, out=tmp_path / "gentle")
    train(gentle, QUIET)
    train(replace(asked, finetune_from=gentle.out), QUIET)
    held = load_model(asked.out).header["hyperparameters"]
    assert (held["lr"], held["dropout"], held["lr_d"]) == (1e-5, 0.4, 4e-4)


def test_where_faces_are_many_a_model_goes_on_by_its_own_values(asked, quick, monkeypatch):
    monkeypatch.setattr("facesmith.training.finetune.FEW_FACES", 10)
    train(replace(asked, finetune_from=quick), QUIET)
    assert load_model(asked.out).header["hyperparameters"] == load_model(quick).header["hyperparameters"]


def test_without_a_name_it_is_our_own_recipe(asked):
    assert train(replace(asked, finetune_from=None, hyperparameters=SMALL), QUIET).finished
    assert load_model(asked.out).header["recipe"] == "quick64"

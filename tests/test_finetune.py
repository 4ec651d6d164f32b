"""Fine-tuning: weights, discriminator or warm-up, exact resume, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from io import StringIO

import pytest
import torch
from rich.console import Console
from small import QUIET, RESOLUTION, faces_folder, saved_model, small_state, stop_after

import facesmith.training.open_run as open_module
from facesmith.errors import BadData, BadModel, BadOption
from facesmith.modelfiles.checkpoint import load_model, load_state
from facesmith.modelfiles.run_folder import MODEL
from facesmith.recipes.quick import Quick
from facesmith.training.choose_recipe import recipe_name
from facesmith.training.finetune import WARMUP, load_pretrained, open_pretrained, save_discriminator
from facesmith.training.plan import TrainOptions
from facesmith.training.train import train

SMALL = {"resolution": RESOLUTION, "width": 4, "z_dim": 8, "batch_size": 8}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return faces_folder(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def parent(faces, tmp_path_factory):
    """A run of dcgan64 to fine-tune."""
    out = tmp_path_factory.mktemp("parent") / "run"
    train(
        TrainOptions("dcgan64", faces, out, SMALL, kimg=0.08, save_every_kimg=0.04, precision="float32", threads=1),
        QUIET,
    )
    return out


@pytest.fixture(scope="module")
def quick(faces, tmp_path_factory):
    """A run of quick to fine-tune."""
    out = tmp_path_factory.mktemp("quick") / "run"
    values = {"resolution": RESOLUTION, "width": 4, "z_dim": 8, "batch_size": 8, "hidden": 16}
    train(TrainOptions("quick", faces, out, values, kimg=0.08, precision="float32", threads=1), QUIET)
    return out


@pytest.fixture
def options(parent, faces, tmp_path):
    """A run that fine-tunes the parent, with its recipe and hyperparameters."""
    return TrainOptions(
        None, faces, tmp_path / "run", {}, kimg=0.12, save_every_kimg=0.04, seed=1, precision="float32", threads=1,
        finetune_from=parent,
    )  # fmt: skip


def test_a_model_that_fits_is_suggested(faces, tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    wide = saved_model(runs / "wide", "dcgan64", width=6, z_dim=8)
    narrow = saved_model(runs / "narrow", "dcgan64", width=4, z_dim=8)
    vae = saved_model(runs / "vae", "vae64", width=4, z_dim=8)
    options = TrainOptions("dcgan64", faces, tmp_path / "out", {}, kimg=0.02, finetune_from=vae)
    with pytest.raises(BadOption, match=rf"request vae64\. This model fits: --from {narrow}\."):
        train(options, QUIET)
    with pytest.raises(BadData, match=rf"change its size\. This model fits: --from {wide}\."):
        train(replace(options, finetune_from=narrow, hyperparameters={"width": 6}), QUIET)
    with pytest.raises(BadModel, match=rf"contains no model.* Did you mean {narrow} or {vae} or {wide}\?"):
        train(replace(options, finetune_from=runs), QUIET)
    with pytest.raises(BadModel, match=rf"does not exist.* Did you mean {narrow}"):
        train(replace(options, finetune_from=runs / "naro"), QUIET)


def test_networks_start_with_the_weights_of_model_and_discriminator(parent):
    state = small_state(seed=5)
    load_pretrained(state, open_pretrained(parent, None))
    model, kept = load_model(parent), load_state(parent / "state.pt")
    for name, tensor in model.nets["G"].state_dict().items():
        assert torch.equal(state.nets["G"].state_dict()[name], tensor)
        assert torch.equal(state.averages["G"].state_dict()[name], tensor)
    for name, tensor in state.nets["D"].state_dict().items():
        assert torch.equal(tensor, kept["nets"][f"D.{name}"])


def test_a_discriminator_beside_a_copied_model_is_used(parent, tmp_path):
    file = tmp_path / "kept.safetensors"
    shutil.copy(parent / MODEL, file)
    assert save_discriminator(parent, file) == tmp_path / "kept.discriminator.safetensors"
    alone, whole = open_pretrained(file, None), open_pretrained(parent, None)
    assert alone.warmup == whole.warmup == 0.0
    for name, tensor in whole.weights["D"].items():
        assert torch.equal(alone.weights["D"][name], tensor)


def test_the_discriminator_beside_a_snapshot_is_used(parent, faces, tmp_path):
    run = tmp_path / "run"
    options = TrainOptions("dcgan64", faces, run, SMALL, kimg=0.08, seed=3, precision="float32", threads=1)
    train(replace(options, snapshots=1), QUIET)
    snapshot = open_pretrained(run / "snapshots" / "000000080.safetensors", None)
    assert snapshot.warmup == 0.0
    for name, tensor in open_pretrained(run, None).weights["D"].items():
        assert torch.equal(snapshot.weights["D"][name], tensor)
    networks = tmp_path / "networks" / "model.safetensors"
    networks.parent.mkdir()
    shutil.copy(run / "networks" / "000000080.safetensors", networks)
    (tmp_path / "snapshots").mkdir()
    shutil.copy(parent / MODEL, tmp_path / "snapshots" / MODEL)
    assert open_pretrained(tmp_path / "snapshots" / MODEL, None).warmup == WARMUP  # these are of another run


def test_a_discriminator_belongs_to_one_model(parent, tmp_path, faces):
    other = tmp_path / "other"
    train(TrainOptions("dcgan64", faces, other, SMALL, kimg=0.08, seed=3, precision="float32", threads=1), QUIET)
    with pytest.raises(BadModel, match="is not the model of"):
        save_discriminator(parent, other / MODEL)
    shutil.copy(parent / MODEL, tmp_path / MODEL)
    save_discriminator(parent, tmp_path / MODEL)
    shutil.copy(other / MODEL, tmp_path / MODEL)
    with pytest.raises(BadModel, match="was made for another model"):
        open_pretrained(tmp_path / MODEL, None)


def test_fine_tuning_uses_the_models_recipe_and_hyperparameters(options, parent):
    assert train(options, QUIET).finished
    header = load_model(options.out).header
    assert header["recipe"] == "dcgan64"
    assert header["hyperparameters"] == load_model(parent).header["hyperparameters"]
    assert header["finetuned_from"] == load_model(parent).hash
    assert json.loads((options.out / "run.json").read_text())["finetuned_from"]["warmup"] == 0.0


def test_with_a_new_discriminator_the_generator_is_warmed_up(options, parent, tmp_path, monkeypatch):
    file = shutil.copy(parent / MODEL, tmp_path / "model.safetensors")
    pretrained = open_pretrained(file, "dcgan64")
    assert pretrained.warmup == WARMUP
    state = small_state(budget=1000)
    state.warmup = pretrained.warmup
    usual = state.recipe.knobs(0).lr["G"]
    rates = []
    for seen in (0, 25, 50, 500):
        state.seen = seen
        rates.append(state.knobs.lr["G"] / usual)
        assert state.knobs.lr["D"] == usual
    assert rates == pytest.approx([0, 0.5, 1, 1])
    monkeypatch.setattr("facesmith.training.finetune.WARMUP", 0.5)
    assert train(replace(options, finetune_from=file), QUIET).finished
    first, *_, last = map(json.loads, (options.out / "log.jsonl").read_text().splitlines())
    assert first["lr/G"] < first["lr/D"]
    assert last["lr/G"] == last["lr/D"]


def test_resuming_a_fine_tuning_needs_the_same_model(options, parent, tmp_path, monkeypatch):
    straight = replace(options, out=tmp_path / "straight")
    assert train(straight, QUIET).finished
    with monkeypatch.context() as patched:
        stop_after(4, patched)
        assert not train(options, QUIET).finished
    with pytest.raises(BadData, match="--from was"):
        train(replace(options, finetune_from=None, recipe="dcgan64", hyperparameters=SMALL), QUIET)
    assert train(options, QUIET).finished
    assert (options.out / MODEL).read_bytes() == (straight.out / MODEL).read_bytes()


def test_a_run_resumes_when_its_origin_is_gone_or_replaced(options, parent, quick, tmp_path, monkeypatch):
    straight = replace(options, out=tmp_path / "straight")
    assert train(straight, QUIET).finished
    pretrained = tmp_path / "pretrained"
    shutil.copytree(parent, pretrained)
    options = replace(options, finetune_from=pretrained)
    with monkeypatch.context() as patched:
        stop_after(4, patched)
        assert not train(options, QUIET).finished
    with pytest.raises(BadData, match="recipe was dcgan64, now dcgan32"):
        train(replace(options, recipe="dcgan32", hyperparameters={"resolution": RESOLUTION}), QUIET)
    shutil.copy(quick / MODEL, pretrained / MODEL)  # another model in its place
    with monkeypatch.context() as patched:
        stop_after(1, patched)
        assert not train(options, QUIET).finished
    shutil.rmtree(pretrained)
    assert recipe_name(None, pretrained, options.out) == "dcgan64"
    with pytest.raises(BadModel, match="does not exist"):
        recipe_name(None, pretrained, options.out, force=True)
    assert train(options, QUIET).finished
    assert (options.out / MODEL).read_bytes() == (straight.out / MODEL).read_bytes()
    assert train(replace(options, kimg=0.16, extend=True), QUIET).finished


def killed(*_, **__):
    raise KeyboardInterrupt


def test_a_run_killed_before_its_first_save_needs_the_planned_origin(options, parent, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(open_module, "Monitor", killed)
        with pytest.raises(KeyboardInterrupt):
            train(options, QUIET)
    monkeypatch.setattr("facesmith.training.finetune.load_model", lambda _: replace(load_model(parent), hash="0" * 64))
    with pytest.raises(BadData, match="--from was"):
        train(options, QUIET)


def test_the_command_prints_whether_a_discriminator_was_found(options, parent, tmp_path):
    file = shutil.copy(parent / MODEL, tmp_path / "alone.safetensors")
    own, new = "with its discriminator", "with a new discriminator"
    for path, expected in ((parent, own), (parent / MODEL, own), (file, new)):
        output = StringIO()
        train(replace(options, finetune_from=path, force=True), Console(file=output, width=300))
        assert f"fine-tuning {path} {expected}" in output.getvalue()


def test_a_model_that_does_not_fit_is_refused(options, parent, tmp_path):
    with pytest.raises(BadOption, match="trained by dcgan64, not vae64"):
        train(replace(options, recipe="vae64"), QUIET)
    with pytest.raises(BadData, match="network G has other shapes"):
        train(replace(options, hyperparameters={"width": 8}), QUIET)
    with pytest.raises(BadModel):
        train(replace(options, finetune_from=tmp_path / "nothing"), QUIET)
    assert train(
        replace(options, hyperparameters={"lr": 1e-4, "batch_size": 4}), QUIET
    ).finished  # these change no shapes


def test_few_faces_change_hyperparameters_except_those_requested(options, quick):
    few = replace(options, finetune_from=quick, hyperparameters={"dropout": 0.3})
    output = StringIO()
    assert train(few, Console(file=output, width=200)).finished
    assert "hidden_dropout=0.5 lr=0.0002 lr_d=0.0004" in output.getvalue()
    own, usual = load_model(few.out).header["hyperparameters"], load_model(quick).header["hyperparameters"]
    assert own == usual | {"dropout": 0.3, "hidden_dropout": 0.5, "lr": 2e-4, "lr_d": 4e-4}
    assert usual["lr"] == Quick.lr  # from scratch, few faces change nothing
    train(few, QUIET)  # the same command resumes the run


def test_a_run_resumes_with_the_hyperparameters_that_it_started_with(options, quick, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(Quick, "few_faces", {})
        stop_after(4, before)
        assert not train(replace(options, finetune_from=quick), QUIET).finished
    assert train(replace(options, finetune_from=quick), QUIET).finished
    assert load_model(options.out).header["hyperparameters"]["lr"] == Quick.lr


def test_a_model_with_its_own_hyperparameters_keeps_them(options, quick, tmp_path):
    gentle = replace(
        options, finetune_from=quick, hyperparameters={"lr": 1e-5, "dropout": 0.4}, out=tmp_path / "gentle"
    )
    train(gentle, QUIET)
    train(replace(options, finetune_from=gentle.out), QUIET)
    own = load_model(options.out).header["hyperparameters"]
    assert (own["lr"], own["dropout"], own["lr_d"]) == (1e-5, 0.4, 4e-4)


def test_many_faces_change_no_hyperparameters(options, quick, monkeypatch):
    monkeypatch.setattr("facesmith.training.defaults_for_faces.GENTLE", 10)
    train(replace(options, finetune_from=quick), QUIET)
    assert load_model(options.out).header["hyperparameters"] == load_model(quick).header["hyperparameters"]


def test_the_default_recipe_is_quick(options):
    assert train(replace(options, finetune_from=None, hyperparameters=SMALL), QUIET).finished
    assert load_model(options.out).header["recipe"] == "quick"

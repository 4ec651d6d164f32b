"""Validation during training: reproducible, ordered by quality, within its share of the time."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import Thumbnails
from small import QUIET, faces_folder, small_state, stop_after

import facesmith.training.make_plan as plan_module
import facesmith.training.open_run as open_module
import facesmith.training.validation as validation_module
from facesmith.errors import BadData, BadModel, BadOption
from facesmith.faces import open_faces
from facesmith.latent.synthesis import synthesize_seeds
from facesmith.modelfiles.checkpoint import load_model
from facesmith.training.averages import inference_networks
from facesmith.training.plan import TrainOptions
from facesmith.training.step import train_step
from facesmith.training.train import train
from facesmith.training.validation import (
    KID,
    MAX_SAMPLES,
    MAX_SHARE_OF_RUN,
    MIN_SAMPLES,
    affordable_validation,
    check_validation_split,
    prepare_validation,
    validate,
)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return open_faces(faces_folder(tmp_path_factory.mktemp("faces"), 1200), 16)


def test_validation_is_reproducible_and_does_not_change_the_training(faces):
    validation = prepare_validation(faces, Thumbnails(), 64, QUIET)
    state = small_state()
    train_step(state)
    G = inference_networks(state)["G"]
    torch.manual_seed(3)
    first, drawn = validate(G, validation), torch.rand(3)
    torch.manual_seed(3)
    again = validate(G, validation)
    assert torch.equal(torch.rand(3), drawn)
    assert first == again
    assert set(first) == {KID, "validation/precision", "validation/coverage"}


def test_training_improves_the_validation_kid(faces):
    validation = prepare_validation(faces, Thumbnails(), 128, QUIET)
    state = small_state(budget=10_000)
    before = validate(inference_networks(state)["G"], validation)[KID]
    for _ in range(40):
        train_step(state)
    assert validate(inference_networks(state)["G"], validation)[KID] < before


class Slow(Thumbnails):
    def features(self, pixels):
        time.sleep(0.16)
        return super().features(pixels)


def test_validation_stays_within_its_share_of_the_time():
    state = small_state()
    samples, every = affordable_validation(Slow(), state, 100_000, images_per_second=100)
    assert every == 100_000
    assert MIN_SAMPLES <= samples <= MAX_SAMPLES
    assert 0.01 * samples <= MAX_SHARE_OF_RUN * every / 100
    samples, every = affordable_validation(Slow(), state, 1000, images_per_second=100)
    assert samples == MIN_SAMPLES
    assert every > 1000
    assert 0.01 * samples <= MAX_SHARE_OF_RUN * every / 100
    assert affordable_validation(Thumbnails(), state, 10**9, images_per_second=1)[0] == MAX_SAMPLES


def test_the_time_of_sampling_and_of_batch_norm_counts_too(monkeypatch):
    def slowly(G, seeds):
        time.sleep(0.02 * len(seeds))
        return synthesize_seeds(G, seeds)

    def prepare_slowly(state):
        time.sleep(0.5)
        return inference_networks(state)

    monkeypatch.setattr(validation_module, "synthesize_seeds", slowly)
    monkeypatch.setattr(validation_module, "inference_networks", prepare_slowly)
    samples, every = affordable_validation(Thumbnails(), small_state(), 1000, images_per_second=100)
    assert samples == MIN_SAMPLES
    assert 0.5 + 0.02 * samples <= MAX_SHARE_OF_RUN * every / 100


def test_too_few_validation_faces_are_refused(faces):
    check_validation_split(faces)
    few = replace(faces, parts=np.zeros_like(faces.parts))
    with pytest.raises(BadData, match="--validate-every"):
        check_validation_split(few)


@pytest.fixture
def options(faces, tmp_path, monkeypatch):
    for module in (plan_module, open_module):
        monkeypatch.setattr(module, "open_extractor", lambda name: Thumbnails())
    monkeypatch.setattr(plan_module, "affordable_validation", lambda *_: (64, 40))
    values = {"resolution": 16, "width": 4, "z_dim": 8, "batch_size": 8}
    return TrainOptions(
        "dcgan64", faces.path, tmp_path / "run", values, kimg=0.12, save_every_kimg=0.072, validate_every_kimg=0.04,
        precision="float32", threads=1,
    )  # fmt: skip


def evaluations(run):
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return {line["seen"]: line[KID] for line in lines if KID in line}


def test_the_best_model_of_a_run_is_saved(options):
    train(options, QUIET)
    kid = evaluations(options.out)
    assert list(kid) == [40, 80, 120]
    best = load_model(options.out / "best.safetensors")
    assert best.header["seen"] == min(kid, key=kid.get)
    assert best.header["fingerprint"] == load_model(options.out).header["fingerprint"]
    assert validate(best.nets["G"], prepare_validation(open_faces(options.data, 16), Thumbnails(), 64, QUIET))[
        KID
    ] == min(kid.values())


@pytest.mark.parametrize("stop", [12])
def test_stop_and_resume_give_the_same_validations(options, tmp_path, monkeypatch, stop):
    straight = replace(options, out=tmp_path / "straight")
    train(straight, QUIET)
    with monkeypatch.context() as patched:
        stop_after(stop, patched)
        assert not train(options, QUIET).finished
    assert train(options, QUIET).finished
    assert evaluations(options.out) == evaluations(straight.out)
    for name in ("best.safetensors", "model.safetensors"):
        assert (options.out / name).read_bytes() == (straight.out / name).read_bytes()


def test_validation_can_start_later_and_does_not_change_the_weights(options, tmp_path):
    plain = replace(options, out=tmp_path / "plain", validate_every_kimg=None, kimg=0.056)
    train(plain, QUIET)
    assert not (plain.out / "best.safetensors").exists()
    train(replace(options, out=plain.out, extend=True), QUIET)
    assert list(evaluations(plain.out)) == [80, 120]
    train(options, QUIET)
    weights = [load_model(out).nets.state_dict() for out in (options.out, plain.out)]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_impossible_validations_are_refused(options, tmp_path):
    with pytest.raises(BadOption, match="--validate-every"):
        train(replace(options, validate_every_kimg=0.0), QUIET)
    with pytest.raises(BadData, match="leave out --validate-every"):
        train(replace(options, data=faces_folder(tmp_path / "few", 40)), QUIET)
    train(options, QUIET)
    plan = options.out / "run.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"validation": {"every": 0}}))
    with pytest.raises(BadModel, match="validation"):
        train(options, QUIET)

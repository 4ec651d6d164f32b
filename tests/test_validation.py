"""The small evaluation while training: the same every time, in order of quality, within its share of the time."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import Thumbnails
from small import QUIET, faces_folder, small_state, stop_after

import facesmith.training.make_plan as planning_module
import facesmith.training.train as train_module
import facesmith.training.validation as watch_module
from facesmith.errors import BadData, BadModel, BadOption
from facesmith.faces import open_faces
from facesmith.latent.synthesis import synthesize_seeds
from facesmith.modelfiles.checkpoint import load_model
from facesmith.training.plan import TrainOptions
from facesmith.training.train import train
from facesmith.training.trainer import inference_networks, train_step
from facesmith.training.validation import CHOSEN_BY, FEWEST, MOST, SHARE, affordable, check_validation, prepare, watched


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return open_faces(faces_folder(tmp_path_factory.mktemp("faces"), 1200), 16)


def test_it_gives_the_same_numbers_and_leaves_the_training_alone(faces):
    watch = prepare(faces, Thumbnails(), 64, QUIET)
    state = small_state()
    train_step(state)
    G = inference_networks(state)["G"]
    torch.manual_seed(3)
    first, drawn = watched(G, watch), torch.rand(3)
    torch.manual_seed(3)
    again = watched(G, watch)
    assert torch.equal(torch.rand(3), drawn)
    assert first == again
    assert set(first) == {CHOSEN_BY, "eval/precision", "eval/coverage"}


def test_training_makes_it_better(faces):
    watch = prepare(faces, Thumbnails(), 128, QUIET)
    state = small_state(budget=10_000)
    before = watched(inference_networks(state)["G"], watch)[CHOSEN_BY]
    for _ in range(40):
        train_step(state)
    assert watched(inference_networks(state)["G"], watch)[CHOSEN_BY] < before


class Slow(Thumbnails):
    def features(self, pixels):
        time.sleep(0.16)
        return super().features(pixels)


def test_it_takes_no_more_than_its_share():
    state = small_state()
    samples, every = affordable(Slow(), state, 100_000, images_per_second=100)
    assert every == 100_000
    assert FEWEST <= samples <= MOST
    assert 0.01 * samples <= SHARE * every / 100
    samples, every = affordable(Slow(), state, 1000, images_per_second=100)
    assert samples == FEWEST
    assert every > 1000
    assert 0.01 * samples <= SHARE * every / 100
    assert affordable(Thumbnails(), state, 10**9, images_per_second=1)[0] == MOST


def test_a_slow_generator_and_its_settling_count_as_well(monkeypatch):
    def slowly(G, seeds):
        time.sleep(0.02 * len(seeds))
        return synthesize_seeds(G, seeds)

    def settled_slowly(state):
        time.sleep(0.5)
        return inference_networks(state)

    monkeypatch.setattr(watch_module, "synthesize_seeds", slowly)
    monkeypatch.setattr(watch_module, "inference_networks", settled_slowly)
    samples, every = affordable(Thumbnails(), small_state(), 1000, images_per_second=100)
    assert samples == FEWEST
    assert 0.5 + 0.02 * samples <= SHARE * every / 100


def test_too_few_validation_faces_are_told_of(faces):
    check_validation(faces)
    few = replace(faces, parts=np.zeros_like(faces.parts))
    with pytest.raises(BadData, match="--eval-every"):
        check_validation(few)


@pytest.fixture
def asked(faces, tmp_path, monkeypatch):
    for module in (planning_module, train_module):
        monkeypatch.setattr(module, "open_extractor", lambda name: Thumbnails())
    monkeypatch.setattr(planning_module, "affordable", lambda *_: (64, 40))
    values = {"resolution": 16, "width": 4, "z_dim": 8, "batch_size": 8}
    return TrainOptions(
        "dcgan64", faces.path, tmp_path / "run", values, kimg=0.12, save_every_kimg=0.072, eval_every_kimg=0.04,
        precision="float32", threads=1,
    )  # fmt: skip


def evaluations(run):
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return {line["seen"]: line[CHOSEN_BY] for line in lines if CHOSEN_BY in line}


def test_the_best_model_of_a_run_is_kept(asked):
    train(asked, QUIET)
    found = evaluations(asked.out)
    assert list(found) == [40, 80, 120]
    best = load_model(asked.out / "best.safetensors")
    assert best.header["seen"] == min(found, key=found.get)
    assert best.header["fingerprint"] == load_model(asked.out).header["fingerprint"]
    assert watched(best.nets["G"], prepare(open_faces(asked.data, 16), Thumbnails(), 64, QUIET))[CHOSEN_BY] == min(
        found.values()
    )


@pytest.mark.parametrize("stop", [12])
def test_stopping_changes_nothing_of_it(asked, tmp_path, monkeypatch, stop):
    straight = replace(asked, out=tmp_path / "straight")
    train(straight, QUIET)
    with monkeypatch.context() as patched:
        stop_after(stop, patched)
        assert not train(asked, QUIET).finished
    assert train(asked, QUIET).finished
    assert evaluations(asked.out) == evaluations(straight.out)
    for name in ("best.safetensors", "model.safetensors"):
        assert (asked.out / name).read_bytes() == (straight.out / name).read_bytes()


def test_a_run_may_be_watched_from_later_on_and_trains_the_same(asked, tmp_path):
    plain = replace(asked, out=tmp_path / "plain", eval_every_kimg=None, kimg=0.056)
    train(plain, QUIET)
    assert not (plain.out / "best.safetensors").exists()
    train(replace(asked, out=plain.out, extend=True), QUIET)
    assert list(evaluations(plain.out)) == [80, 120]
    train(asked, QUIET)
    weights = [load_model(out).nets.state_dict() for out in (asked.out, plain.out)]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_what_can_t_be_watched_is_told_of(asked, tmp_path):
    with pytest.raises(BadOption, match="--eval-every"):
        train(replace(asked, eval_every_kimg=0.0), QUIET)
    with pytest.raises(BadData, match="leave out --eval-every"):
        train(replace(asked, data=faces_folder(tmp_path / "few", 40)), QUIET)
    train(asked, QUIET)
    plan = asked.out / "run.json"
    plan.write_text(json.dumps(json.loads(plan.read_text()) | {"validation": {"every": 0}}))
    with pytest.raises(BadModel, match="validation"):
        train(asked, QUIET)

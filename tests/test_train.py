"""A run folder: resumed exactly, killed without loss, locked, extended, refused where plans differ."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import filelock
import pytest
import torch
from small import QUIET, RESOLUTION, TEST_RECIPES, faces_folder, stop_after

from facesmith.errors import BadData, BadModel, BadOption, Diverged, OutputExists, RunBusy
from facesmith.modelfiles.checkpoint import load_model, load_state
from facesmith.photos.split import PARTS
from facesmith.training.plan import TrainOptions
from facesmith.training.train import train

SMALL = {"resolution": RESOLUTION, "width": 4, "z_dim": 8, "batch_size": 8}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return faces_folder(tmp_path_factory.mktemp("faces"))


@pytest.fixture
def asked(faces, tmp_path):
    return TrainOptions(
        "dcgan64", faces, tmp_path / "run", SMALL, kimg=0.12, save_every_kimg=0.04, precision="float32", threads=1
    )


def test_a_run_leaves_what_a_person_looks_at(asked):
    report = train(asked, QUIET)
    assert report.finished
    assert report.seen == 120
    run = asked.out
    seen = [json.loads(line)["seen"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert seen == [40, 80, 120]
    assert [int(path.stem) for path in sorted((run / "samples").iterdir())] == seen
    for name in ("samples.png", "curves.png", "model.safetensors", "state.pt", "run.json"):
        assert (run / name).stat().st_size > 0
    assert list((run / "tensorboard").iterdir())
    header = load_model(run).header
    assert header["seen"] == 120
    assert sum(header["split"]["counts"][part] for part in PARTS) == 40


def test_what_has_grown_stays_grown_in_a_longer_run_and_in_one_that_begins_from_it(asked, tmp_path):
    values = SMALL | {"max_channels": 8, "growing": 0.6, "gamma": 0.0}
    asked = replace(asked, recipe="progressive64", hyperparameters=values, kimg=0.04)
    train(asked, QUIET)
    assert train(replace(asked, kimg=0.2, extend=True), QUIET).finished
    begun = replace(asked, recipe=None, hyperparameters={}, finetune_from=asked.out, out=tmp_path / "begun")
    assert train(begun, QUIET).finished
    for run in (asked.out, begun.out):
        levels = [json.loads(line)["knob/level"] for line in (run / "log.jsonl").read_text().splitlines()]
        assert set(levels[run == asked.out :]) == {1.0}, run


@pytest.mark.parametrize("recipe", ["dcgan64", *TEST_RECIPES])
@pytest.mark.parametrize("stop", [1, 5])  # the first lies in the middle of pretraining
def test_resuming_changes_nothing(asked, tmp_path, monkeypatch, recipe, stop):
    asked = replace(asked, recipe=recipe, hyperparameters=SMALL if recipe == "dcgan64" else {})
    straight = replace(asked, out=tmp_path / "straight")
    assert train(straight, QUIET).finished
    with monkeypatch.context() as patched:
        stop_after(stop, patched)
        assert not train(asked, QUIET).finished
    torch.rand(7)
    assert train(asked, QUIET).finished
    assert (asked.out / "model.safetensors").read_bytes() == (straight.out / "model.safetensors").read_bytes()


def test_a_finished_run_stays_as_it_is_and_can_be_extended(asked, tmp_path):
    train(asked, QUIET)
    before = (asked.out / "model.safetensors").read_bytes()
    assert train(asked, QUIET).finished
    assert (asked.out / "model.safetensors").read_bytes() == before
    with pytest.raises(BadData, match="--extend"):
        train(replace(asked, kimg=0.2), QUIET)
    with pytest.raises(BadOption, match="longer"):
        train(replace(asked, kimg=0.05, extend=True), QUIET)
    assert train(replace(asked, kimg=0.2, extend=True), QUIET).seen == 200
    # The recipe's schedule is constant, so longer in two parts is the same as longer at once.
    train(replace(asked, kimg=0.2, out=tmp_path / "at once"), QUIET)
    extended, at_once = (load_model(folder).nets.state_dict() for folder in (asked.out, tmp_path / "at once"))
    assert all(torch.equal(tensor, at_once[key]) for key, tensor in extended.items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hyperparameters": {**SMALL, "lr": 1e-3}}, "--set lr was 0.0002, now 0.001"),
        ({"seed": 3}, "--seed was 0, now 3"),
        ({"mirror": False}, "--mirror was True, now False"),
        ({"limit": 30}, "--limit was None, now 30"),
        ({"precision": "bfloat16"}, "--precision"),
    ],
)
def test_another_plan_is_not_mixed_into_a_run(asked, change, words):
    train(asked, QUIET)
    with pytest.raises(BadData, match=words):
        train(replace(asked, **change), QUIET)


def test_force_starts_over_and_removes_only_what_is_its_own(asked):
    train(asked, QUIET)
    (asked.out / "notes.txt").write_text("mine")
    assert train(replace(asked, seed=5, force=True), QUIET).finished
    assert load_model(asked.out).header["seed"] == 5
    assert (asked.out / "notes.txt").read_text() == "mine"


def test_a_folder_of_something_else_is_left_alone(asked):
    asked.out.mkdir()
    (asked.out / "thesis.doc").write_text("mine")
    with pytest.raises(OutputExists, match="holds no run"):
        train(asked, QUIET)


def test_two_trainers_in_one_run_are_refused(asked):
    asked.out.mkdir()
    held = filelock.FileLock(asked.out / ".lock", timeout=0)
    with held, pytest.raises(RunBusy, match="Another process"):
        train(asked, QUIET)
    assert train(asked, QUIET).finished


def test_training_works_outside_the_main_thread(asked):
    reports = []
    thread = threading.Thread(target=lambda: reports.append(train(asked, QUIET)))
    thread.start()
    thread.join()
    assert reports[0].finished


def test_snapshots_keep_the_last_ones(asked):
    train(replace(asked, snapshots=2), QUIET)
    kept = sorted((asked.out / "snapshots").iterdir())
    assert [path.name for path in kept] == ["000000080.safetensors", "000000120.safetensors"]
    assert load_model(kept[0]).header["seen"] == 80


def test_a_diverging_run_stops_with_the_last_save_whole(asked):
    train(asked, QUIET)
    before = (asked.out / "model.safetensors").read_bytes()
    state = load_state(asked.out / "state.pt")
    key = next(key for key in state["nets"] if key.startswith("D.") and key.endswith("weight"))
    state["nets"][key].fill_(float("inf"))
    torch.save(state, asked.out / "state.pt")
    with pytest.raises(Diverged, match="lower learning rate"):
        train(replace(asked, kimg=0.5, extend=True), QUIET)
    assert (asked.out / "model.safetensors").read_bytes() == before


def test_a_damaged_state_is_told(asked):
    train(asked, QUIET)
    (asked.out / "state.pt").write_bytes((asked.out / "state.pt").read_bytes()[:1000])
    with pytest.raises(BadModel, match="--force"):
        train(asked, QUIET)
    (asked.out / "run.json").write_text("{}")
    with pytest.raises(BadModel, match="--force"):
        train(asked, QUIET)


def test_minutes_become_a_fixed_budget(asked):
    train(replace(asked, kimg=None, minutes=0.01), QUIET)
    plan = json.loads((asked.out / "run.json").read_text())
    assert plan["budget_request"] == {"minutes": 0.01}
    assert plan["budget"] == pytest.approx(max(8, 0.6 * plan["images_per_second"]), abs=1.1)  # the speed is rounded
    assert load_model(asked.out).header["seen"] >= plan["budget"]


def test_a_budget_is_one_number_above_nothing(asked):
    for change in ({"minutes": 1.0}, {"kimg": 0.0}, {"kimg": float("nan")}, {"save_every_kimg": -1.0},
                   {"kimg": 1e306}, {"kimg": None, "minutes": 1e308}):  # fmt: skip
        with pytest.raises(BadOption):
            train(replace(asked, **change), QUIET)


def test_force_deletes_nothing_before_all_else_is_checked(asked):
    train(asked, QUIET)
    before = (asked.out / "model.safetensors").read_bytes()
    for change in ({"device": "tpu"}, {"precision": "float16"}, {"kimg": -1.0}):
        with pytest.raises(BadOption):
            train(replace(asked, force=True, **change), QUIET)
    assert (asked.out / "model.safetensors").read_bytes() == before


def test_force_does_not_touch_a_folder_that_is_no_run(asked):
    (asked.out / "samples").mkdir(parents=True)
    (asked.out / "samples" / "precious.txt").write_text("mine")
    with pytest.raises(OutputExists, match="holds no run"):
        train(replace(asked, force=True), QUIET)
    assert (asked.out / "samples" / "precious.txt").read_text() == "mine"


def test_a_run_without_its_state_is_not_silently_begun_again(asked):
    train(asked, QUIET)
    before = (asked.out / "model.safetensors").read_bytes()
    (asked.out / "state.pt").unlink()
    with pytest.raises(BadModel, match=r"no state\.pt"):
        train(asked, QUIET)
    assert (asked.out / "model.safetensors").read_bytes() == before


def test_a_finished_run_writes_a_lost_model_again(asked):
    train(asked, QUIET)
    before = (asked.out / "model.safetensors").read_bytes()
    (asked.out / "model.safetensors").unlink()
    assert train(asked, QUIET).finished
    assert (asked.out / "model.safetensors").read_bytes() == before


def test_a_damaged_log_and_foreign_pictures_do_not_keep_a_run_from_going_on(asked):
    train(asked, QUIET)
    with open(asked.out / "log.jsonl", "ab") as log:
        log.write(b'\n[]\n5\n{"a": 1}\n{"seen": "x"}\n\xff\n' + b"[" * 5000 + b'\n{"seen": 9')
    (asked.out / "samples" / "best.png").write_bytes(b"mine")
    assert train(replace(asked, kimg=0.16, extend=True), QUIET).finished
    seen = [json.loads(line)["seen"] for line in (asked.out / "log.jsonl").read_text().splitlines()]
    assert seen == [40, 80, 120, 160]
    assert (asked.out / "samples" / "best.png").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"budget": "x"},
            {"budget": 0},
            {"save_every": 0},
            {"hyperparameters": None},
            {"budget_request": []},
            {"format": 99},
        ),
        *(
            {"budget_request": {"minutes": "x"}},
            {"fingerprint": 5},
            {"precision": "float16"},
            {"threads": 0},
            {"extra": 1},
            {"on_trouble": "pray"},
        ),
    ],
)
def test_a_plan_of_wrong_kinds_is_told(asked, change):
    train(asked, QUIET)
    plan = json.loads((asked.out / "run.json").read_text())
    (asked.out / "run.json").write_text(json.dumps({**plan, **change}))
    with pytest.raises(BadModel, match="--force"):
        train(asked, QUIET)


@pytest.mark.parametrize("change", [{"step": "x"}, {"seen": -1}, {"position": None}, {"seconds": None}, {"nets": 3}])
def test_a_state_of_wrong_kinds_is_told(asked, change):
    train(asked, QUIET)
    torch.save({**load_state(asked.out / "state.pt"), **change}, asked.out / "state.pt")
    with pytest.raises(BadModel, match="--force"):
        train(asked, QUIET)


def test_how_often_to_save_can_change_on_the_way(asked, monkeypatch):
    with monkeypatch.context() as patched:
        stop_after(3, patched)
        train(asked, QUIET)
    train(replace(asked, save_every_kimg=0.016), QUIET)
    seen = [json.loads(line)["seen"] for line in (asked.out / "log.jsonl").read_text().splitlines()]
    assert seen == [24, 32, 48, 64, 80, 96, 112, 120]


def command(asked):
    settings = [part for name, held in asked.hyperparameters.items() for part in ("--set", f"{name}={held}")]
    return [
        sys.executable, "-m", "facesmith", "train", asked.recipe, "--data", str(asked.data), "--out", str(asked.out),
        "--kimg", str(asked.kimg), "--save-every", str(asked.save_every_kimg), "--precision", "float32",
        "--threads", "1", *settings,
    ]  # fmt: skip


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


def test_ctrl_c_saves_and_the_same_command_resumes_to_the_same_bytes(asked, tmp_path):
    asked = replace(asked, kimg=1.6, save_every_kimg=0.2)
    running = subprocess.Popen(command(asked), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (asked.out / "state.pt").exists())
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "goes on" in told
    assert "Traceback" not in told
    stopped_at = load_state(asked.out / "state.pt")["seen"]
    assert 0 < stopped_at < 1600
    subprocess.run(command(asked), check=True, timeout=120)
    train(replace(asked, out=tmp_path / "straight"), QUIET)
    assert (asked.out / "model.safetensors").read_bytes() == (tmp_path / "straight" / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing_but_the_last_tick(asked, tmp_path):
    asked = replace(asked, kimg=4.0, save_every_kimg=0.2)
    rng, log, newest = random.Random(20), asked.out / "log.jsonl", 0
    for _ in range(6):
        running = subprocess.Popen(command(asked), stderr=subprocess.DEVNULL)
        grown = log.stat().st_size if log.exists() else 0
        wait_for(lambda: running.poll() is not None or (log.exists() and log.stat().st_size > grown))  # noqa: B023
        time.sleep(rng.random() * 3)  # a save takes about a second: before, amid and after one
        running.kill()
        running.wait()
        told = [json.loads(line)["seen"] for line in log.read_text().splitlines()]
        assert told == sorted(set(told)), "no tick is told twice"
        saved = load_state(asked.out / "state.pt")["seen"] if (asked.out / "state.pt").exists() else 0
        assert saved >= newest, "what was saved once stays saved"
        assert told[-1] - saved <= 200, "at most the last tick is lost"
        newest = saved
        load_model(asked.out)
    assert newest > 0
    subprocess.run(command(asked), check=True, timeout=120, stderr=subprocess.DEVNULL)
    train(replace(asked, out=tmp_path / "straight"), QUIET)
    assert (asked.out / "model.safetensors").read_bytes() == (tmp_path / "straight" / "model.safetensors").read_bytes()

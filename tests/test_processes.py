"""Several processes train one run together, as torchrun starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from small import QUIET, RECIPES, RESOLUTION, TEST_RECIPES, faces_folder, small_recipe, small_state
from test_shards import run_here
from train_in_processes import options_for

from facesmith.errors import BadData
from facesmith.modelfiles.checkpoint import load_state
from facesmith.modelfiles.run_folder import PLAN, STATE
from facesmith.photos import extract as extract_module
from facesmith.photos.extract import extract
from facesmith.training import processes as processes_module
from facesmith.training.plan import read_plan
from facesmith.training.train import train

TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
TESTS = Path(__file__).parent


def environment(cache):
    path = os.pathsep.join([str(TESTS), *sys.path])
    return os.environ | {"OMP_NUM_THREADS": "1", "FACESMITH_CACHE": str(cache), "PYTHONPATH": path}


def run_processes(*arguments, cache, count=2):
    """The finished torchrun command."""
    command = [*TORCHRUN, "--nproc-per-node", str(count), *map(str, arguments)]
    return subprocess.run(command, env=environment(cache), capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with faces, and with what two processes did in one start of torchrun."""
    folder = tmp_path_factory.mktemp("processes")
    faces_folder(folder / "faces")
    finished = run_processes(
        TESTS / "train_in_processes.py", folder / "faces", folder, "dcgan64", cache=folder / "cache"
    )
    assert finished.returncode == 0, finished.stderr
    return folder


@pytest.fixture(scope="module")
def results(folder):
    return [json.loads((folder / f"process {rank}.json").read_text()) for rank in range(2)]


def test_mean_gradients_equal_those_of_the_joint_batch(results):
    assert max(result["gradient difference"] for result in results) < 1e-5


def test_each_process_draws_other_faces_of_the_same_epoch(results):
    joint = small_state(mirror=False).stream.draw(16)[:, 0, 0, 0].tolist()
    assert results[0]["first faces"] + results[1]["first faces"] == joint


def test_all_processes_decide_alike_on_the_mean_of_their_losses(results):
    # The first process alone would not let its discriminator wait, the second one would.
    assert [result["decision"] for result in results] == [True, True]


def test_a_loss_that_is_not_finite_in_one_process_stops_all_before_the_weights_change(results):
    assert all(result["unchanged"] for result in results)
    assert not any("went on" in result for result in results)


def test_resuming_gives_the_same_model_byte_for_byte(folder):
    models = [folder / "dcgan64" / name / "model.safetensors" for name in ("straight", "interrupted")]
    assert models[0].read_bytes() == models[1].read_bytes()


def test_seen_counts_the_images_of_all_processes(folder):
    state = load_state(folder / "dcgan64" / "straight" / STATE)
    assert (state["seen"], state["step"], state["position"]) == (240, 15, 240)
    assert read_plan(folder / "dcgan64" / "straight" / PLAN).processes == 2


def test_another_number_of_processes_is_refused(folder):
    options = replace(options_for("dcgan64", folder / "faces", folder), out=folder / "dcgan64" / "straight")
    with pytest.raises(BadData, match=r"started with 2 processes, now there is 1.* --from"):
        train(options, QUIET)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [name for name in (*RECIPES, *TEST_RECIPES) if name != "dcgan64"])
def test_every_recipe_resumes_exactly(folder, tmp_path, recipe):
    faces = folder / "faces"
    if (size_px := small_recipe(recipe).resolution) != RESOLUTION:
        faces = faces_folder(tmp_path / "faces", size_px=size_px)
    finished = run_processes(TESTS / "train_in_processes.py", faces, tmp_path, recipe, cache=folder / "cache")
    assert finished.returncode == 0, finished.stderr
    models = [tmp_path / recipe / name / "model.safetensors" for name in ("straight", "interrupted")]
    assert models[0].read_bytes() == models[1].read_bytes()


def small_command(faces, out, kimg):
    values = ("resolution=16", "width=4", "z_dim=8", "batch_size=8")
    settings = [word for value in values for word in ("--set", value)]
    fixed = ["--precision", "float32", "--save-every", "0.8", "--threads", "1", "--kimg", str(kimg)]
    return ["-m", "facesmith", "train", "dcgan64", "--data", str(faces), "--out", str(out), *settings, *fixed]


@pytest.mark.slow
def test_one_process_of_torchrun_equals_the_plain_command(folder, tmp_path):
    runs = [tmp_path / "torchrun", tmp_path / "plain"]
    finished = run_processes(*small_command(folder / "faces", runs[0], 1.6), cache=folder / "cache", count=1)
    assert finished.returncode == 0, finished.stderr
    plain = [sys.executable, *small_command(folder / "faces", runs[1], 1.6)]
    subprocess.run(plain, env=environment(folder / "cache"), check=True, capture_output=True)
    assert (runs[0] / "model.safetensors").read_bytes() == (runs[1] / "model.safetensors").read_bytes()


def run_and_kill_one(command, state, rank, *options, cache):
    """Start two processes, kill one after a checkpoint, and wait for torchrun's end; returns its code and messages."""
    with subprocess.Popen(
        [*TORCHRUN, "--nproc-per-node", "2", *options, *command],
        env=environment(cache),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as agent:
        while not (state.exists() and load_state(state)["seen"]):
            time.sleep(0.2)
        killed = next(child for child in psutil.Process(agent.pid).children() if child.environ()["RANK"] == str(rank))
        killed.send_signal(signal.SIGKILL)
        _, errors = agent.communicate(timeout=60)
    return agent.returncode, errors


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_if_a_process_is_killed_all_end_soon_with_one_line_and_the_run_resumes(folder, tmp_path, rank):
    command, state = small_command(folder / "faces", tmp_path / "run", 6.4), tmp_path / "run" / STATE
    code, errors = run_and_kill_one(command, state, rank, cache=folder / "cache")
    assert code != 0
    assert [line.count("facesmith: ") for line in errors.splitlines()].count(1) == 1, errors
    assert "Another process of this training has ended" in errors
    assert 800 <= load_state(state)["seen"] < 6400
    finished = run_processes(*command, cache=folder / "cache")
    assert finished.returncode == 0, finished.stderr
    assert load_state(state)["seen"] == 6400


@pytest.mark.slow
def test_torchrun_restarts_and_resumes_a_run_whose_process_was_killed(folder, tmp_path):
    run = tmp_path / "run"
    command = small_command(folder / "faces", run, 6.4)
    code, errors = run_and_kill_one(command, run / STATE, 1, "--max-restarts", "1", cache=folder / "cache")
    assert code == 0, errors
    assert load_state(run / STATE)["seen"] == 6400
    logged = [json.loads(line)["seen"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert logged == sorted(set(logged)), "it resumed, and did not start over"


@pytest.mark.slow
def test_processes_train_on_their_own_parts_of_shards_and_resume_exactly(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(extract_module, "choose_engine", lambda *_: run_here)
    shards = tmp_path / "shards"
    report = extract(folder / "faces", shards, size=RESOLUTION, crop=RESOLUTION, shards=4, console=QUIET)
    assert report.faces > 20
    finished = run_processes(TESTS / "train_in_processes.py", shards, tmp_path, "dcgan64", cache=tmp_path / "cache")
    assert finished.returncode == 0, finished.stderr
    models = [tmp_path / "dcgan64" / name / "model.safetensors" for name in ("straight", "interrupted")]
    assert models[0].read_bytes() == models[1].read_bytes()
    packed = sorted(json.loads(file.read_text())["shape"][0] for file in (tmp_path / "cache").rglob("index.json"))
    assert len(packed) == 2
    assert sum(packed) <= report.faces  # no face is packed twice; those of the test split are not packed


def test_a_store_on_a_lost_machine_does_not_keep_a_process_from_reporting(monkeypatch):
    class Lost:
        def add(self, name, number):
            threading.Event().wait(2)
            return number

    class Broken:
        def add(self, name, number):
            raise RuntimeError("Broken pipe")

    class Working:
        number = 0

        def add(self, name, number):
            self.number += number
            return self.number

    monkeypatch.setattr(processes_module, "STORE_SECONDS", 0.1)
    start = time.monotonic()
    assert processes_module._reports(Lost())
    assert time.monotonic() - start < 1.5
    assert processes_module._reports(Broken())
    store = Working()
    assert [processes_module._reports(store) for _ in range(3)] == [True, False, False]

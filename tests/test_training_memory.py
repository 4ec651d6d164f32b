"""The memory of a training is estimated, and refused if there is too little, before it is allocated."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from small import QUIET, RECIPES, faces_folder, small_recipe

from facesmith.errors import BadOption
from facesmith.gan.recipe import make_recipe
from facesmith.io import memory
from facesmith.training.memory_estimate import (
    OVERHEAD,
    OVERHEAD_BYTES,
    _live_bytes,
    _round_down,
    check_training_memory,
    estimate_training,
)
from facesmith.training.plan import TrainOptions
from facesmith.training.train import train

CPU = torch.device("cpu")
MIB = 2**20


@pytest.fixture
def free(monkeypatch):
    """A function that pretends that this many bytes are free."""

    def pretend(free_bytes):
        monkeypatch.setattr(memory, "free_memory", lambda: int(free_bytes))

    return pretend


@pytest.mark.parametrize("name", RECIPES)
def test_the_memory_of_every_recipe_can_be_estimated_and_rises_with_the_batch(name):
    training = estimate_training(small_recipe(name), CPU)
    sizes = [training.bytes_at(batch) for batch in (1, 64, 1024, 4096)]
    assert OVERHEAD_BYTES < sizes[0] < sizes[1] < sizes[2] < sizes[3]


@pytest.mark.parametrize("name", ["dcgan64", "quick", "wgan-gp64", "vae64"])
def test_the_estimate_follows_the_tensors_of_a_larger_batch(name):
    recipe = small_recipe(name)
    training = estimate_training(recipe, CPU)
    steps, _ = _live_bytes(replace(recipe, batch_size=48), CPU, "float32")
    counted = max(step.max() for step in steps)
    estimated = (training.bytes_at(48) - OVERHEAD_BYTES) / OVERHEAD - training.states
    assert counted == pytest.approx(estimated, rel=0.05)


def test_a_batch_that_is_too_large_is_refused_and_the_suggested_one_accepted(free):
    recipe = make_recipe("dcgan64", {"width": 16, "batch_size": 4096})
    free(600 * MIB)
    with pytest.raises(BadOption, match=r"--batch 4096 needs about .* but only 600 MiB is free") as refusal:
        check_training_memory(recipe, CPU, "auto")
    batch = int(re.search(r"Use --batch (\d+) or less", str(refusal.value))[1])
    assert 16 <= batch < 4096
    assert check_training_memory(replace(recipe, batch_size=batch), CPU, "auto") <= 0.9 * 600 * MIB


def test_networks_that_are_too_large_are_refused_before_they_are_built(free):
    free(200 * MIB)
    with pytest.raises(BadOption, match=r"of weights needs about .* Use narrower networks"):
        check_training_memory(make_recipe("dcgan64", {"width": 512}), CPU, "auto")


def test_a_run_that_no_longer_fits_into_memory_is_not_resumed_and_loses_nothing(tmp_path, free):
    faces = faces_folder(tmp_path / "faces", size_px=32)
    values = {"resolution": 32, "width": 4, "z_dim": 8, "batch_size": 8}
    options = TrainOptions("dcgan64", faces, tmp_path / "run", values, kimg=0.04, precision="float32", threads=1)
    train(options, QUIET)
    before = {path: path.read_bytes() for path in options.out.iterdir() if path.is_file()}
    free(100 * MIB)
    with pytest.raises(BadOption, match="batch size of a run can't change"):
        train(replace(options, kimg=0.08, extend=True), QUIET)
    assert {path: path.read_bytes() for path in options.out.iterdir() if path.is_file()} == before


def test_batch_sizes_are_rounded_down_a_little():
    sizes = np.arange(1, 5000)
    rounded = np.array([_round_down(int(size)) for size in sizes])
    assert (rounded <= sizes).all()
    assert (rounded > sizes * 7 / 8).all()
    assert _round_down(0) == 0
    assert _round_down(3333) == 3328


def test_the_command_line_refuses_a_huge_batch_without_allocating_it(tmp_path):
    faces = faces_folder(tmp_path / "faces", size_px=32)
    script = (
        "import resource, sys, psutil, torch\n"
        "from facesmith.io import memory\n"
        "memory.free_memory = lambda: 2**30\n"
        "from facesmith.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)\n"
    )
    arguments = ["train", "quick", "--data", faces, "--out", tmp_path / "run", "--batch", "4096"]
    arguments += ["--set", "resolution=32"]
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2, done.stderr
    assert re.search(r"facesmith: quick with --batch 4096 needs about .* Use --batch \d+ or less\.", done.stderr)
    assert "measuring" not in done.stderr
    assert int(done.stdout) < 3 * 2**30  # mostly PyTorch itself; the batch would need five times as much
    assert not (tmp_path / "run" / "run.json").exists()

"""A disk that is full, broken or read-only, or a process that is killed, at any file operation: nothing is lost.

After the fault, the same command is run again on a sound disk. Its outputs must be those of an undisturbed run.

Each kind of operation and each file is tested at least once, at operations chosen at random with a fixed seed. With
ALL_FAULTS=1 in the environment, all operations are tested.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import sys

import pytest
from faults import FULL_ERRORS, KILLED, MODES, Disk, Killed, faulty
from PIL import Image
from small import RESOLUTION, faces_folder, saved_model

from facesmith import cli
from facesmith.procedural import draw_many

TINY = ["--set", f"resolution={RESOLUTION}", "--set", "width=4", "--set", "z_dim=8", "--batch", "8"]
ALL_FAULTS = os.environ.get("ALL_FAULTS") == "1"
MEASURED = ("seconds", "images_per_second", "memory_mib")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Photos, faces, a model and a run that the commands read. Photos 2 and 3 are nearly the same."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "photos").mkdir()
    for i, pixels in enumerate(draw_many([1, 2, 2, 3, 4], 32)):
        Image.fromarray(pixels).save(folder / "photos" / f"{i}.png")
    faces_folder(folder / "faces", 60)
    saved_model(folder / "model", "quick")
    return folder


def command(name, inputs, out):
    """The arguments of a command whose outputs are in the folder `out`."""
    model = ["--model", inputs / "model"]
    train = ["train", "dcgan64", "--data", inputs / "faces", "--out", out / "run", "--kimg", "0.032", "--precision"]
    train += ["float32", *TINY, "--save-every", "0.016", "--snapshots", "2"]
    return {
        "sample": ["sample", *model, "--seeds", "0-2", "--out", out / "sheet.png"],
        "sample to a folder": ["sample", *model, "--seeds", "0-2", "--out", out / "drawn"],
        "walk": ["walk", *model, "--seeds", "1,2", "--seconds", "0.2", "--out", out / "walk.gif"],
        "mix": ["mix", *model, "1 + 2", "--out", out / "mix.png"],
        "edit": [
            *("edit", *model, "--seeds", "0,1", "--edit", "pca_1=1", "--out", out / "edit.png"),
            *("--film", out / "edit.gif", "--directions", out / "directions.safetensors"),
        ],
        "directions": ["directions", *model, "--method", "pca", "--out", out],
        "card": ["card", inputs / "model", "--out", out / "README.md"],
        "faces": ["faces", inputs / "faces", "--sheet", out / "faces.png"],
        "extract": ["extract", inputs / "photos", "--out", out / "cut", "--crop", "32", "--size", "16"],
        "train": train,
        "film": ["film", out / "run", "--out", out / "film.gif"],
        "report": ["report", out / "run"],
        "evaluate": ["evaluate", *model, "--data", inputs / "faces", "--samples", "64", "--out", out / "evaluation"],
        "train-inverter": ["train-inverter", "--model", out / "model", "--data", inputs / "faces", "--kimg", "0.032"],
        "invert": [
            *("invert", inputs / "photos" / "0.png", inputs / "photos" / "1.png", "--model", out / "model"),
            *("--aligned", "--quick", "--out", out / "inverted.png", "--latents", out / "latents"),
        ],
        "export": ["export", *model, "--onnx", out / "model.onnx"],
    }[name]


CODES = (*FULL_ERRORS, errno.EIO, errno.EROFS)
COMMANDS = (
    *("sample", "sample to a folder", "walk", "mix", "edit", "directions", "card", "faces", "extract", "train"),
    *("film", "report", "evaluate", "train-inverter", "invert", "export"),
)
# Commands whose cache is kept from a first run, because features of a thousand samples take a minute. `evaluate` tests
# the functions that write this cache.
WITH_CACHE = ("invert",)
NEEDS = {"edit": ["directions"], "film": ["train"], "report": ["train"], "invert": ["train-inverter"]}


@pytest.fixture
def facesmith(capsys, monkeypatch):
    def run(arguments):
        monkeypatch.setattr(sys, "argv", ["facesmith", "--quiet", "--threads", "1", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as exit:
            code = exit.code or 0
        return code, capsys.readouterr().err

    return run


@pytest.fixture
def prepared(facesmith, inputs, tmp_path, monkeypatch):
    """Returns a function that makes a folder with what a command reads, and an empty cache."""

    def prepare(name, label):
        out = tmp_path / label
        template = tmp_path / "template"
        if not template.exists():
            template.mkdir()
            if name in ("train-inverter", "invert"):
                shutil.copytree(inputs / "model", template / "model")
            monkeypatch.setenv("FACESMITH_CACHE", str(template / "cache"))
            for needed in NEEDS.get(name, []):
                assert facesmith(command(needed, inputs, template))[0] == 0
            if name in WITH_CACHE:
                first = shutil.copytree(template, tmp_path / "first")
                assert facesmith(command(name, inputs, first))[0] == 0
                shutil.rmtree(first)
            else:
                shutil.rmtree(template / "cache", ignore_errors=True)
        shutil.copytree(template, out)
        monkeypatch.setenv("FACESMITH_CACHE", str(out / "cache"))
        return out

    return prepare


def contents(out):
    """The bytes of all outputs by name, without measured times. Event files of TensorBoard contain times throughout."""
    files = {str(path.relative_to(out)): path for path in sorted(out.rglob("*")) if path.is_file()}
    result = {}
    for name, path in files.items():
        if (
            "tensorboard" in name
            or name.startswith("cache")
            or path.name in (".lock", ".extract.lock", "state.pt", "run.json")
        ):
            continue
        content = path.read_bytes()
        if path.name == "log.jsonl":
            content = without_times(map(json.loads, content.splitlines()))
        elif path.name == "report.json":
            content = without_times([json.loads(content)])
        elif path.name in ("curves.png", "report.html"):  # show the speed
            content = b"" if not content else b"not empty"
        result[name] = content
    return result


def without_times(values):
    return [{name: value for name, value in each.items() if name not in MEASURED} for each in values]


def chosen_operations(log, seed):
    """The numbers of operations that together have each kind of operation and each file of a log."""
    shuffled = random.Random(seed).sample(range(len(log)), len(log))
    chosen, kinds, files = [], set(), set()
    for at in shuffled:
        kind, file = log[at]
        if ALL_FAULTS or kind not in kinds or file not in files:
            chosen.append(at)
            kinds.add(kind)
            files.add(file)
    return sorted(chosen)


def check(name, mode, facesmith, inputs, prepared):
    whole = prepared(name, "whole")
    with faulty(Disk(whole)) as disk:
        assert facesmith(command(name, inputs, whole)) == (0, "")
    expected = contents(whole)
    assert disk.operations > 3
    for at in chosen_operations(disk.log, f"{name} {mode}"):
        out = prepared(name, f"{mode}-{at}")
        code, err = -1, ""
        with faulty(Disk(out, mode, at)) as failing:
            try:
                code, err = facesmith(command(name, inputs, out))
            except Killed:
                assert mode == KILLED
        assert failing.operations > at, "the fault was reached"
        if mode != KILLED:
            assert code in (0, 1), err
            assert "Traceback" not in err
            if code:
                message = err.splitlines()[-1]
                assert message.startswith("facesmith: ")
                assert str(out) in message
                assert ".part" not in message
                assert any(os.strerror(code) in message for code in CODES), message
        if contents(out) != expected:
            again = facesmith(command(name, inputs, out))
            assert again == (0, ""), f"operation {at}, first {code}: {err}"
        assert contents(out) == expected, f"operation {at}"
        leftovers = [path for path in out.rglob(".*") if path.suffix in (".part", ".unfinished")]
        assert not [path for path in leftovers if "cache" not in str(path)], f"operation {at}"
        shutil.rmtree(out)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_fault_at_any_file_operation_loses_and_blocks_nothing(name, mode, facesmith, inputs, prepared):
    check(name, mode, facesmith, inputs, prepared)

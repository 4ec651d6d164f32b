"""The functions for programs and notebooks do what the commands do."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
import typer
from PIL import Image

import facesmith
from facesmith.cli import app
from facesmith.procedural import write_faces

COMMANDS = typer.main.get_command(app).commands
# Options with another name in Python, and those that only one of the two has.
RENAMED = {"finetune_from": "from_", "settings": "set"}
PYTHON_ONLY = {"quiet", "threads"}


@pytest.mark.parametrize("name", ["extract", "train", "evaluate"])
def test_options_have_the_names_and_defaults_of_the_command_line(name):
    command = {RENAMED.get(each.name, each.name): each for each in COMMANDS[name].params if each.name != "help"}
    parameters = inspect.signature(getattr(facesmith, name)).parameters
    assert set(parameters) - PYTHON_ONLY == set(command)
    for key, parameter in parameters.items():
        if key not in PYTHON_ONLY and parameter.default is not inspect.Parameter.empty:
            default = command[key].default
            assert parameter.default == (str(default) if key == "out" else default), key


def test_train_stops_at_its_budget_and_resumes(tmp_path):
    faces, run = write_faces(tmp_path / "faces", 60, 16), tmp_path / "run"
    small = {"resolution": 16, "width": 4, "max_channels": 8, "max_channels_d": 8, "hidden": 8}
    report = facesmith.train(faces, run, kimg=0.032, set=small, batch=8, threads=1, quiet=True)
    assert (report.seen, report.finished) == (32, True)
    before = (run / "model.safetensors").read_bytes()
    assert facesmith.train(faces, run, kimg=0.032, set=small, batch=8, threads=1, quiet=True).seen == 32
    assert (run / "model.safetensors").read_bytes() == before
    assert facesmith.load(run).sample([1]).shape == (1, 16, 16, 3)


def test_train_accepts_conditions_as_a_list(tmp_path):
    faces = write_faces(tmp_path / "faces", 80, 16)
    small = {"resolution": 16, "width": 4, "max_channels": 8, "max_channels_d": 8, "hidden": 8}
    facesmith.train(faces, tmp_path / "run", kimg=0.016, set=small, condition=["smiling"], threads=1, quiet=True)
    assert facesmith.load(tmp_path / "run").conditions == ("smiling",)


def test_a_wrong_hyperparameter_is_a_user_error(tmp_path):
    with pytest.raises(facesmith.FacesmithError, match="width"):
        facesmith.train(write_faces(tmp_path / "faces", 60, 16), tmp_path / "run", set={"widht": 8}, quiet=True)


def test_extract_returns_counts(tmp_path):
    from skimage.data import astronaut

    (tmp_path / "photos").mkdir()
    Image.fromarray(astronaut()).save(tmp_path / "photos" / "a.png")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "photos" / "b.png")
    report = facesmith.extract(tmp_path / "photos", tmp_path / "faces", workers=1, quiet=True)
    assert (report.faces, report.photos, report.faceless) == (1, 2, 1)


def test_evaluate_returns_the_numbers_of_its_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = facesmith.evaluate(None, write_faces(tmp_path / "faces", 300, 128), samples=40, quiet=True)
    distance = report.models[0]["fd40_lite0"]
    assert distance["value"] > distance["real"]
    assert "fd40_lite0" in str(report)
    assert (tmp_path / "evaluation" / "report.html").exists()
    with pytest.raises(facesmith.FacesmithError, match="exists"):
        facesmith.evaluate(None, tmp_path / "faces", samples=40, quiet=True)


NO_SEEDS = [3, "0-3", None, {1: 2}, np.array(5), torch.tensor(5)]
WRONG_SEEDS = [[3.5], ["3"], [True], [None], [-1], [2**32], np.ones(2, bool)]


@pytest.mark.parametrize("seeds", NO_SEEDS + WRONG_SEEDS)
def test_what_is_no_list_of_seeds_is_a_user_error(seeds):
    with pytest.raises(facesmith.FacesmithError, match=r"seed.*(Use whole numbers from 0|Write \[3\])"):
        facesmith.load().sample(seeds)


def test_too_many_seeds_are_refused_before_memory_is_used():
    with pytest.raises(facesmith.FacesmithError, match="more than 1000000 seeds"):
        facesmith.load().latents(range(10**12))


def test_seeds_of_numpy_torch_and_generators_are_seeds():
    model = facesmith.load()
    expected = model.latents([1, 2])
    for seeds in (np.array([1, 2]), np.array([1, 2], np.uint8), torch.tensor([1, 2]), (seed for seed in (1, 2))):
        assert (model.latents(seeds) == expected).all()


@pytest.mark.parametrize("psi", ["1", None, [1.0], np.ones(1), 1j])
def test_what_is_no_psi_is_a_user_error(psi):
    model = facesmith.load()
    for draw in (model.sample, lambda _, psi: model.synthesize(model.latents([1]), psi)):
        with pytest.raises(facesmith.FacesmithError, match=r"psi is .*expected a number from 0 to 1"):
            draw([1], psi=psi)


@pytest.mark.parametrize("path", [b"model.safetensors", 3, ["a", "b"], 2.5, True])
def test_what_is_no_path_of_a_model_is_a_user_error(path):
    with pytest.raises(facesmith.FacesmithError, match=r"is not the path of a model\. Give a text or a Path"):
        facesmith.load(path)


@pytest.mark.parametrize("wrong", [None, "face.png", [[1, 2], [3]], {"a": 1}, object(), np.array(["a"]), 1j])
def test_what_is_no_array_is_a_user_error(wrong):
    model = facesmith.load()
    for function in (model.synthesize, model.invert, facesmith.detect):
        with pytest.raises(facesmith.FacesmithError, match="is no array"):
            function(wrong)


def test_lists_and_tensors_are_latents_too():
    model = facesmith.load()
    w = model.latents([1])
    faces = [model.synthesize(each) for each in (w, w.tolist(), torch.from_numpy(w), w.astype(np.float64))]
    assert all((each == faces[0]).all() for each in faces)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: facesmith.extract(None, "out"), "photos is None; expected a path"),
        (lambda: facesmith.extract({"a", "b"}, "out"), "photos is .*; expected a path.*paths into a text file"),
        (lambda: facesmith.train(["a", "b"], "out"), "data is .*; expected a path.*paths into a text file"),
        (lambda: facesmith.extract(b"photos", "out"), "photos is b'photos'; expected a path"),
        (lambda: facesmith.extract("photos", "out", size="32"), "size is '32'; expected a whole number or None"),
        (lambda: facesmith.extract("photos", "out", workers=1.5), "workers is 1.5; expected a whole number or None"),
        (lambda: facesmith.extract("photos", "out", threshold=None), "threshold is None; expected a number"),
        (lambda: facesmith.train("faces", "out", 5), "recipe is 5; expected a text or None"),
        (lambda: facesmith.train("faces", "out", minutes="5"), "minutes is '5'; expected a number or None"),
        (lambda: facesmith.train("faces", "out", set=[1]), "set is .*; expected a dict or None"),
        (lambda: facesmith.train("faces", "out", condition="smiling"), "condition is 'smiling'; expected a list"),
        (lambda: facesmith.train("faces", "out", from_=7), "from is 7; expected a path or None"),
        (lambda: facesmith.evaluate(facesmith.load(), "faces"), "model is .*; expected a path or a list or None"),
        (lambda: facesmith.evaluate([3], "faces"), "model is .3.; expected a path"),
        (lambda: facesmith.evaluate(None, np.zeros(3)), "data is .*; expected a path"),
        (lambda: facesmith.open_faces("faces", "64"), "resolution is '64'; expected a whole number"),
        (lambda: facesmith.open_faces("faces", 0), "resolution is 0"),
        (lambda: facesmith.load().sample([1], condition="hat=1"), "condition is 'hat=1'; expected a dict"),
        (lambda: facesmith.load().sample([1], condition={3: 1}), "condition names 3; expected a text"),
        (lambda: facesmith.load().sample([1], condition={"label": "2"}), "condition: label is '2'; expected 0 or 1"),
        (lambda: facesmith.load().distorted([1], condition=["hat"]), "condition is .'hat'.; expected a dict"),
        (lambda: facesmith.load().provenance(None), "entries is None; expected a dict"),
        (lambda: facesmith.detect(np.zeros((64, 64, 3), np.uint8), key=5), "key is 5; expected a text"),
    ],
)
def test_an_argument_of_a_wrong_type_is_a_user_error(call, message):
    with pytest.raises(facesmith.FacesmithError, match=message):
        call()


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    write_faces(tmp_path / "home" / "faces", 4, 32)
    small = {"resolution": 16, "width": 4, "batch_size": 2}
    report = facesmith.train("~/faces", "~/run", "dcgan64", set=small, kimg=0.004, device="cpu", quiet=True)
    assert report.out == tmp_path / "home" / "run"
    assert (tmp_path / "home" / "run" / "model.safetensors").exists()
    assert facesmith.load("~/run").sample([1]).shape == (1, 16, 16, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_brackets_in_paths_are_printed_as_they_are(tmp_path, capsys):
    write_faces(tmp_path / "faces", 4, 32)
    small, run = {"resolution": 16, "width": 4, "batch_size": 2}, tmp_path / "runs [v2]"
    for _ in range(2):
        facesmith.train(tmp_path / "faces", run, "dcgan64", set=small, kimg=0.004, device="cpu")
    assert f"{run}: dcgan64, 0.004 kimg, finished" in capsys.readouterr().err


def test_numbers_of_numpy_and_texts_as_paths_are_right_types(tmp_path):
    data = write_faces(tmp_path / "faces", 4, 32)
    assert len(facesmith.open_faces(str(data), np.int64(32)).names) == 4
    assert len(facesmith.open_faces(np.str_(data), 32, limit=np.uint8(2)).names) == 2

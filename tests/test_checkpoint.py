"""Model and state files: round trips, and every way in which a file can be damaged or malicious."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from small import RECIPES, TEST_RECIPES, small_state

from facesmith.errors import BadModel
from facesmith.io.files import sha256
from facesmith.modelfiles.checkpoint import HEADER_KEY, load_model, load_state, save_model, save_state
from facesmith.training.averages import inference_networks
from facesmith.training.state import state_dict
from facesmith.training.step import train_step


def header_of(state, **other):
    return {"recipe": state.recipe.name, "hyperparameters": state.recipe.hyperparameters(), "seen": state.seen, **other}


def write_model(path, state, **other):
    save_model(path, dict(inference_networks(state).items()), header_of(state, **other))
    return path


def tensors_of(state):
    return {f"G.{key}": t.contiguous() for key, t in inference_networks(state)["G"].state_dict().items()}


@pytest.mark.parametrize("name", [*RECIPES, *TEST_RECIPES])
def test_a_model_survives_saving_and_loading(tmp_path, name):
    state = small_state(name)
    train_step(state)
    expected = inference_networks(state)
    model = load_model(write_model(tmp_path / "model.safetensors", state, fingerprint="f" * 64))
    assert model.recipe == state.recipe
    assert set(model.nets) == set(state.recipe.averaged)
    assert model.header["fingerprint"] == "f" * 64
    assert all(torch.equal(t, model.nets.state_dict()[key]) for key, t in expected.state_dict().items())
    z = torch.randn(4, 8)
    assert torch.equal(model.nets["G"](z), expected["G"](z))


def test_a_run_folder_refers_to_its_model(tmp_path):
    write_model(tmp_path / "model.safetensors", small_state())
    assert load_model(tmp_path).hash == sha256(tmp_path / "model.safetensors")


def test_a_loaded_model_does_not_change_with_its_file(tmp_path):
    file, other = (write_model(tmp_path / f"{seed}.safetensors", small_state(seed=seed)) for seed in (0, 1))
    loaded = load_model(file).nets.state_dict()
    before = {key: t.clone() for key, t in loaded.items()}
    file.write_bytes(other.read_bytes())
    changed = load_model(file).nets.state_dict()
    assert any(not torch.equal(t, before[key]) for key, t in changed.items())
    assert all(torch.equal(t, before[key]) for key, t in loaded.items())


@pytest.mark.parametrize("always", [False, True])
def test_the_hash_of_a_model_that_is_replaced_while_it_is_read_is_that_of_its_weights(tmp_path, monkeypatch, always):
    file, other = tmp_path / "model.safetensors", small_state(seed=1)
    write_model(file, small_state(seed=0))
    replacements = iter(range(100 if always else 1))

    def hash_after_replacing(path):
        if (number := next(replacements, None)) is not None:
            write_model(file, other, seed=number)
        return sha256(path)

    monkeypatch.setattr("facesmith.modelfiles.checkpoint.sha256", hash_after_replacing)
    if always:
        with pytest.raises(BadModel, match="changed each time"):
            load_model(file)
        return
    model = load_model(file)
    assert model.hash == sha256(file)
    expected = inference_networks(other).state_dict()
    assert all(torch.equal(t, expected[key]) for key, t in model.nets.state_dict().items())


def test_the_same_networks_give_the_same_bytes(tmp_path):
    # The states are separate, and the header entries in another order: the bytes depend on neither.
    first = write_model(tmp_path / "a.safetensors", small_state(), mirror=True, alignment={"size": 64, "margin": 0.1})
    second = write_model(tmp_path / "b.safetensors", small_state(), alignment={"margin": 0.1, "size": 64}, mirror=True)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "dcgan46"}, "can't build"),
        ({"hyperparameters": {"width": 10**9}}, "can't build"),
        ({"hyperparameters": {"widht": 4}}, "can't build"),
        ({"hyperparameters": {"resolution": 16, "width": 512, "z_dim": 8}}, "does not fit"),
        ({"hyperparameters": {}}, "does not fit"),
        ({"hyperparameters": [1, 2]}, "header"),
        ({"recipe": None}, "header"),
        ({"format": 99}, "format 99"),
    ],
)
def test_a_wrong_header_is_refused(tmp_path, change, message):
    state = small_state()
    header = {"format": 1, **header_of(state), **change}
    tensors = tensors_of(state)
    file = tmp_path / "model.safetensors"
    file.write_bytes(save(tensors, {HEADER_KEY: json.dumps(header)}))
    with pytest.raises(BadModel, match=message):
        load_model(file)


def test_wrong_tensors_are_refused(tmp_path):
    state = small_state()
    file = write_model(tmp_path / "model.safetensors", state)
    tensors = tensors_of(state)
    metadata = {HEADER_KEY: json.dumps({"format": 1, **header_of(state)})}
    for change in (
        {"extra": torch.zeros(3)},
        {"G.w_avg": torch.zeros(9)},
        {"G.w_avg": torch.full((8,), torch.nan)},
        {"G.layers.0.weight": tensors["G.layers.0.weight"].to(torch.float64)},
    ):
        save_file({**tensors, **change}, file, metadata)
        with pytest.raises(BadModel):
            load_model(file)


def test_files_that_are_not_models_are_refused(tmp_path):
    for name, content in {
        "empty.safetensors": b"",
        "text.safetensors": b"not a model" * 100,
        "huge-header.safetensors": struct.pack("<Q", 2**60) + b"{}",
        "plain.safetensors": save({"a": torch.zeros(2)}),
        "broken-json.safetensors": save({"a": torch.zeros(2)}, {HEADER_KEY: "{"}),
        "deep-json.safetensors": save({"a": torch.zeros(2)}, {HEADER_KEY: "[" * 10_000}),
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadModel):
            load_model(tmp_path / name)
    with pytest.raises(BadModel, match=r"contains no model\.safetensors"):
        load_model(tmp_path)
    with pytest.raises(BadModel, match="does not exist"):
        load_model(tmp_path / "nowhere")


@settings(max_examples=25, deadline=None)
@given(cut=st.floats(0, 0.999))
def test_a_truncated_model_is_refused(tmp_path_factory, cut):
    file = tmp_path_factory.mktemp("cut") / "model.safetensors"
    whole = write_model(file, small_state()).read_bytes()
    file.write_bytes(whole[: int(len(whole) * cut)])
    with pytest.raises(BadModel):
        load_model(file)


class Malicious:
    def __reduce__(self):
        return (print, ("this must never be printed",))


def test_no_code_runs_from_a_state_or_a_model(tmp_path, capsys):
    file = tmp_path / "state.pt"
    torch.save({"format": 1, "nets": Malicious()}, file)
    with pytest.raises(BadModel):
        load_state(file)
    file.write_bytes(pickle.dumps(Malicious(), protocol=2))
    with pytest.raises(BadModel):
        load_state(file)
    with pytest.raises(BadModel, match="is a PyTorch file"):
        load_model(file)
    assert "never" not in capsys.readouterr().out


@pytest.mark.parametrize("name", [*RECIPES, *TEST_RECIPES])
def test_a_state_survives_saving_and_loading(tmp_path, name):
    state = small_state(name)
    train_step(state)
    save_state(tmp_path / "state.pt", state_dict(state))
    read = load_state(tmp_path / "state.pt")
    stream = io.BytesIO()
    torch.save(read["optimizers"], stream)
    assert read["seen"] == state.seen
    assert read["position"] == state.stream.position
    assert read["nets"].keys() == state.nets.state_dict().keys()


def test_a_full_disk_leaves_the_previous_file_intact(tmp_path, monkeypatch):
    state = small_state()
    file = write_model(tmp_path / "model.safetensors", state)
    before = file.read_bytes()

    def disk_full(tensors, metadata):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("facesmith.modelfiles.checkpoint.save", disk_full)
    with pytest.raises(OSError, match="No space"):
        write_model(file, state)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name], "no partial file is left"


def test_a_file_size_limit_is_an_error_of_the_disk(tmp_path):
    path = tmp_path / "state.pt"
    save_state(path, {"format": 1})
    code = (
        "import resource, sys, torch; from pathlib import Path\n"
        "from facesmith.modelfiles.checkpoint import save_state\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))\n"
        "try:\n    save_state(Path(sys.argv[1]), {'a': torch.zeros(300), 'b': torch.zeros(9000)})\n"
        "except OSError as error:\n    print(error.strerror, error.filename)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout == f"File too large {path}\n"
    assert load_state(path) == {"format": 1}


def test_a_damaged_state_says_how_to_keep_the_model(tmp_path):
    write_model(tmp_path / "model.safetensors", small_state())
    (tmp_path / "state.pt").write_bytes(b"")
    with pytest.raises(BadModel, match=r"copy its model\.safetensors to another folder.*--from"):
        load_state(tmp_path / "state.pt")


@pytest.mark.parametrize("attack", ["deflate", "overlap", "pipe"])
def test_a_state_that_would_fill_the_memory_or_never_end_is_refused(tmp_path, attack):
    path = tmp_path / "state.pt"
    if attack == "pipe":
        os.mkfifo(path)
    elif attack == "deflate":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", bytes(10**8))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data/0", bytes(1000))
            archive.filelist *= 1000
    with pytest.raises(BadModel, match=r"--force"):
        load_state(path)

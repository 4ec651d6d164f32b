"""Files of one model are refused with another, and a malicious file causes an error and nothing else."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file
from small import saved_model

import facesmith
from facesmith.errors import BadModel
from facesmith.modelfiles.sidecar import HEADER_KEY, load_sidecar, save_sidecar, sidecar_path

HASH = "a" * 64
GOOD = {"format": 1, "kind": "latent", "model": HASH}


def test_a_sidecar_survives_saving_and_loading(tmp_path):
    path = tmp_path / "me.latent"
    save_sidecar(path, "latent", {"w": torch.arange(8.0)}, {"photo": "me.jpg"}, HASH)
    tensors, header = load_sidecar(path, "latent", HASH)
    assert torch.equal(tensors["w"], torch.arange(8.0))
    assert header == {**GOOD, "photo": "me.jpg"}
    first = path.read_bytes()
    save_sidecar(path, "latent", {"w": torch.arange(8.0)}, {"photo": "me.jpg"}, HASH)
    assert path.read_bytes() == first


def test_loaded_tensors_do_not_change_with_their_file(tmp_path):
    path = tmp_path / "me.latent"
    save_sidecar(path, "latent", {"w": torch.zeros(8)}, {}, HASH)
    tensors, _ = load_sidecar(path, "latent", HASH)
    path.write_bytes(path.read_bytes()[:-32] + bytes(range(32)))
    assert torch.equal(tensors["w"], torch.zeros(8))


def test_another_model_or_kind_is_refused(tmp_path):
    path = tmp_path / "me.latent"
    save_sidecar(path, "latent", {"w": torch.zeros(8)}, {}, HASH)
    with pytest.raises(BadModel, match=r"made for another model \(hash aaaaaaaaaaaa\) than this one \(bbbbbbbbbbbb\)"):
        load_sidecar(path, "latent", "b" * 64)
    with pytest.raises(BadModel, match="of kind 'latent'; expected 'directions'"):
        load_sidecar(path, "directions", HASH)
    with pytest.raises(BadModel, match="does not exist"):
        load_sidecar(tmp_path / "none.latent", "latent", HASH)


def test_models_in_one_folder_have_separate_sidecars(tmp_path):
    assert sidecar_path(tmp_path / "model.safetensors", "directions") == tmp_path / "directions.safetensors"
    assert sidecar_path(tmp_path / "best.safetensors", "directions") == tmp_path / "best.directions.safetensors"


@pytest.mark.parametrize(
    "header",
    [
        "", "[]", "3", "null", "{", "[" * 100_000, json.dumps({**GOOD, "kind": ["latent"]}),
        json.dumps({**GOOD, "model": 3}), json.dumps({**GOOD, "format": True}), json.dumps({"kind": "latent"}),
        json.dumps({**GOOD, "format": 2}), json.dumps({**GOOD, "format": "1"}),
    ],
)  # fmt: skip
def test_malicious_headers_are_refused_in_one_line(tmp_path, header):
    save_file({"w": torch.zeros(8)}, tmp_path / "bad.latent", {HEADER_KEY: header})
    with pytest.raises(BadModel, match=r"bad\.latent"):
        load_sidecar(tmp_path / "bad.latent", "latent", HASH)


def test_damaged_files_and_files_without_header_are_refused_in_one_line(tmp_path):
    path = tmp_path / "bad.latent"
    save_file({"w": torch.zeros(8)}, path)
    with pytest.raises(BadModel, match="not written by Facesmith"):
        load_sidecar(path, "latent", HASH)
    for content in (b"", b"text", b"\xff" * 64, path.read_bytes()[:-3]):
        path.write_bytes(content)
        with pytest.raises(BadModel, match=r"can't be read|is not a safetensors file"):
            load_sidecar(path, "latent", HASH)
    save_sidecar(path, "latent", {"w": torch.full((8,), torch.nan)}, {}, HASH)
    with pytest.raises(BadModel, match="not finite"):
        load_sidecar(path, "latent", HASH)


def test_a_model_accepts_its_own_directions_only(tmp_path):
    run = saved_model(tmp_path / "run")
    model = facesmith.load(run)
    assert model.directions == {}
    save_sidecar(run / "directions.safetensors", "directions", {"b": torch.ones(8), "a": torch.zeros(8)},
                 {"names": ["b", "a"]}, model.hash)  # fmt: skip
    directions = facesmith.load(run).directions
    assert list(directions) == ["b", "a"]
    assert directions["b"].tolist() == [1.0] * 8
    for names, tensors in (
        (["a", "c"], {"a": torch.ones(8)}),
        ("a", {"a": torch.ones(8)}),
        ([["a"]], {"a": torch.ones(8)}),
        (["a"], {"a": torch.ones(9)}),
        (["a"], {"a": torch.ones(8, dtype=torch.int64)}),
        (["a", "a"], {"a": torch.ones(8, 1)}),
    ):
        save_sidecar(run / "directions.safetensors", "directions", tensors, {"names": names}, model.hash)
        with pytest.raises(BadModel, match=r"directions\.safetensors"):
            facesmith.load(run).directions  # noqa: B018
    save_sidecar(run / "directions.safetensors", "directions", {"a": torch.ones(8)}, {"names": ["a"]}, HASH)
    with pytest.raises(BadModel, match=r"another model.*facesmith directions --model"):
        facesmith.load(run).directions  # noqa: B018


@pytest.mark.skipif(sys.platform != "linux", reason="this system has no file names that are not UTF-8")
def test_a_file_with_a_name_that_is_not_utf8_is_read(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.latent"))
    save_sidecar(path, "latent", {"w": torch.ones(3)}, {}, "ab" * 32)
    assert load_sidecar(path, "latent", "ab" * 32)[0]["w"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ('{"format": 1, "kind": "latent"}', "model is missing"),
        ('{"format": "1", "kind": "latent", "model": ""}', 'format is "1"; expected a whole number'),
        ('{"format": 1, "kind": "latent", "model": "", "x": 1e999}', "1e999 is not finite"),
        ('{"format": 1, "kind": "latent", "model": "", "x": ' + "9" * 5000 + "}", "5000 digits"),
    ],
)
def test_a_damaged_header_is_refused_with_the_entry(tmp_path, entries, reason):
    (tmp_path / "a.latent").write_bytes(save({"w": torch.ones(3)}, {HEADER_KEY: entries}))
    with pytest.raises(BadModel, match=reason):
        load_sidecar(tmp_path / "a.latent", "latent", "ab" * 32)

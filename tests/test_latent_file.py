"""Latent files: usable wherever a seed is, checked against their model, and safe to read."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small import QUIET, TinyG, saved_model

import facesmith
from facesmith.errors import BadModel, BadOption
from facesmith.explore.mix import mix
from facesmith.explore.walk import WalkOptions, _frames, walk
from facesmith.latent import latents
from facesmith.latent.arithmetic import combine, parse_face_names, resolve
from facesmith.latent.latent_file import load_latent, save_latent
from facesmith.modelfiles.sidecar import HEADER_KEY, save_sidecar
from facesmith.pictures.images import enlarge, read_picture

HASH = "a" * 64


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def model(run):
    return facesmith.load(run)


def test_latent_survives_saving_and_loading(tmp_path):
    G, w = TinyG(16, 3), torch.randn(8)
    assert torch.equal(load_latent(save_latent(tmp_path / "me.latent", w, HASH, {"score": 1}), G, HASH), w)


def test_latent_files_and_seeds_can_be_mixed(tmp_path):
    G, w = TinyG(16, 3), torch.randn(8)
    name = str(save_latent(tmp_path / "my face-1.latent", w, HASH, {}))
    w_all = resolve(G, ["7", name, "9"], HASH)
    assert torch.equal(w_all[[0, 2]], latents(G, [7, 9]))
    assert torch.equal(w_all[1], w)


def test_seeds_are_expanded_next_to_latents_with_layers(tmp_path):
    G = TinyG(16, 3)
    G.num_ws = 3
    name = str(save_latent(tmp_path / "me.latent", torch.randn(3, 8), HASH, {}))
    w_all = resolve(G, ["7", name], HASH)
    assert w_all.shape == (2, 3, 8)
    assert torch.equal(w_all[0], latents(G, [7]).expand(3, 8))
    assert combine(G, w_all, [1, -0.5]).shape == (1, 3, 8)
    assert torch.allclose(combine(G, w_all[1:], [1]), w_all[1:], atol=1e-5)


def test_latents_of_another_model_are_refused(tmp_path):
    name = str(save_latent(tmp_path / "me.latent", torch.randn(8), HASH, {}))
    with pytest.raises(BadModel, match="another model"):
        resolve(TinyG(16, 3), [name], "b" * 64)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"w": torch.zeros(9)}, r"has w torch.float32 \[9\]; expected w, float32 \[8\]"),
        ({"w": torch.zeros(2, 8)}, r"\[2, 8\]"),
        ({"w": torch.zeros(8, dtype=torch.float64)}, "float64"),
        ({"v": torch.zeros(8)}, "has v"),
        ({"w": torch.zeros(8), "v": torch.zeros(8)}, "has v"),
        ({}, "no tensor"),
        ({"w": torch.full((8,), torch.nan)}, "not finite"),
    ],
)
def test_wrong_tensors_are_refused(tmp_path, tensors, message):
    save_sidecar(tmp_path / "me.latent", "latent", tensors, {}, HASH)
    with pytest.raises(BadModel, match=message):
        load_latent(tmp_path / "me.latent", TinyG(16, 3), HASH)


@pytest.mark.parametrize(
    "header",
    [
        None,
        {},
        {HEADER_KEY: "no json"},
        {HEADER_KEY: "[" * 10_000},
        {HEADER_KEY: json.dumps({"kind": "latent"})},
        {HEADER_KEY: json.dumps({"kind": 3, "model": HASH, "format": 1})},
        {HEADER_KEY: json.dumps({"kind": "latent", "model": HASH, "format": 99})},
        {HEADER_KEY: json.dumps({"kind": "directions", "model": HASH, "format": 1})},
    ],
)
def test_hostile_headers_give_a_short_error(tmp_path, header):
    save_file({"w": torch.zeros(8)}, tmp_path / "me.latent", header)
    with pytest.raises(BadModel) as error:
        load_latent(tmp_path / "me.latent", TinyG(16, 3), HASH)
    assert len(str(error.value)) < 300


def test_damaged_and_missing_files_are_refused(tmp_path):
    path = save_latent(tmp_path / "me.latent", torch.randn(8), HASH, {})
    whole = path.read_bytes()
    for damaged in (b"", whole[:20], whole[:-3], b"\xff" * 100):
        path.write_bytes(damaged)
        with pytest.raises(BadModel, match="safetensors"):
            load_latent(path, TinyG(16, 3), HASH)
    with pytest.raises(BadModel, match="does not exist"):
        resolve(TinyG(16, 3), [str(tmp_path / "absent.latent")], HASH)


def test_lists_contain_seeds_ranges_and_files():
    assert parse_face_names("3, a-b.latent ,7-9") == ["3", "a-b.latent", "7", "8", "9"]
    for text in ("me", "3,,4", "3;4", "9-3", "0-2000000"):
        with pytest.raises(BadOption, match="--seeds"):
            parse_face_names(text)


def test_sum_with_a_latent_file_equals_the_sum_with_its_seed(run, model, tmp_path):
    name = save_latent(tmp_path / "me.latent", torch.from_numpy(model.latents([34])[0]), model.hash, {})
    sheets = [
        read_picture(mix(run, text, tmp_path / f"{i}.png", scale=1))
        for i, text in enumerate(("29 - 3 + 34", f"29 - 3 + '{name}'"))
    ]
    assert np.array_equal(sheets[0][:16], sheets[1][:16])  # below are the captions


def test_walk_visits_latent_files(run, model, tmp_path):
    name = save_latent(tmp_path / "me.latent", torch.from_numpy(model.latents([17])[0]), model.hash, {})
    options = WalkOptions(["3", str(name)], closed=False, seconds=1, fps=5)
    frames = np.stack(list(_frames(model, options, options.frame_count(), 2)))
    assert np.array_equal(frames[[0, -1]], enlarge(model.sample([3, 17]), 2))


def test_films_do_not_reveal_the_folders_of_latent_files(run, model, tmp_path):
    name = save_latent(tmp_path / "me.latent", torch.from_numpy(model.latents([17])[0]), model.hash, {})
    (out,) = walk(run, WalkOptions(["3", str(name)], seconds=0.2), [tmp_path / "w.gif"], console=QUIET)
    assert b"me.latent" in out.read_bytes()
    assert str(tmp_path).encode() not in out.read_bytes()
    assert b"a person who exists" in out.read_bytes()

"""The edit verb: the sheet and the film show faces before, in between and after; wrong options are refused."""

from __future__ import annotations

import sys
from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from planted_generator import PLANTED, W_DIM, PlantedG, planted_model
from small import QUIET

import facesmith
from facesmith import cli
from facesmith.errors import BadData, BadModel, BadOption, OutputExists
from facesmith.explore.edit import GAP_PX, EditOptions, edit, face_names, format_edits
from facesmith.explore.mix import mix
from facesmith.latent.arithmetic import mix_layers, parse_layers
from facesmith.modelfiles.sidecar import save_sidecar
from facesmith.pictures.images import enlarge, read_picture, read_provenance

MOUTH, HAT = (PLANTED[i] * 2 for i in (0, 1))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = planted_model(tmp_path_factory.mktemp("run"))
    directions = {"bright_mouth": MOUTH, "hat": HAT}
    header = {"names": list(directions)}
    save_sidecar(folder / "directions.safetensors", "directions", directions, header, facesmith.load(folder).hash)
    return folder


def test_sheet_shows_before_steps_and_after(run, tmp_path):
    options = EditOptions(run, "5", {"bright_mouth": 1.5, "hat": -1}, tmp_path / "out.png", steps=2, scale=2, psi=0.5)
    assert list(edit(options, QUIET)) == [tmp_path / "out.png"]
    model = facesmith.load(run)
    w = 0.5 * model.latents([5]) + 0.5 * model.G.w_avg.numpy()
    sheet = read_picture(tmp_path / "out.png")
    for i, share in enumerate((0, 0.5, 1)):
        expected = enlarge(model.synthesize(w + share * (1.5 * MOUTH - HAT).numpy()), 2)[0]
        left = i * (32 + GAP_PX // 2)
        assert abs(sheet[:32, left : left + 32].astype(int) - expected).max() <= 1
    metadata = read_provenance(tmp_path / "out.png")
    assert (metadata["Faces"], metadata["Edits"]) == ('["5"]', '{"bright_mouth": 1.5, "hat": -1}')


def test_adding_a_direction_equals_an_edit_of_strength_1(run, tmp_path):
    model = facesmith.load(run)
    list(edit(EditOptions(run, "1", {"hat": 1}, tmp_path / "out.png", steps=1, scale=1), QUIET))
    after = model.synthesize(model.latents([1]) + model.directions["hat"])[0]
    assert np.array_equal(read_picture(tmp_path / "out.png")[:16, 16 + GAP_PX // 2 :][:, :16], after)


def test_film_goes_forward_and_back(run, tmp_path):
    options = EditOptions(run, "0-3", {"hat": 1}, tmp_path / "out.png", film=tmp_path / "out.mp4", scale=2)
    assert list(edit(options, QUIET)) == [tmp_path / "out.png", tmp_path / "out.mp4"]
    with av.open(tmp_path / "out.mp4") as film:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in film.decode(video=0)]
    assert len(frames) == 100
    middle, last = (abs(frames[i] - frames[0]).mean() for i in (50, -1))
    assert middle > 5 * last


def test_wrong_options_are_refused_before_anything_is_written(run, tmp_path):
    bare, out = planted_model(tmp_path / "bare"), tmp_path / "out.png"
    for options, error, message in (
        (EditOptions(run, "1", {"hut": 1}, out), BadOption, "Did you mean 'hat'"),
        (EditOptions(bare, "1", {"hat": 1}, out), BadOption, "facesmith directions --model"),
        (EditOptions(run, "1", {}, out), BadOption, "--edit smiling=1"),
        (EditOptions(run, "1", {"hat": 1}, tmp_path / "out.jpg"), BadOption, r"\.png"),
        (EditOptions(run, "1", {"hat": 1}, out, film=tmp_path / "out.txt"), BadOption, r"\.mp4"),
        (EditOptions(run, "noface", {"hat": 1}, out), BadOption, "'noface'"),
        (EditOptions(run, "0-9999", {"hat": 1}, out), BadOption, "1 to 256"),
        (EditOptions(run, "1", {"hat": 1}, out, steps=0), BadOption, "--steps 0"),
        (EditOptions(run, "1", {"hat": 1}, out, directions=tmp_path / "none"), BadModel, "does not exist"),
    ):
        with pytest.raises(error, match=message):
            list(edit(options, QUIET))
    assert [path.name for path in tmp_path.iterdir()] == ["bare"]
    list(edit(EditOptions(run, "1", {"hat": 1}, out), QUIET))
    with pytest.raises(OutputExists):
        list(edit(EditOptions(run, "1", {"hat": 1}, out), QUIET))


@pytest.mark.parametrize(
    ("faces", "more", "message"),
    [
        ("0-255", {"scale": 32, "steps": 32}, "Lower --scale or --steps"),
        ("0-99", {"scale": 32, "film": "x.mp4"}, "4096"),
    ],
)
def test_too_large_output_is_refused(run, tmp_path, faces, more, message):
    more = {**more, **({"film": tmp_path / "x.mp4"} if "film" in more else {})}
    with pytest.raises(BadOption, match=message):
        list(edit(EditOptions(run, faces, {"hat": 1}, tmp_path / "out.png", **more), QUIET))
    assert not list(tmp_path.iterdir())


def test_directions_of_another_model_are_refused(run, tmp_path):
    other = planted_model(tmp_path / "other", "test-layered")
    options = EditOptions(other, "1", {"hat": 1}, tmp_path / "out.png", directions=run / "directions.safetensors")
    with pytest.raises(BadModel, match=r"made for another model.*facesmith directions"):
        list(edit(options, QUIET))


def test_faces_are_seeds_or_latent_files():
    assert face_names("3, 0-2,me-2.latent") == ["3", "0", "1", "2", "me-2.latent"]
    assert format_edits({"a": 1, "b": -0.5}) == "a=1, b=-0.5"
    with pytest.raises(BadOption):
        face_names("")


def test_mix_takes_layers_from_the_second_face(tmp_path):
    run = planted_model(tmp_path / "run", "test-layered")
    model = facesmith.load(run)
    assert model.G.num_ws == 3
    path = mix(run, "1 + 2", tmp_path / "mix.png", layers="1-2", scale=1)
    a, b = model.latents([1, 2])
    expected = model.synthesize(np.stack([a, b, b])[None])[0]
    faces = [model.sample([seed])[0] for seed in (1, 2)]
    assert not any(np.array_equal(expected, face) for face in faces)
    sheet = read_picture(path)
    assert any(np.array_equal(sheet[:16, x : x + 16], expected) for x in range(sheet.shape[1] - 15))
    assert read_provenance(path)["Sum"] == "layers 1-2"
    with pytest.raises(BadData, match=r"\[N, 6\] or \[N, 3, 6\]"):
        model.synthesize(np.zeros((1, 2, W_DIM), np.float32))


def test_absent_layers_are_refused(run, tmp_path):
    with pytest.raises(BadOption, match="one latent for all layers"):
        mix(run, "1 + 2", tmp_path / "mix.png", layers="0")
    assert parse_layers("0-1,3", 4) == [0, 1, 3]
    for text, message in (
        ("x", "can't be read"),
        ("4", r"layers 0 \(the coarsest\) to 3"),
        ("2-1", r"layers 0 \(the coarsest\) to 3"),
        ("", "can't be read"),
    ):
        with pytest.raises(BadOption, match=message):
            parse_layers(text, 4)
    with pytest.raises(BadOption, match=r"'29 \+ 3'"):
        mix_layers(PlantedG(3), torch.zeros(3, W_DIM), [1, -1, 1], [0])


def test_edit_and_directions_work_on_the_command_line(run, tmp_path, monkeypatch, capsys):
    def run_command(*arguments):
        monkeypatch.setattr(sys, "argv", ["facesmith", *map(str, arguments)])
        cli.main()
        return capsys.readouterr().out.split()

    out = tmp_path / "out.png"
    assert run_command("edit", "--model", run, "--seeds", "0-1", "--edit", "hat=1", "--out", out) == [str(out)]
    lines = run_command("directions", "--model", run, "--method", "pca", "--out", tmp_path)
    assert lines[-2:] == [str(tmp_path / "directions.safetensors"), str(tmp_path / "directions.png")]
    with pytest.raises(SystemExit) as stopped:
        run_command("edit", "--model", run, "--edit", "hut=1", "--out", tmp_path / "b.png")
    assert stopped.value.code == 2
    assert "Did you mean 'hat'" in capsys.readouterr().err


def test_messages_name_the_option_of_the_film(run, tmp_path):
    options = EditOptions(run, "1", {"hat": 1}, tmp_path / "out.png", film=tmp_path / "film.avi")
    with pytest.raises(BadOption, match=r"^--film .*film\.avi: expected"):
        list(edit(options, QUIET))
    (tmp_path / "film.gif").write_bytes(b"mine")
    with pytest.raises(OutputExists, match="Choose another --film"):
        list(edit(replace(options, film=tmp_path / "film.gif"), QUIET))
    assert [path.name for path in tmp_path.iterdir()] == ["film.gif"]

"""Comparing models: the same seeds, the same faces, and the accuracies in their logs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from small import QUIET, faces_folder, saved_model

import facesmith
from facesmith.errors import BadData, BadOption, OutputExists
from facesmith.explore.compare import CompareOptions, compare, faces_title
from facesmith.faces import open_faces
from facesmith.pictures.captions import HEADING_PX
from facesmith.pictures.images import grid, read_picture, read_provenance


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {name: saved_model(folder / name, name) for name in ("vae64", "vaegan64", "dcgan64")}


@pytest.fixture
def own_runs(runs, tmp_path):
    """Copies of the runs, which a test may change."""
    return {name: shutil.copytree(run, tmp_path / "runs" / name) for name, run in runs.items()}


def rows_of(path, count, height=16):
    """The rows of faces of a sheet, without their titles."""
    sheet = read_picture(path)
    assert sheet.shape[0] == count * (height + 2)
    return [sheet[start : start + height, HEADING_PX:] for start in range(0, len(sheet), height + 2)]


def compared(options):
    return {path.name: path for path in compare(options, QUIET)}


def test_each_model_draws_the_same_seeds(runs, tmp_path):
    files = compared(CompareOptions(list(runs.values()), tmp_path / "out", [3, 5, 9]))
    assert set(files) == {"samples.png"}
    for row, run in zip(rows_of(files["samples.png"], 3), runs.values(), strict=True):
        assert np.array_equal(row, grid(facesmith.load(run).sample([3, 5, 9]), 3))
    metadata = read_provenance(files["samples.png"])
    assert metadata["Synthetic"] == "true"
    assert json.loads(metadata["Models"]) == [facesmith.load(run).hash for run in runs.values()]


def test_models_with_an_encoder_reconstruct_the_same_held_out_faces(runs, tmp_path):
    data = faces_folder(tmp_path / "faces", 60)
    files = compared(CompareOptions(list(runs.values()), tmp_path / "out", [1], data=data, faces=4))
    real, vae, vaegan = rows_of(files["reconstructions.png"], 3)
    faces = open_faces(data, 16, 3)
    assert np.array_equal(real, grid(np.asarray(faces.pixels[faces.part("test")[:4]]), 4))
    assert not np.array_equal(vae, vaegan)
    assert read_provenance(files["reconstructions.png"])["Synthetic"] == "in part"
    with pytest.raises(BadData, match="encoder"):
        compared(CompareOptions([runs["dcgan64"]], tmp_path / "none", [1], data=data))
    assert not (tmp_path / "none").exists()


def test_faces_are_arranged_in_columns_as_on_the_sheets_of_the_text(runs, tmp_path):
    data = faces_folder(tmp_path / "faces", 60)
    model = facesmith.load(runs["vae64"])
    layout = {"columns": 3, "gap_px": 1}
    files = compared(CompareOptions([runs["vae64"]], tmp_path / "out", range(7), data=data, faces=5, **layout))
    samples = read_picture(files["samples.png"])[:, HEADING_PX:]
    assert np.array_equal(samples[: 3 * 17 - 1, : 3 * 17 - 1], grid(model.sample(range(7)), 3, 1))
    faces = open_faces(data, 16, 3)
    real = grid(np.asarray(faces.pixels[faces.part("test")[:5]]), 3, 1)
    assert real.shape == (2 * 17 - 1, 3 * 17 - 1, 3)
    sheet = read_picture(files["reconstructions.png"])[:, HEADING_PX:]
    assert np.array_equal(sheet[: len(real)], real)
    margin = sheet[len(real) : len(sheet) // 2]  # between the real faces and their reconstructions
    assert len(margin) > 2
    assert (margin == 255).all()


def test_a_row_has_room_for_32_faces(runs, tmp_path):
    files = compared(CompareOptions([runs["dcgan64"]], tmp_path / "out", range(33)))
    sheet = read_picture(files["samples.png"])[:, HEADING_PX:]
    drawn = facesmith.load(runs["dcgan64"]).sample(range(33))
    assert np.array_equal(sheet[: 2 * 18 - 2], grid(drawn, 32))


def test_a_wrong_path_of_faces_leaves_nothing_that_blocks_the_next_command(runs, tmp_path):
    with pytest.raises(BadData, match="does not exist"):
        compared(CompareOptions([runs["vae64"]], tmp_path / "out", [1], data=tmp_path / "nowhere"))
    assert not (tmp_path / "out").exists()


def test_force_leaves_no_picture_of_the_earlier_models(runs, tmp_path):
    out, data = tmp_path / "out", faces_folder(tmp_path / "faces", 60)
    compared(CompareOptions([runs["vae64"]], out, [1], data=data, faces=4))
    (out / "notes.txt").touch()
    compared(CompareOptions([runs["dcgan64"]], out, [1], force=True))
    assert sorted(path.name for path in out.iterdir()) == ["notes.txt", "samples.png"]


def test_runs_with_a_discriminator_get_a_panel_each(own_runs, tmp_path):
    for name in ("dcgan64", "vaegan64"):
        lines = [
            {"seen": seen, "D/accuracy_real": 0.9, "D/accuracy_fake": 0.8, "G/fooling_rate": 0.1} for seen in (8, 16)
        ]
        (own_runs[name] / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    widths = []
    for count in (2, 3):  # the third is a vae64, which has no discriminator
        models = [own_runs["dcgan64"], own_runs["vaegan64"], own_runs["vae64"]][:count]
        files = compared(CompareOptions(models, tmp_path / str(count), [1]))
        assert "monitor.png" not in files  # these runs have no losses of single steps
        widths.append(read_picture(files["accuracies.png"]).shape)
    assert widths[0] == widths[1]


def test_the_losses_of_each_step_are_drawn_as_in_the_text(own_runs, tmp_path):
    header = "step,seen,D/loss,G/loss,D/loss_real,D/loss_fake\n"
    (own_runs["dcgan64"] / "losses.csv").write_text(header + "0,8,1.4,0.7,0.6,0.8\n1,16,1.2,0.9,0.5,0.7\n")
    (own_runs["vaegan64"] / "losses.csv").write_text(header + "0,8,1.4,0.7,,\ndamaged\n1,16,1.2,x,,\n")
    files = compared(CompareOptions([own_runs["dcgan64"]], tmp_path / "one", [1]))
    both = compared(CompareOptions([own_runs["dcgan64"], own_runs["vaegan64"]], tmp_path / "two", [1]))
    assert np.array_equal(read_picture(files["monitor.png"]), read_picture(both["monitor.png"]))
    assert "monitor.png" not in compared(CompareOptions([own_runs["vaegan64"]], tmp_path / "three", [1]))


def test_faces_that_a_model_was_trained_on_are_not_called_held_out(runs):
    models = [facesmith.load(runs["vae64"]) for _ in range(2)]
    models[0].header["split"] = {"counts": {"train": 60, "validation": 0, "test": 0}}
    models[1].header["split"] = {"counts": {"train": 48, "validation": 3, "test": 9}}
    assert faces_title(models[1:]) == "held-out faces"
    assert faces_title(models) == "training faces"
    models[0].header["split"] = {"counts": None}
    models[1].header["split"] = {}
    assert faces_title(models) == "held-out faces"


def test_impossible_comparisons_are_refused(runs, tmp_path):
    models, out = list(runs.values()), tmp_path / "out"
    for options, message in (
        (CompareOptions(models, out, [1], titles=["one"]), "1 names for 3 models"),
        (CompareOptions(models, out, range(1001)), "1001 faces"),
        (CompareOptions(models, out, [1], faces=1001), "--faces is 1001"),
        (CompareOptions(models * 6, out, [1]), "18"),
    ):
        with pytest.raises(BadOption, match=message):
            compared(options)
    assert not out.exists()
    compared(CompareOptions(models, out, [1]))
    with pytest.raises(OutputExists):
        compared(CompareOptions(models, out, [1]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["Größe", "顔", "$x_1^", "x\x1b[2J"])
def test_names_of_runs_in_any_script_are_titles(runs, tmp_path, name):
    run = tmp_path / name
    shutil.copytree(runs["dcgan64"], run)
    lines = [{"seen": seen, "D/accuracy_real": 0.9, "D/accuracy_fake": 0.8, "G/fooling_rate": 0.1} for seen in (8, 16)]
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    files = compared(CompareOptions([run], tmp_path / "out", [1]))
    assert {"samples.png", "accuracies.png"} <= set(files)

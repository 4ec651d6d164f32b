"""Sampling: a seed always gives the same face, and images carry how they were drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small import QUIET, saved_model, small_state

import facesmith
from facesmith.detection.align import Alignment
from facesmith.errors import BadData, BadOption, BadPicture, OutputExists
from facesmith.explore import sample as sample_module
from facesmith.explore.sample import sample, sample_like
from facesmith.io.files import sha256
from facesmith.model import load
from facesmith.modelfiles.checkpoint import save_model
from facesmith.pictures.images import grid, read_picture, read_provenance, write_png
from facesmith.pictures.sheet_layout import SheetLayout
from facesmith.training.averages import inference_networks
from facesmith.training.step import train_step


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    state = small_state(channels=3)
    for _ in range(3):
        train_step(state)
    header = {"recipe": "dcgan64", "hyperparameters": state.recipe.hyperparameters(), "seen": state.seen}
    save_model(folder / "model.safetensors", dict(inference_networks(state).items()), header)
    return folder


@settings(max_examples=20, deadline=None)
@given(others=st.lists(st.integers(0, 10**6), max_size=40), at=st.integers(0, 40))
def test_seed_gives_the_same_face_in_any_batch(run, others, at):
    model = facesmith.load(run)
    seeds = [*others[:at], 42, *others[at:]]
    together = model.sample(seeds)
    assert together.dtype == np.uint8
    assert together.shape == (len(seeds), 16, 16, 3)
    assert np.array_equal(together[seeds.index(42)], model.sample([42])[0])


def test_a_vae_can_draw_from_the_prior_of_its_text_and_like_repeats_it(tmp_path):
    vae = saved_model(tmp_path / "vae", "vae64")
    model = facesmith.load(vae)
    model.header["alignment"] = Alignment(16, 2.45).to_values()
    own_inverter = model.inverter
    normal = model.with_normal_prior()
    assert (own_inverter.G, normal.inverter.G) == (model.G, normal.G)
    z = torch.cat([torch.randn(1, 8, generator=torch.Generator().manual_seed(seed)) for seed in range(3)])
    assert np.allclose(normal.latents(range(3)), z.numpy())
    assert np.array_equal(normal.sample(range(3)), model.synthesize(z.numpy()))
    assert not np.array_equal(normal.sample(range(3)), model.sample(range(3)))
    sheets = [tmp_path / name for name in ("own.png", "normal.png", "again.png")]
    list(sample(lambda: model, range(3), sheets[0], console=QUIET))
    list(sample(lambda: model, range(3), sheets[1], normal_prior=True, console=QUIET))
    list(sample_like(lambda: model, sheets[1], sheets[2], console=QUIET))
    own, drawn, again = (read_picture(sheet) for sheet in sheets)
    assert np.array_equal(drawn, again)
    assert not np.array_equal(own, drawn)
    assert read_provenance(sheets[2])["Prior"] == "normal"


def test_a_model_without_fitted_prior_refuses_another_one(run):
    with pytest.raises(BadOption, match="no fitted prior"):
        facesmith.load(run).with_normal_prior()


def test_different_seeds_give_different_faces(run):
    faces = facesmith.load(run).sample(range(200))
    assert len({face.tobytes() for face in faces}) == 200


def test_latents_of_seeds_draw_the_same_faces(run):
    model = facesmith.load(run)
    w = model.latents([1, 2, 3])
    assert w.shape == (3, model.G.w_dim)
    assert np.array_equal(model.synthesize(w), model.sample([1, 2, 3]))
    with pytest.raises(BadData, match="shape"):
        model.synthesize(w[:, :-1])


def test_psi_0_is_the_average_face(run):
    model = facesmith.load(run)
    average = model.sample([1, 2, 3], psi=0.0)
    assert np.array_equal(average[0], average[2])
    assert not np.array_equal(model.sample([1], psi=0.5), model.sample([1]))


def test_sheet_contains_faces_and_metadata(run, tmp_path):
    (path,) = sample(lambda: load(run), [5, 6, 7, 8], tmp_path / "sheet.png", console=QUIET)
    assert np.array_equal(read_picture(path), grid(facesmith.load(run).sample([5, 6, 7, 8])))
    metadata = read_provenance(path)
    assert metadata["Recipe"] == "dcgan64"
    assert metadata["Model"] == sha256(run / "model.safetensors")
    assert metadata["Seeds"] == "[5, 6, 7, 8]"
    assert metadata["Synthetic"] == "true"


def test_sheet_has_the_requested_columns_gap_and_scale(run, tmp_path):
    layout = SheetLayout(columns=16, gap_px=0, scale=2)
    (path,) = sample(lambda: load(run), range(128), tmp_path / "sheet.png", layout=layout, console=QUIET)
    sheet, faces = read_picture(path), facesmith.load(run).sample(range(128))
    assert sheet.shape == (8 * 32, 16 * 32, 3)
    tiles = sheet.reshape(8, 32, 16, 32, 3).swapaxes(1, 2).reshape(128, 32, 32, 3)
    assert np.array_equal(tiles, faces.repeat(2, axis=1).repeat(2, axis=2))
    assert json.loads(read_provenance(path)["Layout"]) == {"columns": 16, "gap_px": 0, "scale": 2, "filter": "nearest"}


@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos"])
def test_a_named_filter_interpolates(run, tmp_path, name):
    layout = SheetLayout(scale=4, filter=name)
    (path,) = sample(lambda: load(run), [1, 2], tmp_path / "sheet.png", layout=layout, console=QUIET)
    blocks = grid(facesmith.load(run).sample([1, 2]).repeat(4, axis=1).repeat(4, axis=2))
    difference = np.abs(read_picture(path).astype(int) - blocks)
    assert 0 < difference.mean() < 40
    assert name in read_provenance(path)["Layout"]


def test_a_sheet_is_drawn_again_with_its_layout_or_another(run, tmp_path):
    layout = SheetLayout(columns=4, gap_px=0, scale=2)
    (path,) = sample(lambda: load(run), range(8), tmp_path / "sheet.png", layout=layout, console=QUIET)
    (again,) = sample_like(lambda: load(run), path, tmp_path / "again.png", console=QUIET)
    assert np.array_equal(read_picture(again), read_picture(path))
    changes = {"columns": None, "gap_px": 2, "scale": 1}
    (plain,) = sample_like(lambda: load(run), path, tmp_path / "plain.png", layout=changes, console=QUIET)
    assert np.array_equal(read_picture(plain), grid(facesmith.load(run).sample(range(8))))
    (folder,) = sample_like(lambda: load(run), path, tmp_path / "faces", console=QUIET)
    assert {read_picture(face).shape for face in folder.iterdir()} == {(32, 32, 3)}


@pytest.mark.parametrize(
    "entry", ["{}", "[", "[" * 5000, '{"columns": 0}', '{"scale": 1000000}', '{"filter": "x"}', "9" * 5000, "null"]
)
def test_a_forged_layout_is_ignored(run, tmp_path, entry):
    (path,) = sample(lambda: load(run), [1], tmp_path / "one.png", console=QUIET)
    forged = write_png(tmp_path / "forged.png", read_picture(path), {**read_provenance(path), "Layout": entry})
    (again,) = sample_like(lambda: load(run), forged, tmp_path / "again.png", console=QUIET)
    assert np.array_equal(read_picture(again), read_picture(path))


def test_columns_need_a_sheet(run, tmp_path):
    with pytest.raises(BadOption, match="folder"):
        list(sample(lambda: load(run), [1], tmp_path / "faces", layout=SheetLayout(columns=2), console=QUIET))
    assert not (tmp_path / "faces").exists()


def test_single_faces_are_drawn_again_from_their_metadata(run, tmp_path):
    (folder,) = sample(lambda: load(run), range(20), tmp_path / "faces", psi=0.7, console=QUIET)
    files = sorted(folder.iterdir())
    assert len(files) == 20
    (again,) = sample_like(lambda: load(run), files[13], tmp_path / "again.png", console=QUIET)
    assert np.array_equal(read_picture(again), read_picture(files[13]))


def test_a_picture_that_is_drawn_again_still_says_that_its_seeds_were_chosen(run, tmp_path):
    chosen = {"Quality": "without the tenth of the seeds that look most distorted"}
    (path,) = sample(lambda: load(run), [3, 5], tmp_path / "sheet.png", console=QUIET)
    marked = write_png(tmp_path / "marked.png", read_picture(path), read_provenance(path) | chosen)
    for like, entries in ((path, {}), (marked, chosen)):
        (again,) = sample_like(lambda: load(run), like, tmp_path / f"again-{like.name}", console=QUIET)
        written = read_provenance(again)
        assert {name: written[name] for name in chosen if name in written} == entries
        assert written["Seeds"] == "[3, 5]"


def test_picture_without_seeds_is_refused(run, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "foreign.png")
    with pytest.raises(BadData, match="no seeds"):
        list(sample_like(lambda: load(run), tmp_path / "foreign.png", tmp_path / "out.png", console=QUIET))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(BadPicture):
        list(sample_like(lambda: load(run), tmp_path / "text.png", tmp_path / "out.png", console=QUIET))


def test_picture_of_another_model_is_refused(run, tmp_path):
    (path,) = sample(lambda: load(run), [1], tmp_path / "one.png", console=QUIET)
    other = other_model(tmp_path / "other")
    with pytest.raises(BadData, match="another model"):
        list(sample_like(lambda: load(other), path, tmp_path / "two.png", console=QUIET))


@pytest.mark.parametrize(
    "change",
    [
        *({"Seeds": "[]"}, {"Seeds": "{}"}, {"Seeds": "[true]"}, {"Seeds": "[" * 5000}, {"Seeds": "[-1]"}),
        *({"Psi": "nan"}, {"Psi": "7"}, {"Psi": "1e999"}, {"Seeds": f"[{2**64}]"}),
    ],
)
def test_picture_with_forged_metadata_is_refused(run, tmp_path, change):
    (path,) = sample(lambda: load(run), [1], tmp_path / "one.png", console=QUIET)
    forged = write_png(tmp_path / "forged.png", read_picture(path), {**read_provenance(path), **change})
    with pytest.raises(BadData, match="no seeds"):
        list(sample_like(lambda: load(run), forged, tmp_path / "out.png", console=QUIET))


def test_seeds_and_psi_out_of_range_are_refused_in_python(run):
    model = facesmith.load(run)
    for seeds, psi in (([-1], 1.0), ([2**32], 1.0), ([10**5000], 1.0), ([1], 1.5), ([1], float("nan"))):
        with pytest.raises(BadOption):
            model.sample(seeds, psi)
    assert model.sample([]).shape == (0, 16, 16, 3)


def test_existing_output_is_not_overwritten(run, tmp_path):
    (path,) = sample(lambda: load(run), [1], tmp_path / "one.png", console=QUIET)
    with pytest.raises(OutputExists, match="--force"):
        list(sample(lambda: load(run), [2], path, console=QUIET))
    assert list(sample(lambda: load(run), [2], path, force=True, console=QUIET)) == [path]


def test_folder_name_may_contain_a_dot(run, tmp_path):
    (folder,) = sample(lambda: load(run), [1, 2], tmp_path / "faces-v1.0", console=QUIET)
    assert len(list(folder.iterdir())) == 2


def test_unsupported_file_types_are_refused(run, tmp_path):
    with pytest.raises(BadOption, match=r"\.png"):
        list(sample(lambda: load(run), [1], tmp_path / "one.webp", console=QUIET))


def test_gray_models_draw_gray_faces(tmp_path):
    state = small_state(channels=1)
    state.stream.pixels = state.stream.pixels[..., :1]
    train_step(state)
    header = {"recipe": "dcgan64", "hyperparameters": state.recipe.hyperparameters()}
    save_model(tmp_path / "model.safetensors", dict(inference_networks(state).items()), header)
    assert facesmith.load(tmp_path).sample([1]).shape == (1, 16, 16, 1)
    (path,) = sample(lambda: load(tmp_path), [1, 2], tmp_path / "gray.png", console=QUIET)
    assert read_picture(path).ndim == 3


def other_model(folder):
    """A run folder with another model than the fixture `run`."""
    state = small_state(seed=9)
    header = {"recipe": "dcgan64", "hyperparameters": state.recipe.hyperparameters()}
    save_model(folder / "model.safetensors", dict(inference_networks(state).items()), header)
    return folder


def test_force_removes_the_earlier_faces_and_nothing_else(run, tmp_path):
    out = tmp_path / "faces"
    list(sample(lambda: load(run), range(8), out, console=QUIET))
    for name in ("seed3_edited.png", "notes.txt"):
        (out / name).touch()
    list(sample(lambda: load(other_model(tmp_path / "other")), [2, 3], out, force=True, console=QUIET))
    names = sorted(path.name for path in out.iterdir())
    assert names == ["notes.txt", "seed000002.png", "seed000003.png", "seed3_edited.png"]


def test_an_unfinished_folder_is_not_finished_with_another_model(run, tmp_path, monkeypatch):
    out = tmp_path / "faces"
    write, files = sample_module.write_picture, []

    def write_two(*arguments):
        if len(files) == 2:
            raise OSError(28, "No space left on device")
        files.append(write(*arguments))

    with monkeypatch.context() as patched:
        patched.setattr(sample_module, "write_picture", write_two)
        with pytest.raises(OSError, match="No space"):
            list(sample(lambda: load(run), range(4), out, console=QUIET))
    with pytest.raises(OutputExists):
        list(sample(lambda: load(other_model(tmp_path / "other")), range(4), out, console=QUIET))
    list(sample(lambda: load(run), range(4), out, console=QUIET))
    assert {read_provenance(file)["Model"] for file in out.iterdir()} == {facesmith.load(run).hash}


@pytest.mark.parametrize(
    "name", ["faces.zip", "faces.tar.gz", "faces.pdf", "faces.mp4", "faces.docx", "f.svg", "f.csv"]
)
def test_names_of_other_files_do_not_become_folders(run, tmp_path, name):
    with pytest.raises(BadOption, match=r"\.png or \.jpg for a sheet, or a folder"):
        list(sample(lambda: load(run), [1], tmp_path / name, console=QUIET))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["html", "onnx"])
def test_names_of_exported_generators_lead_to_export(run, tmp_path, suffix):
    out = tmp_path / f"faces.{suffix}"
    with pytest.raises(BadOption, match=rf"To write the generator itself: facesmith export --{suffix} \S+\.{suffix}$"):
        list(sample(lambda: load(run), [1], out, console=QUIET))
    assert not out.exists()


def test_like_keeps_what_no_option_changes(run, tmp_path):
    layout = SheetLayout(columns=4, gap_px=0, scale=2)
    (path,) = sample(lambda: load(run), range(8), tmp_path / "sheet.png", layout=layout, console=QUIET)
    (again,) = sample_like(lambda: load(run), path, tmp_path / "again.png", layout={"scale": 3}, console=QUIET)
    assert read_picture(again).shape == (2 * 48, 4 * 48, 3)

"""The demo runs the whole pipeline, continues after an interruption, and trains a generator that learns."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from small import QUIET

from facesmith import demo as demo_module
from facesmith.demo import FACES_FOLDER, MARKER, demo
from facesmith.errors import BadData, OutputExists
from facesmith.model import load
from facesmith.pictures.images import read_picture, resize

MINUTES = 0.02


@pytest.fixture
def small_demo(monkeypatch):
    monkeypatch.setattr(demo_module, "TRAINING_FACES", 20)
    monkeypatch.setattr(demo_module, "HYPERPARAMETERS", {"resolution": 64, "width": 4, "batch_size": 8})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished demo, and the lines that it printed. Tests that change it copy it first."""
    out = tmp_path_factory.mktemp("finished") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo_module, "TRAINING_FACES", 20)
        patch.setattr(demo_module, "HYPERPARAMETERS", {"resolution": 64, "width": 4, "batch_size": 8})
        patch.setenv("FACESMITH_CACHE", str(out.with_name("cache")))
        return out, list(demo(out, minutes=MINUTES, console=QUIET))


def test_demo_writes_sheets_and_film_and_says_what_to_do_next(finished):
    out, lines = finished
    assert read_picture(out / "bundled.png").std() > 40, "the first sheet has the contrast of real photos"
    assert read_picture(out / "faces.png").std() > 1
    assert (out / "progress.mp4").stat().st_size > 500
    assert any("facesmith extract" in line for line in lines)


def test_a_finished_demo_prints_the_same_lines_without_training_again(finished, small_demo):
    out, lines = finished
    before = (out / "run" / "model.safetensors").stat().st_mtime_ns
    assert list(demo(out, minutes=MINUTES, console=QUIET)) == lines
    assert (out / "run" / "model.safetensors").stat().st_mtime_ns == before


def test_an_interrupted_demo_draws_only_the_missing_faces(finished, small_demo, tmp_path):
    out = shutil.copytree(finished[0], tmp_path / "demo")
    faces = out / FACES_FOLDER
    drawn = (faces / "000007.png").read_bytes()
    kept = (faces / "000008.png").stat().st_mtime_ns
    (faces / "000007.png").unlink()
    list(demo(out, minutes=MINUTES, console=QUIET))
    assert (faces / "000007.png").read_bytes() == drawn
    assert (faces / "000008.png").stat().st_mtime_ns == kept


def test_faces_of_another_generator_are_refused_and_force_replaces_them(finished, small_demo, tmp_path):
    out = shutil.copytree(finished[0], tmp_path / "demo")
    face, marker = out / FACES_FOLDER / "000003.png", out / MARKER
    drawn = face.read_bytes()
    face.write_bytes(b"another generator's")
    marker.write_text(marker.read_text().replace(load().hash, "0" * 64))
    with pytest.raises(BadData, match="another generator"):
        list(demo(out, minutes=MINUTES, console=QUIET))
    list(demo(out, minutes=MINUTES, force=True, console=QUIET))
    assert face.read_bytes() == drawn
    list(demo(out, minutes=MINUTES, console=QUIET))


def test_the_demo_never_touches_a_folder_that_it_did_not_make(tmp_path):
    photo = tmp_path / FACES_FOLDER / "photo.png"
    photo.parent.mkdir()
    photo.write_bytes(b"mine")
    for force in (False, True):
        with pytest.raises(OutputExists, match="not made by the demo"):
            list(demo(tmp_path, minutes=MINUTES, force=force, console=QUIET))
    assert photo.read_bytes() == b"mine"


@pytest.mark.slow
@pytest.mark.timeout(900)  # it trains for three minutes, and more on a busy machine
def test_the_demo_learns_to_draw_faces(tmp_path):
    """The samples are close to those of the bundled generator: in their mean and in the main principal components."""
    list(demo(tmp_path / "demo", console=QUIET))
    drawn = [resize(face, 64) for face in load().sample(range(5_000_000, 5_000_400))]
    real = np.reshape(drawn, (400, -1)) / 127.5 - 1
    fake = load(tmp_path / "demo" / "run").sample(range(400)).reshape(400, -1) / 127.5 - 1
    mean = real.mean(0)
    _, _, components = np.linalg.svd(real - mean, full_matrices=False)
    std_real = ((real - mean) @ components[:20].T).std(0)
    std_fake = ((fake - fake.mean(0)) @ components[:20].T).std(0)
    assert np.abs(fake.mean(0) - mean).mean() < 0.1
    assert 0.5 < np.median(std_fake / std_real) < 1.5

"""The demo does the main job, goes on where it was stopped, and its generator learns."""

from __future__ import annotations

import numpy as np
import pytest
from small import QUIET

from facesmith import demo as demo_module
from facesmith.demo import demo
from facesmith.errors import BadData, OutputExists
from facesmith.io.images import read_picture
from facesmith.model import load


def test_the_demo_leaves_sheet_and_film_and_says_what_is_next(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_module, "FACES", 40)
    monkeypatch.setattr(demo_module, "VALUES", {"width": 4, "batch_size": 8})
    told = list(demo(tmp_path / "demo", minutes=0.02, console=QUIET))
    assert read_picture(tmp_path / "demo" / "bundled.png").std() > 40, "the first sheet shows real-looking faces"
    assert read_picture(tmp_path / "demo" / "faces.png").std() > 1
    assert (tmp_path / "demo" / "progress.mp4").stat().st_size > 500
    assert any("facesmith extract" in line for line in told)
    # A second time it says where everything is rather than fail or do it all again.
    before = (tmp_path / "demo" / "run" / "model.safetensors").stat().st_mtime_ns
    assert list(demo(tmp_path / "demo", minutes=0.02, console=QUIET)) == told
    assert (tmp_path / "demo" / "run" / "model.safetensors").stat().st_mtime_ns == before


def test_an_interrupted_demo_draws_the_missing_faces_only(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_module, "FACES", 20)
    monkeypatch.setattr(demo_module, "VALUES", {"width": 4, "batch_size": 8})
    list(demo(tmp_path / "demo", minutes=0.02, console=QUIET))
    lessons = tmp_path / "demo" / "lessons"
    whole = (lessons / "000007.png").read_bytes()
    kept = (lessons / "000008.png").stat().st_mtime_ns
    (lessons / "000007.png").unlink()
    list(demo(tmp_path / "demo", minutes=0.02, console=QUIET))
    assert (lessons / "000007.png").read_bytes() == whole
    assert (lessons / "000008.png").stat().st_mtime_ns == kept


def test_forced_it_does_all_again_and_never_mixes_the_faces_of_two_generators(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_module, "FACES", 20)
    monkeypatch.setattr(demo_module, "VALUES", {"width": 4, "batch_size": 8})
    out = tmp_path / "demo"
    list(demo(out, minutes=0.02, console=QUIET))
    lesson, mark = out / "lessons" / "000003.png", out / demo_module.MARK
    drawn = lesson.read_bytes()
    lesson.write_bytes(b"another generator's")
    mark.write_text(mark.read_text().replace(load().hash, "0" * 64))
    with pytest.raises(BadData, match="another generator"):
        list(demo(out, minutes=0.02, console=QUIET))
    list(demo(out, minutes=0.02, force=True, console=QUIET))
    assert lesson.read_bytes() == drawn
    list(demo(out, minutes=0.02, console=QUIET))


def test_the_demo_leaves_foreign_files_alone(tmp_path):
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / "photo.png").write_bytes(b"mine")
    for force in (False, True):
        with pytest.raises(OutputExists, match="not made by the demo"):
            list(demo(tmp_path, minutes=0.02, force=force, console=QUIET))
    assert (tmp_path / "lessons" / "photo.png").read_bytes() == b"mine"


@pytest.mark.slow
def test_the_demo_learns_to_draw_faces(tmp_path):
    """Samples come close to the shipped generator's: their mean and their main directions of variation."""
    list(demo(tmp_path / "demo", console=QUIET))
    real = load().sample(range(5_000_000, 5_000_400)).reshape(400, -1) / 127.5 - 1
    fake = load(tmp_path / "demo" / "run").sample(range(400)).reshape(400, -1) / 127.5 - 1
    centre = real.mean(0)
    _, _, directions = np.linalg.svd(real - centre, full_matrices=False)
    spread_real = ((real - centre) @ directions[:20].T).std(0)
    spread_fake = ((fake - fake.mean(0)) @ directions[:20].T).std(0)
    assert np.abs(fake.mean(0) - centre).mean() < 0.1
    assert 0.5 < np.median(spread_fake / spread_real) < 1.5

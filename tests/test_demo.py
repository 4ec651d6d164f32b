"""The demo does the main job, goes on where it was stopped, and its generator learns."""

from __future__ import annotations

import numpy as np
import pytest
from small import QUIET

from facesmith import demo as demo_module
from facesmith.demo import demo
from facesmith.drawn import draw_many
from facesmith.errors import OutputExists
from facesmith.images import read_picture
from facesmith.sample import load


def test_the_demo_leaves_sheet_and_film_and_says_what_is_next(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_module, "FACES", 40)
    monkeypatch.setattr(demo_module, "VALUES", {"width": 4, "batch_size": 8})
    told = list(demo(tmp_path / "demo", minutes=0.02, console=QUIET))
    assert read_picture(tmp_path / "demo" / "faces.png").std() > 1
    assert (tmp_path / "demo" / "progress.mp4").stat().st_size > 500
    assert any("facesmith extract" in line for line in told)
    # A second time it says where everything is rather than fail or do it all again.
    before = (tmp_path / "demo" / "run" / "model.safetensors").stat().st_mtime_ns
    assert list(demo(tmp_path / "demo", minutes=0.02, console=QUIET)) == told
    assert (tmp_path / "demo" / "run" / "model.safetensors").stat().st_mtime_ns == before


def test_the_demo_leaves_foreign_files_alone(tmp_path):
    (tmp_path / "drawn").mkdir()
    (tmp_path / "drawn" / "photo.png").write_bytes(b"mine")
    for force in (False, True):
        with pytest.raises(OutputExists, match="not made by the demo"):
            list(demo(tmp_path, minutes=0.02, force=force, console=QUIET))
    assert (tmp_path / "drawn" / "photo.png").read_bytes() == b"mine"


@pytest.mark.slow
def test_the_demo_learns_to_draw_faces(tmp_path):
    """Samples come closer to the drawn faces: their mean and their main directions of variation."""
    list(demo(tmp_path / "demo", console=QUIET))
    real = draw_many(range(1_000_000, 1_000_400)).reshape(400, -1) / 127.5 - 1
    fake = load(tmp_path / "demo" / "run").sample(range(400)).reshape(400, -1) / 127.5 - 1
    centre = real.mean(0)
    _, _, directions = np.linalg.svd(real - centre, full_matrices=False)
    spread_real = ((real - centre) @ directions[:20].T).std(0)
    spread_fake = ((fake - fake.mean(0)) @ directions[:20].T).std(0)
    assert np.abs(fake.mean(0) - centre).mean() < 0.1
    assert 0.5 < np.median(spread_fake / spread_real) < 1.5

"""MP4 and GIF files have all frames, the right duration and their provenance."""

from __future__ import annotations

import json
import subprocess
import sys

import av
import numpy as np
import pytest
from PIL import Image

from facesmith.errors import BadOption
from facesmith.pictures import video
from facesmith.pictures.video import write_film

FRAMES = [np.full((31, 33, 3), i * 20, np.uint8) for i in range(5)]  # odd sides
PROVENANCE = {"Synthetic": "true", "Seeds": "[1, 2]"}


def gif_frames(path):
    with Image.open(path) as film:
        for number in range(film.n_frames):
            film.seek(number)
            yield np.asarray(film.convert("RGB")), film.info["duration"]


def test_an_mp4_has_all_frames_and_its_provenance(tmp_path):
    path = write_film(tmp_path / "a.mp4", FRAMES, 5, PROVENANCE)
    with av.open(str(path)) as film:
        decoded = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert json.loads(film.metadata["comment"]) == PROVENANCE
        assert film.streams.video[0].average_rate == 5
    assert len(decoded) == 5
    for frame, pixels in zip(decoded, FRAMES, strict=True):
        assert abs(frame[:31, :33].astype(int) - pixels).max() < 12


def test_a_gif_has_all_frames_repeats_forever_and_has_its_provenance(tmp_path):
    path = write_film(tmp_path / "a.GIF", iter(FRAMES), 5, PROVENANCE)
    with Image.open(path) as film:
        assert film.info["loop"] == 0
        assert json.loads(film.info["comment"]) == PROVENANCE
    shown = list(gif_frames(path))
    assert [duration for _, duration in shown] == [200] * 5
    for (frame, _), pixels in zip(shown, FRAMES, strict=True):
        assert np.array_equal(frame, pixels)


@pytest.mark.parametrize("fps", [7, 24, 25, 30, 50])
def test_a_gif_has_the_right_duration_at_any_frame_rate(tmp_path, fps):
    frames = [np.full((8, 8, 3), i, np.uint8) for i in range(3 * fps)]
    durations = [duration for _, duration in gif_frames(write_film(tmp_path / "a.gif", frames, fps))]
    assert len(durations) == 3 * fps
    assert sum(durations) == 3000
    assert max(durations) - min(durations) <= 10


def test_each_frame_of_a_gif_has_its_own_palette(tmp_path):
    ramp = np.tile(np.arange(256, dtype=np.uint8)[:, None], (1, 8))
    black = np.zeros_like(ramp)
    frames = [np.stack(channels, -1) for channels in ((ramp, black, black), (black, ramp, black), (black, black, ramp))]
    for (shown, _), frame in zip(gif_frames(write_film(tmp_path / "a.gif", frames, 10)), frames, strict=True):
        assert abs(shown.astype(int) - frame).max() <= 8


def test_other_suffixes_and_too_fast_or_too_large_gifs_are_refused(tmp_path, monkeypatch):
    with pytest.raises(BadOption, match=r"\.mp4 or \.gif"):
        write_film(tmp_path / "a.avi", FRAMES, 5)
    with pytest.raises(BadOption, match="50 frames a second"):
        write_film(tmp_path / "a.gif", FRAMES, 60)
    monkeypatch.setattr(video, "MAX_GIF_BYTES", 3 * 31 * 33)
    with pytest.raises(BadOption, match=r"Write an \.mp4"):
        write_film(tmp_path / "a.gif", FRAMES, 5)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit_bytes", [0, 1000, 20_000])
@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_a_full_disk_leaves_no_film_and_names_the_file(tmp_path, name, limit_bytes):
    code = (
        "import resource, sys; from pathlib import Path; import numpy as np\n"
        "from facesmith.pictures.video import write_film\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))\n"
        "noise = np.random.default_rng(0).integers(0, 255, (60, 64, 64, 3), dtype=np.uint8)\n"
        "try: write_film(Path(sys.argv[1]), noise, 8)\n"
        "except OSError as error: print(error.strerror, error.filename)\n"
    )
    process = subprocess.run([sys.executable, "-c", code, tmp_path / name], capture_output=True, text=True, check=True)
    assert (process.stdout, process.stderr) == (f"File too large {tmp_path / name}\n", "")
    assert not list(tmp_path.iterdir())

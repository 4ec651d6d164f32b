"""The walk verb: the film shows sampled faces and the faces in between."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest
from PIL import Image
from small import QUIET, saved_model

import facesmith
from facesmith.errors import BadOption, OutputExists
from facesmith.explore.walk import WalkOptions, _frames, parse_grid, walk
from facesmith.pictures.images import as_rgb, enlarge, grid


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("run"))


def draw_frames(run, options, scale=1):
    return np.stack(list(_frames(facesmith.load(run), options, options.frame_count(), scale)))


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("closed", [True, False])
def test_walk_shows_the_sampled_faces_at_its_seeds(run, linear, closed):
    options = WalkOptions([3, 17, 40], closed=closed, linear=linear, seconds=3 if closed else 2.1, fps=10, psi=0.8)
    frames = draw_frames(run, options)
    assert len(frames) == (30 if closed else 21)
    assert np.array_equal(frames[[0, 10, 20]], facesmith.load(run).sample([3, 17, 40], psi=0.8))


def test_grid_shows_several_walks(run):
    both = draw_frames(run, WalkOptions([1, 2, 3, 4, 5, 6], grid=(1, 2), seconds=1, fps=20))
    above, below = (draw_frames(run, WalkOptions(seeds, seconds=1, fps=20)) for seeds in ([1, 2, 3], [4, 5, 6]))
    assert both.shape == (20, 34, 16, 3)
    assert np.array_equal(both[:, :16], above)
    assert np.array_equal(both[:, 18:], below)


def test_non_spherical_generators_use_straight_lines(run):
    model = facesmith.load(run)
    options = WalkOptions([1, 2], seconds=1, fps=4)
    arc = np.stack(list(_frames(model, options, 4, 1)))
    model.G.spherical = False
    straight = np.stack(list(_frames(model, options, 4, 1)))
    assert np.array_equal(straight, draw_frames(run, WalkOptions([1, 2], linear=True, seconds=1, fps=4)))
    assert not np.array_equal(straight, arc)


def test_film_has_requested_frames_and_metadata(run, tmp_path):
    options = WalkOptions([3, 17], seconds=1, fps=10)
    outs = [tmp_path / "w.mp4", tmp_path / "w.gif"]
    assert list(walk(run, options, outs, scale=2, console=QUIET)) == outs
    with av.open(str(outs[0])) as film:
        metadata = json.loads(film.metadata["comment"])
        assert len(list(film.decode(video=0))) == 10
    with Image.open(outs[1]) as film:
        assert (film.n_frames, film.size) == (10, (32, 32))
        assert json.loads(film.info["comment"]) == metadata
        first = np.asarray(film.convert("RGB")).astype(int)
    assert (metadata["Seeds"], metadata["Walk"], metadata["Synthetic"]) == ("[3, 17]", "closed, spherical, 1x1", "true")
    assert metadata["Model"] == facesmith.load(run).hash
    assert abs(first - enlarge(facesmith.load(run).sample([3])[0], 2)).max() < 40  # a GIF has 256 colors
    with pytest.raises(OutputExists):
        list(walk(run, options, outs, console=QUIET))


def test_default_scale_makes_faces_large_enough(run, tmp_path):
    for columns, size in ((1, (256, 256)), (8, (8 * 128 + 14, 128))):
        (path,) = walk(
            run,
            WalkOptions(range(2 * columns), grid=(columns, 1), seconds=0.2),
            [tmp_path / f"{columns}.gif"],
            console=QUIET,
        )
        with Image.open(path) as film:
            assert film.size == size


def test_gray_models_work(tmp_path):
    model = facesmith.load(saved_model(tmp_path / "gray", channels=1))
    frames = next(_frames(model, WalkOptions([1, 2]), 1, 1))
    assert np.array_equal(frames, grid(as_rgb(model.sample([1]))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (WalkOptions([1]), "at least 2"),
        (WalkOptions([1, 2, 3], grid=(2, 1)), "needs the same number"),
        (WalkOptions([1, 2], seconds=0), "1 to"),
        (WalkOptions([1, 2], seconds=1e9), "1 to"),
        (WalkOptions([1, 2], seconds=float("nan")), "1 to"),
        (WalkOptions(range(2 * 99), grid=(99, 1)), "pixels wide or high"),
    ],
)
def test_impossible_walks_are_refused(run, tmp_path, options, message):
    with pytest.raises(BadOption, match=message):
        list(walk(run, options, [tmp_path / "w.mp4"], scale=8, console=QUIET))
    assert not list(tmp_path.iterdir())


def test_grids_are_parsed():
    assert parse_grid("4x2") == (4, 2)
    for text in ("", "4", "0x2", "4x", "x", "-1x2", "100x1", "4x2x1"):
        with pytest.raises(BadOption, match="--grid"):
            parse_grid(text)

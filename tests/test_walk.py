"""A walk's film shows the faces that sample draws, with what lies between them."""

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
from facesmith.io.images import as_rgb, enlarge, grid


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("run"))


def frames(run, way, scale=1):
    return np.stack(list(_frames(facesmith.load(run), way, way.frames(), scale)))


@pytest.mark.parametrize("straight", [True, False])
@pytest.mark.parametrize("closed", [True, False])
def test_at_its_seeds_a_walk_shows_what_sample_draws(run, straight, closed):
    way = WalkOptions([3, 17, 40], closed=closed, straight=straight, seconds=3 if closed else 2.1, fps=10, psi=0.8)
    shown = frames(run, way)
    assert len(shown) == (30 if closed else 21)
    assert np.array_equal(shown[[0, 10, 20]], facesmith.load(run).sample([3, 17, 40], psi=0.8))


def test_walks_side_by_side_are_walks(run):
    both = frames(run, WalkOptions([1, 2, 3, 4, 5, 6], grid=(1, 2), seconds=1, fps=20))
    above, below = (frames(run, WalkOptions(seeds, seconds=1, fps=20)) for seeds in ([1, 2, 3], [4, 5, 6]))
    assert both.shape == (20, 34, 16, 3)
    assert np.array_equal(both[:, :16], above)
    assert np.array_equal(both[:, 18:], below)


def test_generators_whose_latents_are_not_spherical_are_walked_straight(run):
    model = facesmith.load(run)
    way = WalkOptions([1, 2], seconds=1, fps=4)
    arc = np.stack(list(_frames(model, way, 4, 1)))
    model.G.spherical = False
    straight = np.stack(list(_frames(model, way, 4, 1)))
    assert np.array_equal(straight, frames(run, WalkOptions([1, 2], straight=True, seconds=1, fps=4)))
    assert not np.array_equal(straight, arc)


def test_the_film_is_written_as_asked_with_its_origin(run, tmp_path):
    way = WalkOptions([3, 17], seconds=1, fps=10)
    outs = [tmp_path / "w.mp4", tmp_path / "w.gif"]
    assert list(walk(run, way, outs, scale=2, console=QUIET)) == outs
    with av.open(str(outs[0])) as film:
        told = json.loads(film.metadata["comment"])
        assert len(list(film.decode(video=0))) == 10
    with Image.open(outs[1]) as film:
        assert (film.n_frames, film.size) == (10, (32, 32))
        assert json.loads(film.info["comment"]) == told
        first = np.asarray(film.convert("RGB")).astype(int)
    assert (told["Seeds"], told["Walk"], told["Synthetic"]) == ("[3, 17]", "closed, spherical, 1x1", "true")
    assert told["Model"] == facesmith.load(run).hash
    assert abs(first - enlarge(facesmith.load(run).sample([3])[0], 2)).max() < 40  # 256 colours
    with pytest.raises(OutputExists):
        list(walk(run, way, outs, console=QUIET))


def test_by_default_faces_are_large_enough_to_look_at(run, tmp_path):
    for columns, size in ((1, (256, 256)), (8, (8 * 128 + 14, 128))):
        (path,) = walk(
            run,
            WalkOptions(range(2 * columns), grid=(columns, 1), seconds=0.2),
            [tmp_path / f"{columns}.gif"],
            console=QUIET,
        )
        with Image.open(path) as film:
            assert film.size == size


def test_grey_models_walk_too(tmp_path):
    model = facesmith.load(saved_model(tmp_path / "grey", channels=1))
    shown = next(_frames(model, WalkOptions([1, 2]), 1, 1))
    assert np.array_equal(shown, grid(as_rgb(model.sample([1]))))


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (WalkOptions([1]), "2 or more"),
        (WalkOptions([1, 2, 3], grid=(2, 1)), "all the same number"),
        (WalkOptions([1, 2], seconds=0), "1 to"),
        (WalkOptions([1, 2], seconds=1e9), "1 to"),
        (WalkOptions([1, 2], seconds=float("nan")), "1 to"),
        (WalkOptions(range(2 * 99), grid=(99, 1)), "pixels wide or high"),
    ],
)
def test_ways_that_lead_nowhere_are_told(run, tmp_path, way, words):
    with pytest.raises(BadOption, match=words):
        list(walk(run, way, [tmp_path / "w.mp4"], scale=8, console=QUIET))
    assert not list(tmp_path.iterdir())


def test_grids_are_read():
    assert parse_grid("4x2") == (4, 2)
    for text in ("", "4", "0x2", "4x", "x", "-1x2", "100x1", "4x2x1"):
        with pytest.raises(BadOption, match="--grid"):
            parse_grid(text)

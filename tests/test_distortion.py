"""`--quality` leaves out the seeds whose faces look most distorted, and changes nothing else."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

import facesmith
from facesmith.distortion.distort import distort
from facesmith.distortion.scorer import distortion_scores
from facesmith.errors import BadOption
from facesmith.explore.sample import sample, sample_like
from facesmith.explore.walk import WalkOptions, walk
from facesmith.io.seeds import random_seeds
from facesmith.pictures.images import read_provenance, to_float, to_uint8

COUNT = 120


@pytest.fixture(scope="module")
def model():
    return facesmith.load()


def test_about_a_tenth_of_the_seeds_are_distorted_whatever_else_is_asked(model):
    distorted = model.distorted(range(COUNT))
    assert 0.03 * COUNT < distorted.sum() < 0.2 * COUNT
    some = [110, 3, 77]
    assert model.distorted(some).tolist() == distorted[some].tolist()


def test_distorted_faces_score_higher(model):
    """Faces of the model against the same faces with an artificial distortion."""
    faces = model.sample(range(128), psi=0.7)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        worse = to_uint8(distort(to_float(torch.from_numpy(faces))))
    assert np.mean(distortion_scores(worse.numpy())[:, None] > distortion_scores(faces)) > 0.8


@pytest.mark.parametrize("size", [32, 64, 128])
def test_distortions_keep_shape_and_range_and_change_every_picture(size):
    pictures = torch.rand(18, 3, size, size) * 2 - 1
    distorted = distort(pictures)
    assert distorted.shape == pictures.shape
    assert distorted.isfinite().all()
    assert (distorted - pictures).abs().amax((1, 2, 3)).min() > 0.01
    assert distort(torch.zeros(4, 3, size, size)).isfinite().all()  # no texture at all


def test_scores_do_not_depend_on_left_and_right_or_on_neighbors(model):
    faces = model.sample(range(8))
    scores = distortion_scores(faces)
    np.testing.assert_allclose(distortion_scores(faces[:, :, ::-1]), scores, atol=1e-4)
    np.testing.assert_allclose(distortion_scores(faces[3:4]), scores[3:4], atol=1e-4)


def test_sample_leaves_out_distorted_seeds_and_names_them(model, tmp_path):
    distorted = np.flatnonzero(model.distorted(range(64))).tolist()
    console = Console(file=io.StringIO(), width=1000)
    list(sample(lambda: model, range(64), tmp_path / "faces", quality=True, console=console))
    assert f"left out {len(distorted)} of 64 seeds" in console.file.getvalue()
    assert ", ".join(map(str, distorted)) in console.file.getvalue()
    files = sorted(path.name for path in (tmp_path / "faces").iterdir())
    assert files == [f"seed{seed:06d}.png" for seed in range(64) if seed not in distorted]
    kept = next(seed for seed in range(64) if seed not in distorted)
    file = tmp_path / "faces" / f"seed{kept:06d}.png"
    assert "Quality" in read_provenance(file)
    np.testing.assert_array_equal(np.asarray(Image.open(file)), model.sample([kept], watermark=True)[0])


def test_a_sheet_without_distorted_faces_can_be_drawn_again(model, tmp_path):
    sheet, again = tmp_path / "sheet.png", tmp_path / "again.png"
    list(sample(lambda: model, range(64), sheet, quality=True, console=Console(quiet=True)))
    list(sample_like(lambda: model, sheet, again, console=Console(quiet=True)))
    np.testing.assert_array_equal(np.asarray(Image.open(again)), np.asarray(Image.open(sheet)))


def test_nothing_is_drawn_if_all_faces_are_distorted(model, tmp_path):
    seed = int(np.flatnonzero(model.distorted(range(COUNT)))[0])
    with pytest.raises(BadOption, match="leaves out"):
        list(sample(lambda: model, [seed], tmp_path / "face.png", quality=True, console=Console(quiet=True)))
    assert not (tmp_path / "face.png").exists()


@pytest.mark.parametrize("named", [False, True])
def test_a_walk_visits_no_distorted_face(model, named, tmp_path):
    """Seeds that are named are left out; random ones are replaced."""
    seeds = random_seeds(40, 0)
    undistorted = [seed for seed in seeds if not model.distorted([seed])[0]]
    options = WalkOptions(seeds, seconds=0.1, fps=10, quality=True, n_faces=None if named else 30)
    list(walk(None, options, [tmp_path / "walk.gif"], scale=1, console=Console(quiet=True)))
    with Image.open(tmp_path / "walk.gif") as film:
        metadata = json.loads(film.info["comment"])
    assert json.loads(metadata["Seeds"]) == (undistorted if named else undistorted[:30])
    assert "Quality" in metadata


def test_no_seeds_give_no_answers(model):
    assert model.distorted([]).shape == (0,)

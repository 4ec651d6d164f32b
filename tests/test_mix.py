"""The mix verb: the sheet shows the terms and their sum."""

from __future__ import annotations

import numpy as np
import pytest
from small import saved_model

import facesmith
from facesmith.errors import BadOption, OutputExists
from facesmith.explore.mix import GAP_PX, mix
from facesmith.pictures.captions import GUTTER_PX
from facesmith.pictures.images import enlarge, read_picture, read_provenance


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("run"))


def cells(path, count, size_px):
    sheet = read_picture(path)
    lefts = [GUTTER_PX + i * (GUTTER_PX + size_px + GAP_PX) for i in range(count)]
    return np.stack([sheet[:size_px, left : left + size_px] for left in lefts])


def test_sheet_shows_terms_and_sum(run, tmp_path):
    faces = cells(mix(run, "29 - 3 + 34", tmp_path / "mix.png", scale=2, psi=0.9), 4, 32)
    model = facesmith.load(run)
    assert np.array_equal(faces[:3], enlarge(model.sample([29, 3, 34], psi=0.9), 2))
    a, b, c = model.latents([29, 3, 34]).astype(np.float64)
    total = a - b + c
    total *= np.sqrt(np.mean([each @ each for each in (a, b, c)]) / (total @ total))
    expected = enlarge(model.synthesize(total[None].astype(np.float32), psi=0.9)[0], 2)
    assert abs(faces[3].astype(int) - expected).max() <= 1


def test_plain_sum_is_another_face_and_metadata_says_so(run, tmp_path):
    rescaled, plain = (
        cells(mix(run, "29 + 3", tmp_path / f"{each}.png", scale=1, plain=each), 3, 16) for each in (False, True)
    )
    assert np.array_equal(rescaled[:2], plain[:2])
    assert not np.array_equal(rescaled[2], plain[2])
    assert read_provenance(tmp_path / "True.png")["Sum"] == "plain"
    metadata = read_provenance(tmp_path / "False.png")
    assert (metadata["Terms"], metadata["Recipe"], metadata["Sum"]) == (
        "29 + 3",
        "dcgan64",
        "rescaled to the norm of its terms",
    )


def test_long_sums_fill_several_rows(run, tmp_path):
    one, two = (read_picture(mix(run, "+".join(map(str, range(n))), tmp_path / f"{n}.png")) for n in (5, 12))
    assert two.shape[0] == 2 * one.shape[0] + GAP_PX


def test_wrong_options_are_refused_before_anything_is_written(run, tmp_path):
    for text, out in (("29 3", "a.png"), ("29", "a.jpg"), ("noface", "a.png")):
        with pytest.raises(BadOption):
            mix(run, text, tmp_path / out)
    assert not list(tmp_path.iterdir())
    path = mix(run, "29", tmp_path / "a.png")
    with pytest.raises(OutputExists):
        mix(run, "30", path)

"""What a run does by default: the resolution that fits the faces, and fine-tuning when there are few."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from small import QUIET, faces_folder

import facesmith
from facesmith.detection.align import DEFAULT_FRAME, Alignment
from facesmith.errors import BadData, BadOption
from facesmith.gan.list_recipes import describe_recipe
from facesmith.gan.recipe import LARGE, default_hyperparameters, make_recipe
from facesmith.modelfiles.checkpoint import load_model, read_header
from facesmith.modelfiles.locate import BUNDLED, bundled_model
from facesmith.modelfiles.run_folder import PLAN
from facesmith.recipes.quick import Quick
from facesmith.training.defaults_for_faces import FINETUNED_BY_DEFAULT, complete_options
from facesmith.training.plan import TrainOptions, read_plan
from facesmith.training.train import train

MANY, FEW = FINETUNED_BY_DEFAULT, FINETUNED_BY_DEFAULT - 1
BUNDLED_SIZE = read_header(None)["hyperparameters"]["resolution"]
OPTIONS = TrainOptions(None, Path("faces"), Path("run"), {})


def completed(sides, face_count, **changes):
    """The completed options of a new run, and the line for the user."""
    return complete_options(replace(OPTIONS, **changes), None, sides, face_count)


def test_large_images_have_defaults_of_their_own():
    large, small = make_recipe("quick", {"resolution": LARGE}), make_recipe("quick", {"resolution": LARGE // 2})
    for name, value in Quick.large_images.items():
        assert getattr(large, name) == value != getattr(small, name)
    assert make_recipe("quick", {"resolution": LARGE, "width": 24}).width == 24
    assert default_hyperparameters(large) == large.hyperparameters()
    assert default_hyperparameters(replace(small, width=24)) == small.hyperparameters()
    text = "\n".join(describe_recipe("quick"))
    assert f"channels at full resolution, doubled at each lower one; 16 from {LARGE} px on" in text


@pytest.mark.parametrize(
    ("sides", "resolution"),
    [
        ([128] * 20, 128),
        ([500, 3000], 128),
        ([128] * 18 + [127] * 2, 128),
        ([128] * 17 + [127] * 3, 64),
        ([127], 64),
        ([32], 64),  # opening the faces says that they are too small
        ([], 64),
    ],
)
@pytest.mark.parametrize("recipe", [None, "quick"])
def test_the_resolution_is_the_largest_that_nine_in_ten_faces_have(sides, resolution, recipe):
    options, output = completed(sides, MANY, recipe=recipe)
    assert options.hyperparameters == {"resolution": resolution}
    assert options.finetune_from is None
    assert not output


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": "dcgan64"},
        {"recipe": "quick", "hyperparameters": {"resolution": 32}},
        {"hyperparameters": {"resolution": 32}},
        {"finetune_from": Path("runs/first")},
        {"recipe": "dcgan64", "as_in_text": True},
    ],
)
@pytest.mark.parametrize("face_count", [MANY, 10])
def test_what_is_requested_stays(changes, face_count):
    assert completed([256] * 9, face_count, **changes)[0] == replace(OPTIONS, **changes)


def test_few_faces_fine_tune_the_bundled_generator():
    options, output = completed([BUNDLED_SIZE] * 9, FEW)
    assert options == replace(OPTIONS, finetune_from=BUNDLED)
    assert (
        f"{FEW} faces are fewer than 7,000, so this run fine-tunes the bundled generator. To train without it: "
        "--from-scratch" in output
    )
    gentle = {"lr": 1e-4, "batch_size": 8}
    assert completed([BUNDLED_SIZE] * 9, FEW, hyperparameters=gentle)[0].finetune_from == BUNDLED


@pytest.mark.parametrize(
    ("side", "changes", "notice"),
    [
        (BUNDLED_SIZE, {"from_scratch": True}, ""),
        (BUNDLED_SIZE, {"recipe": "quick"}, ""),
        (BUNDLED_SIZE, {"hyperparameters": {"width": 20}}, "do not fit the bundled generator"),
        (BUNDLED_SIZE, {"hyperparameters": {"condition": ("smiling",)}}, "do not fit the bundled generator"),
        (BUNDLED_SIZE - 1, {}, f"smaller than 128x128 pixels, so training .* extract PHOTOS --size {BUNDLED_SIZE}"),
    ],
)
def test_few_faces_are_trained_from_scratch(side, changes, notice):
    options, output = completed([side] * 9, FEW, **changes)
    assert options.finetune_from is None
    assert re.search(notice, output) if notice else not output


@pytest.mark.parametrize(
    ("frame", "fits"), [(None, True), (2.1, True), (2.45, True), (2.9, True), (2.0, False), (3.48, False)]
)
def test_few_faces_with_another_frame_are_trained_from_scratch(frame, fits):
    options, output = complete_options(OPTIONS, None, [BUNDLED_SIZE] * 9, FEW, frame)
    assert options.finetune_from == (BUNDLED if fits else None)
    assert ("facesmith extract PHOTOS --frame 2.45" in output) is not fits


def test_the_default_frame_of_extract_is_that_of_the_bundled_generator():
    eyes = facesmith.load().inverter.template.points[:2]
    assert 1 / (eyes[1, 0] - eyes[0, 0]) == pytest.approx(DEFAULT_FRAME, rel=0.02)
    np.testing.assert_allclose(eyes, Alignment(BUNDLED_SIZE).targets()[:2] / BUNDLED_SIZE, atol=0.01)


def test_without_a_bundled_generator_few_faces_are_trained_from_scratch(monkeypatch, tmp_path):
    monkeypatch.setattr("facesmith.modelfiles.locate.bundled_model", lambda: tmp_path / "none")
    assert completed([256], FEW)[0].hyperparameters == {"resolution": 128}


def test_a_run_on_few_faces_starts_from_the_bundled_generator_and_resumes(tmp_path):
    faces = faces_folder(tmp_path / "faces", 12, size_px=BUNDLED_SIZE)
    options = TrainOptions(None, faces, tmp_path / "run", {"batch_size": 2}, kimg=0.004, precision="float32", threads=1)
    output = StringIO()
    assert train(options, Console(file=output, width=500)).finished
    assert "12 faces are fewer than 7,000" in output.getvalue()
    assert "resemble them closely" in output.getvalue()
    assert load_model(options.out).header["finetuned_from"] == load_model(bundled_model()).hash
    assert train(replace(options, kimg=0.006, extend=True), QUIET).finished
    assert read_plan(options.out / PLAN).finetuned_from["model"] == "bundled"
    with pytest.raises(BadData, match="--from was bundled, now None"):
        train(replace(options, from_scratch=True), QUIET)


@pytest.mark.parametrize(("frame", "noticed"), [(2.45, False), (2.9, False), (3.48, True)])
def test_faces_with_another_frame_than_those_of_the_model_are_noticed(frame, noticed, tmp_path):
    faces, output = faces_folder(tmp_path / "faces", 12, size_px=32), StringIO()
    small = {"resolution": 32, "width": 4, "batch_size": 2}
    options = TrainOptions("quick", faces, tmp_path / "run", small, kimg=0.002, precision="float32", threads=1)
    (faces / "faces.json").write_text(json.dumps({"alignment": Alignment(32, 2.45).to_values()}))
    train(options, QUIET)
    (faces / "faces.json").write_text(json.dumps({"alignment": Alignment(32, frame).to_values()}))
    train(replace(options, out=tmp_path / "again", finetune_from=options.out), Console(file=output, width=500))
    notice = f"the faces have frame {frame:g} and those of the model 2.45"
    assert (notice in output.getvalue()) is noticed


def test_from_scratch_and_from_contradict():
    with pytest.raises(BadOption, match="--from-scratch starts from no model, but --from names bundled"):
        train(replace(OPTIONS, from_scratch=True, finetune_from=BUNDLED), QUIET)

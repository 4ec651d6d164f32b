"""`--as-in-text`: a recipe trains as the tutorial does that it reproduces."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from small import QUIET, SMALL, faces_folder
from typer.testing import CliRunner

from facesmith.cli import app
from facesmith.errors import BadData, BadOption
from facesmith.evaluation.reference import check_training_data
from facesmith.faces import open_faces
from facesmith.gan.list_recipes import describe_recipe
from facesmith.gan.recipe import make_recipe, parse_settings, recipes
from facesmith.gan.text import NOT_AVAILABLE, OPEN, SAME, Difference
from facesmith.modelfiles.checkpoint import load_model
from facesmith.report.write_report import write_report
from facesmith.training.as_in_text import save_interval, with_text
from facesmith.training.plan import TrainOptions, read_plan
from facesmith.training.train import train

TEXTS = {name: cls.text for name, cls in recipes().items() if cls.text is not None}
TITLES = {
    "DCGAN - Generate Faces",
    "Face Generation",
    "Face synthesis with GANs in PyTorch",
    "Generating Faces with Torch",
    "Generative adversarial nets 101",
}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return faces_folder(tmp_path_factory.mktemp("faces"))


def options_for(name, faces, out):
    return TrainOptions(name, faces, out, SMALL[name], kimg=0.04, precision="float32", threads=1, as_in_text=True)


def test_each_of_the_five_tutorials_has_a_recipe():
    assert {text.title for text in TEXTS.values()} == TITLES


@pytest.mark.parametrize("name", list(TEXTS))
def test_the_hyperparameters_of_a_text_are_valid_and_no_defaults(name):
    values = TEXTS[name].hyperparameters
    assert make_recipe(name, values).hyperparameters().items() >= values.items()
    defaults = make_recipe(name, {}).hyperparameters()
    assert all(defaults[key] != value for key, value in values.items())


@pytest.mark.parametrize("name", list(TEXTS))
def test_a_recipe_says_what_its_text_sets_and_what_differs(name):
    lines = list(describe_recipe(name))
    assert f"  {TEXTS[name].options()}" in lines
    assert TEXTS[name].differences
    for difference in TEXTS[name].differences:
        start = lines.index(f"  text  {difference.text}")
        assert lines[start + 1 : start + 3] == [f"  here  {difference.here}", f"  how   {difference.how}"]


@pytest.mark.parametrize("name", list(TEXTS))
def test_each_difference_has_an_option_that_exists_or_a_reason(name):
    hows = [difference.how for difference in TEXTS[name].differences]
    assert all("--" in how or how in (NOT_AVAILABLE, SAME, OPEN) for how in hows)
    settings = re.findall(r"--set (\S+)", " ".join(hows))
    make_recipe(name, parse_settings(name, settings))
    assert set(re.findall(r"--set (\S+)", TEXTS[name].options())) <= set(settings)


def test_the_reference_has_a_table_of_the_differences_of_each_text():
    page = (Path(__file__).parents[1] / "docs" / "reference" / "recipes.md").read_text(encoding="utf-8")
    _, *sections = re.split(r"^### ", page[: page.index("## Options")], flags=re.MULTILINE)
    tables = {}
    for section in sections:
        name, *lines = section.replace("`", "").splitlines()
        _, _, *rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("|")]
        tables[name] = [Difference(*row) for row in rows]
    assert tables == {name: list(text.differences) for name, text in TEXTS.items()}


def test_the_reference_lists_what_each_text_sets():
    page = (Path(__file__).parents[1] / "docs" / "reference" / "recipes.md").read_text(encoding="utf-8")
    table = page[page.index("| recipe | text |") : page.index("A model that was trained on all faces")]
    for name, text in TEXTS.items():
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `{name}` |")]
        assert f"`{text.options()}`" in row
        assert f"a checkpoint every {text.save_epochs}" in row or not text.save_epochs or text.save_epochs == 1


@pytest.mark.parametrize("name", ["dcgan64", "elu36", "vae64"])
def test_the_listed_options_give_the_same_model(name, tmp_path):
    data = faces_folder(tmp_path / "faces", 40, 36 if name == "elu36" else 16)
    settings = [word for key, value in SMALL[name].items() for word in ("--set", f"{key}={value}")]
    common = ["--threads", "1", "train", name, "--data", str(data), "--precision", "float32", *settings]
    texts = replace(TEXTS[name], epochs=2 if TEXTS[name].epochs else None, images_every=None).options()
    budget = ["--epochs", "2"] if TEXTS[name].epochs else ["--kimg", "0.04"]
    for words in ([*budget, "--as-in-text", "--out", "preset"], [*shlex.split(texts), *budget, "--out", "listed"]):
        words[-1] = str(tmp_path / words[-1])
        result = CliRunner().invoke(app, common + words)
        assert result.exit_code == 0, result.output
    models = [load_model(tmp_path / out) for out in ("preset", "listed")]
    assert models[0].hash == models[1].hash
    assert read_plan(tmp_path / "preset" / "run.json").as_in_text


def test_a_run_as_in_its_text_uses_all_faces_and_records_it(faces, tmp_path):
    options = options_for("dcgan64", faces, tmp_path / "run")
    train(options, QUIET)
    plan = read_plan(options.out / "run.json")
    assert (plan.mirror, plan.average, plan.hold_out, plan.as_in_text) == (False, False, False, True)
    assert plan.hyperparameters["init"] == "text"
    header = load_model(options.out).header
    assert header["split"]["counts"] == {"train": 40, "validation": 0, "test": 0}
    with pytest.raises(BadData, match="--as-in-text was True, now False"):
        train(replace(options, as_in_text=False), QUIET)
    write_report(options.out, None, pictures=False, force=False, console=QUIET)
    page = (options.out / "report.html").read_text(encoding="utf-8")
    assert "All faces were trained on." in page
    assert "train 40, validation 0, test 0" in page
    assert "--no-hold-out" in page
    data = open_faces(faces, 16)
    with pytest.raises(BadData, match="trained on all of these faces"):
        check_training_data(header, data, options.out)


def test_the_user_can_override_what_a_text_sets(faces, tmp_path):
    options = TrainOptions("elu36", faces, tmp_path, {"output": "tanh"}, as_in_text=True)
    resolved = with_text(options)
    assert resolved.hyperparameters == {"shared_batch": True, "output": "tanh"}
    assert resolved.epochs == 15_000
    assert with_text(replace(options, minutes=3)).epochs is None
    assert save_interval(resolved, epoch_images=100) == 100 * 100
    assert save_interval(replace(resolved, save_every_kimg=2), epoch_images=100) == 2000
    assert with_text(TrainOptions("gray-dcgan64", faces, tmp_path, {}, as_in_text=True)).keep_epochs == 5


def test_a_text_trains_in_float32_unless_another_precision_is_requested(faces, tmp_path):
    options = TrainOptions("dcgan32", faces, tmp_path, {}, as_in_text=True)
    assert with_text(options).precision == "float32"
    assert with_text(replace(options, precision="bfloat16")).precision == "bfloat16"
    assert with_text(replace(options, as_in_text=False)).precision == "auto"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "quick"}, "reproduces no tutorial.*dcgan64"),
        ({"recipe": None}, "quick reproduces no tutorial"),
        ({"recipe": "dcgan46"}, "did you mean"),
        ({"validate_every_kimg": 1.0}, "--as-in-text trains on all"),
        ({"as_in_text": False, "hold_out": False, "validate_every_kimg": 1.0}, "--no-hold-out trains on all"),
    ],
)
def test_impossible_combinations_are_refused(faces, tmp_path, change, message):
    options = replace(options_for("dcgan64", faces, tmp_path / "run"), **change)
    with pytest.raises(BadOption, match=message):
        train(options, QUIET)
    assert not options.out.exists()


@pytest.mark.parametrize("option", ["--mirror", "--average", "--hold-out"])
def test_what_the_text_decides_can_not_be_requested_as_well(faces, tmp_path, option):
    words = ["train", "dcgan64", "--as-in-text", option, "--data", str(faces), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, BadOption)
    assert f"decides about {option}; leave out one" in str(result.exception)


def test_a_text_does_not_fine_tune(faces, tmp_path):
    options = replace(options_for("dcgan64", faces, tmp_path / "run"), finetune_from=tmp_path)
    with pytest.raises(BadOption, match="from scratch"):
        with_text(options)

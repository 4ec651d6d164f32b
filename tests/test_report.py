"""The page of a run: complete, self-contained, true to the run, and made from what is left if something is missing."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from small import QUIET, SMALL, faces_folder
from test_html import Balanced

from facesmith import cli
from facesmith.errors import BadData, BadOption, OutputExists
from facesmith.faces import open_faces
from facesmith.faces.describe import contact_sheet
from facesmith.io import commands
from facesmith.modelfiles.run_folder import read_log
from facesmith.pictures.images import read_picture, write_png
from facesmith.report.read_run import limit_width
from facesmith.report.recipe_docstring import split_docstring
from facesmith.report.rerun_commands import is_exact, kimg_text, train_command
from facesmith.report.write_report import write_report
from facesmith.training.plan import TrainOptions, read_plan
from facesmith.training.train import train

RECIPES = ("dcgan64", "vaegan64", "vae64", "wgan-gp64")
MAX_BYTES = 10_000_000


def options_for(recipe, faces, out):
    budget = {"kimg": 0.12, "save_every_kimg": 0.04}
    return TrainOptions(recipe, faces, out, SMALL[recipe], **budget, device="cpu", precision="float32", threads=1)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return faces_folder(tmp_path_factory.mktemp("data") / "some faces", 60)


@pytest.fixture(scope="module")
def trained(faces, tmp_path_factory):
    """One short run of each recipe."""
    folder = tmp_path_factory.mktemp("runs")
    for recipe in RECIPES:
        train(options_for(recipe, faces, folder / recipe), QUIET)
    return folder


@pytest.fixture(scope="module")
def pages(trained, tmp_path_factory):
    """The page of each run."""
    folder = tmp_path_factory.mktemp("pages")
    return {recipe: page_of(trained / recipe, out=folder / f"{recipe}.html") for recipe in RECIPES}


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained / "dcgan64", tmp_path / "run")


def page_of(folder, **options):
    return write_report(folder, console=QUIET, **options).read_text(encoding="utf-8")


def pictures_in(text):
    """Every embedded picture by its description."""
    images = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)"', text)
    return [
        (html.unescape(label), np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))) for data, label in images
    ]


def commands_in(text):
    blocks = [html.unescape(block) for block in re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)]
    return [shlex.split(line) for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def headings_in(text):
    return re.findall(r"<(?:h2|summary)>(.*?)</", text)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_page_is_complete_and_self_contained(pages, recipe):
    text = pages[recipe]
    Balanced(text)
    assert len(text) < MAX_BYTES
    assert re.findall(r"(?:src|href)=\"(?!data:|#)|https?://|url\((?!#)|<script|<link|@import", text) == []
    for tag in re.findall(r"<(?:img|video|svg)[^>]*>", text):
        assert re.search(r"(?:alt|aria-label)=\"[^\"]+\"", tag), tag
    parts = re.findall(r"<(?:section|details)>.*?</(?:section|details)>", text, re.DOTALL)
    for part in parts:
        assert ("How to read this." in part) >= bool(re.search("<img|<video|<svg", part)), part[:80]
    assert sum("How to read this." in part for part in parts) >= 7
    assert "What is missing" not in text


def test_each_kind_of_recipe_has_its_own_figures(pages):
    for name, text in pages.items():
        assert (
            ("Discriminator scores" in headings_in(text))
            == ("Balance of the networks" in headings_in(text))
            == (name != "vae64")
        )
        assert ("Diagnosis" in headings_in(text)) == ("variety of generated faces" in text) == (name != "vae64")
        assert ("Reconstructions" in headings_in(text)) == name.startswith("vae")
        assert ("Two networks are trained against each other" in text) == (name != "vae64")
    assert "estimates the probability that it is real" in pages["dcgan64"]
    assert "only the order means anything" in pages["wgan-gp64"]
    assert "AUC: a real face scores above a fake" in pages["wgan-gp64"]


def test_it_shows_the_diagnosis_and_rollbacks(run):
    file = run / "log.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    collapsed = [{**lines[-1], "samples/variety": 0.0, "seen": 110 + n} for n in range(3)]
    rollback = {"seen": 40, "rolled_back_from": 80, "problems": "divergence"}
    file.write_text("".join(json.dumps(line) + "\n" for line in [lines[0], rollback, *lines[1:], *collapsed]))
    text = page_of(run)
    assert "Mode collapse: " in text
    assert "At 0.1 kimg (divergence) the run was rolled back to 0.0 kimg" in text


def test_it_shows_whether_the_discriminator_memorized_training_faces(run, pages):
    file, label = run / "log.jsonl", "training AUC: a training face scores above a held-out face"
    assert label not in pages["dcgan64"]  # too few faces
    overfitting = {"scores/training_auc": 0.7, "scores/faces": 500, "scores/held_out_faces": 100}
    lines = [json.loads(line) | overfitting for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = page_of(run)
    assert label in text
    assert "Overfitting: the discriminator memorizes its training faces" in text


def test_it_describes_the_run(run, pages):
    text = pages["dcgan64"]
    assert "dcgan64, trained on some faces" in text
    assert "0.1 of 0.12 kimg: finished" in text
    assert "Radford et al. 2016" in text
    assert "standard deviation 0.2, where text and paper say 0.02" in text
    plan = json.loads((run / "run.json").read_text())
    for name, value in plan["hyperparameters"].items():
        assert f"<td>{name}</td><td>{value}</td>" in text
    assert plan["fingerprint"][:16] in text
    assert "split</td><td>train" in text


def test_the_film_contains_every_save(pages):
    (data,) = re.findall(r'<video [^>]*src="data:video/mp4;base64,([^"]+)"', pages["dcgan64"])
    with av.open(io.BytesIO(base64.b64decode(data))) as film:
        assert len(list(film.decode(video=0))) == 3 + 16


def test_the_newest_sheet_is_shown(run, pages):
    shown = dict(pictures_in(pages["dcgan64"]))
    np.testing.assert_array_equal(
        shown["Generated faces of seeds 0 to 63 after 0.1 kimg"], read_picture(run / "samples.png")
    )
    assert {"0.0 kimg", "0.1 kimg"} <= shown.keys()


def test_the_commands_of_the_page_reproduce_the_run(run, tmp_path, monkeypatch):
    train_command, sample_command, walk_command, film_command = commands_in(page_of(run))
    assert train_command[:3] == ["facesmith", "train", "dcgan64"]
    assert walk_command[:2] == ["facesmith", "walk"]
    monkeypatch.chdir(tmp_path)
    for command in (train_command, sample_command, film_command):
        monkeypatch.setattr(sys, "argv", command)
        cli.main()
    again = run.with_name("run-again")
    assert (again / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert (again / "samples.png").read_bytes() == (run / "samples.png").read_bytes()
    assert (tmp_path / "faces.png").exists()
    assert (tmp_path / "progress.mp4").exists()


def test_the_page_promises_an_identical_model_only_if_nothing_was_adjusted(run):
    plan, log = read_plan(run / "run.json"), read_log(run / "log.jsonl")[0]
    assert is_exact(plan, log)
    assert "gives a byte-identical model" in page_of(run)
    for changed in ({"budget_request": {"minutes": 3.0}}, {"processes": 2}, {"device": "cuda"}, {"device": "mps"}):
        assert not is_exact(replace(plan, **changed), log)
    for term in ("budget", "threads"):
        assert not is_exact(plan, [{**log[0], term: 1 + log[0][term]}, *log[1:]])
    command = train_command(replace(plan, processes=2), plan.hyperparameters, run)
    assert command.startswith("torchrun --nproc-per-node 2 -m facesmith train dcgan64")


def test_the_command_repeats_on_trouble_and_validate_every(run):
    plan = read_plan(run / "run.json")
    assert "--on-trouble" not in train_command(plan, plan.hyperparameters, run)
    plan = replace(plan, on_trouble="rollback", validation={"kimg": 0.05, "every": 80, "samples": 64})
    arguments = shlex.split(train_command(plan, plan.hyperparameters, run).replace("\\\n", " "))
    assert arguments[arguments.index("--on-trouble") + 1] == "rollback"
    assert arguments[arguments.index("--validate-every") + 1] == "0.05"


def test_a_run_that_was_trained_on_a_gpu_is_not_called_reproducible(run):
    plan = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**plan, "device": "cuda"}))
    text = page_of(run)
    assert "because it trained on a GPU" in text
    assert "gives a byte-identical model" not in text


def test_commands_can_be_pasted_into_the_shells_of_windows(run, monkeypatch):
    monkeypatch.setattr(commands, "ON_WINDOWS", True)
    plan = replace(read_plan(run / "run.json"), data=r"C:\my photos\R&B")
    command = train_command(plan, {"condition": ("smiling", "male"), "width": 32}, run)
    assert "\n" not in command
    assert rf'--data "C:\my photos\R&B" --out {run} --kimg' in command
    assert command.endswith('--set "condition=smiling,male" --set width=32')
    assert commands.quoted(r"C:\faces\R&B") == r'"C:\faces\R&B"'
    assert commands.quoted(r"C:\faces") == r"C:\faces"


def test_the_current_folder_is_called_by_its_name(run, faces, monkeypatch):
    monkeypatch.chdir(run)
    train_command = commands_in(page_of(Path()))[0]
    assert train_command[train_command.index("--out") + 1] == f"{run}-again"
    plan = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**plan, "data": "."}))
    monkeypatch.chdir(faces)
    assert "dcgan64, trained on some faces" in page_of(run)


@given(st.integers(1, 10**10))
def test_a_budget_in_the_command_is_the_same_number_of_images(images):
    assert round(float(kimg_text(images)) * 1000) == images


@pytest.mark.parametrize("recipe", ["vaegan64", "dcgan64"])
def test_no_pictures_leaves_out_all_real_photos(trained, pages, faces, recipe, tmp_path):
    real = contact_sheet(open_faces(faces, 16))
    pairs = trained / recipe / "reconstructions.png"
    photos = [real, *([read_picture(pairs)] if pairs.exists() else [])]
    with_them = pictures_in(pages[recipe])
    without = pictures_in(page_of(trained / recipe, out=tmp_path / "page.html", pictures=False))

    def shows(pictures, photo):
        return any(picture.shape == photo.shape and (picture == photo).all() for _, picture in pictures)

    for photo in photos:
        assert shows(with_them, photo)
        assert not shows(without, photo)
    assert not any("Real faces" in label for label, _ in without)
    if recipe == "vaegan64":  # what was generated may stay
        newest = sorted((trained / recipe / "reconstructions").iterdir())[-1]
        assert shows(without, read_picture(newest))


def test_a_running_run_shows_the_time_left(run):
    lines = (run / "log.jsonl").read_text().splitlines()
    first, second = (json.loads(line) for line in lines[:2])
    second["seconds"] = first["seconds"] + 600
    (run / "log.jsonl").write_text(json.dumps(first) + "\n" + json.dumps(second) + "\n")
    assert "0.1 of 0.12 kimg, 67%; about 10 minutes left" in page_of(run)


def test_a_run_before_its_first_save_has_a_page(trained, tmp_path):
    (tmp_path / "new").mkdir()
    shutil.copy(trained / "dcgan64" / "run.json", tmp_path / "new")
    text = page_of(tmp_path / "new")
    assert "0.0 of 0.12 kimg, 0%" in text
    assert "drawn at the first checkpoint" in text
    assert "Data" in headings_in(text)
    assert "Balance of the networks" not in text


def corrupt(path):
    path.write_bytes(b"\x00corrupt" * 5)


@pytest.mark.parametrize(
    ("damage", "message", "still_there"),
    [
        (lambda run: corrupt(run / "run.json"), "t be used: ", "Balance of the networks"),
        (lambda run: corrupt(run / "model.safetensors"), "The model is not described", "Balance of the networks"),
        (lambda run: (run / "model.safetensors").unlink(), "The model is not described", "Balance of the networks"),
        (lambda run: (run / "log.jsonl").unlink(), "There are no curves", "Samples over time"),
        (lambda run: corrupt(run / "log.jsonl"), "Damaged lines of log.jsonl", "Samples over time"),
        (lambda run: corrupt(run / "samples" / "000000080.png"), "000000080.png is left out", "Samples over time"),
        (lambda run: shutil.rmtree(run / "samples"), "no generated faces yet", "Balance of the networks"),
        (lambda run: change_plan(run, recipe="dcgan65"), "There is no recipe", "Balance of the networks"),
        (lambda run: change_plan(run, data="/nowhere/at all"), "new path as --data", "Balance of the networks"),
    ],
)  # fmt: skip
def test_damaged_and_missing_parts_are_left_out_and_listed(run, damage, message, still_there):
    damage(run)
    text = page_of(run)
    assert "What is missing" in headings_in(text)
    assert message in text
    assert still_there in headings_in(text)


def change_plan(run, **change):
    plan = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**plan, **change}))


def test_changed_data_is_reported(run):
    change_plan(run, fingerprint="0" * 64)
    assert "has changed since the run started" in page_of(run)


def test_faces_that_have_moved_are_shown_from_their_new_path(run, faces):
    change_plan(run, data="/nowhere/at all")
    assert "Data" not in headings_in(page_of(run))
    text = page_of(run, data=faces)
    assert "Data" in headings_in(text)
    assert next(line for line in commands_in(text) if line[:2] == ["facesmith", "train"])[4] == str(faces)
    with pytest.raises(BadData, match="does not exist"):
        page_of(run, data=run / "nowhere")


def test_any_log_gives_a_page(run):
    hostile = '"><script>alert(1)</script>'
    odd = {
        "seen": 100, "seconds": "long", "D/loss": None, "G/loss": float("nan"), "D/accuracy_real": 1e308, hostile: 3.0,
        "lr/D": [1], "scores": {"low": 0}, "images_per_second": -1, "memory_mib": True,
    }  # fmt: skip
    with open(run / "log.jsonl", "a") as log:
        log.write(json.dumps(odd) + "\n" + json.dumps({"seen": 110, hostile: 1.0}) + "\n5\n[]\n" + "[" * 3000 + "\n")
    text = page_of(run)
    assert "Damaged lines of log.jsonl that are left out: 3." in text
    assert "<script" not in text
    assert "alert(1)" in text


@pytest.mark.parametrize("folder", ["nothing", "empty", "samples"])
def test_a_folder_without_a_run_gives_a_one_line_error(run, tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="Give a run folder") as refused:
        write_report({"samples": run / "samples"}.get(folder, tmp_path / folder), console=QUIET)
    assert "\n" not in str(refused.value)


def test_only_the_page_in_the_run_folder_is_replaced_without_force(run, tmp_path):
    assert write_report(run, console=QUIET) == write_report(run, console=QUIET) == run / "report.html"
    out = tmp_path / "page.html"
    write_report(run, out, console=QUIET)
    with pytest.raises(OutputExists):
        write_report(run, out, console=QUIET)
    write_report(run, out, force=True, console=QUIET)
    with pytest.raises(BadOption, match=r"\.html"):
        write_report(run, tmp_path / "page.pdf", console=QUIET)


def test_starting_over_removes_the_old_page(run, faces):
    write_report(run, console=Console(quiet=True))
    train(replace(options_for("dcgan64", faces, run), force=True), QUIET)
    assert not (run / "report.html").exists()


def test_a_docstring_is_split_into_its_parts():
    title, faults = split_docstring(
        "A recipe: with a colon.\n\nPaper:  one\n        and two.\nRun:    it\nWhat it does: much\nand more.\n\n"
        "Plain\nwords.\n\nFaults, and what\nwas changed:\n- first\n  goes on\n- second\n"
    )
    assert title.lines == ["A recipe: with a colon.", "Plain words."]
    assert title.rows == [("Paper", "one and two."), ("Run", "it"), ("What it does", "much and more.")]
    assert (faults.title, faults.bullets) == ("Faults, and what was changed", ["first goes on", "second"])
    assert split_docstring("")[0].lines == []


def test_page_shows_the_pictures_of_the_recipe(run):
    without = page_of(run)
    assert "Pictures of the recipe" not in without
    for seen in (8, 16):
        write_png(run / "shown" / f"{seen:09d}.png", np.full((8, 40, 3), 200, np.uint8), {})
    text = page_of(run)
    assert "Pictures of the recipe" in text
    assert len(pictures_in(text)) == len(pictures_in(without)) + 2


def test_limit_width_shrinks_wide_images_only():
    wide = np.zeros((30, 90, 3), np.uint8)
    wide[:, 45:] = 200
    smaller = limit_width(wide, 60)
    assert smaller.shape == (20, 60, 3)
    assert smaller[:, :25].max() == 0
    assert smaller[:, 35:].min() == 200
    assert limit_width(wide, 90) is wide

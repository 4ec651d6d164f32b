"""The page of a run: whole, by itself, true to the run, and made of what is left where something is missing."""

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
from facesmith.io.images import read_picture
from facesmith.report.recipe_docstring import paragraphs
from facesmith.report.rerun_commands import kimg_text, train_command
from facesmith.report.write_report import write_report
from facesmith.training.plan import TrainOptions, read_plan
from facesmith.training.train import train

RECIPES = ("dcgan64", "vaegan64", "vae64", "wgan-gp64")
MOST_BYTES = 10_000_000


def asked_for(recipe, faces, out):
    return TrainOptions(
        recipe, faces, out, SMALL[recipe], kimg=0.12, save_every_kimg=0.04, precision="float32", threads=1
    )


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return faces_folder(tmp_path_factory.mktemp("data") / "some faces", 60)


@pytest.fixture(scope="module")
def trained(faces, tmp_path_factory):
    """One short run of each recipe."""
    folder = tmp_path_factory.mktemp("runs")
    for recipe in RECIPES:
        train(asked_for(recipe, faces, folder / recipe), QUIET)
    return folder


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained / "dcgan64", tmp_path / "run")


def page_of(folder, **options):
    return write_report(folder, console=QUIET, **options).read_text(encoding="utf-8")


def pictures_in(text):
    """Every embedded picture by its description."""
    found = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)"', text)
    return [(html.unescape(label), np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))) for data, label in found]


def commands_in(text):
    blocks = [html.unescape(block) for block in re.findall(r"<pre>(.*?)</pre>", text, re.DOTALL)]
    return [shlex.split(line) for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def headings_in(text):
    return re.findall(r"<(?:h2|summary)>(.*?)</", text)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_page_is_whole_and_needs_nothing_else(trained, recipe, tmp_path):
    text = page_of(trained / recipe, out=tmp_path / "page.html")
    Balanced(text)
    assert len(text) < MOST_BYTES
    assert re.findall(r"(?:src|href)=\"(?!data:)|https?://|url\(|<script|<link|@import", text) == []
    for tag in re.findall(r"<(?:img|video|svg)[^>]*>", text):
        assert re.search(r"(?:alt|aria-label)=\"[^\"]+\"", tag), tag
    parts = re.findall(r"<(?:section|details)>.*?</(?:section|details)>", text, re.DOTALL)
    for part in parts:
        assert ("How to read this." in part) >= bool(re.search("<img|<video|<svg", part)), part[:80]
    assert sum("How to read this." in part for part in parts) >= 7
    assert "can&#x27;t show" not in text


def test_each_kind_of_recipe_has_its_figures(trained, tmp_path):
    held = {name: page_of(trained / name, out=tmp_path / f"{name}.html") for name in RECIPES}
    for name, text in held.items():
        assert ("What the critic says now" in text) == ("Who wins" in text) == (name != "vae64")
        assert ("What the doctor says" in text) == ("variety of the faces" in text) == (name != "vae64")
        assert ("What it can draw again" in text) == name.startswith("vae")
        assert ("Two networks play against each other" in text) == (name != "vae64")
    assert "how sure it is that they are real" in held["dcgan64"]
    assert "only the order means anything" in held["wgan-gp64"]
    assert "pairs in which the real face scores more" in held["wgan-gp64"]


def test_it_repeats_what_the_doctor_said(run):
    file = run / "log.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    alike = [{**lines[-1], "signs/variety": 0.0, "seen": 110 + n} for n in range(3)]
    returned = {"seen": 40, "rolled_back_from": 80, "problems": "divergence"}
    file.write_text("".join(json.dumps(line) + "\n" for line in [lines[0], returned, *lines[1:], *alike]))
    text = page_of(run)
    assert "Collapse: the faces are nearly all alike" in text or "Collapse: the faces repeat themselves" in text
    assert "At 0.1 kimg (divergence) it went back to 0.0 kimg" in text


def test_it_shows_whether_the_critic_knows_its_faces_by_heart(run):
    file, told = run / "log.jsonl", "scores a training face above an unseen one"
    assert told not in page_of(run)  # too few faces to tell
    known = {"scores/training_auc": 0.7, "scores/faces": 500, "scores/held_out_faces": 100}
    lines = [json.loads(line) | known for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = page_of(run)
    assert told in text
    assert "Overfitting: the critic knows its training faces by heart" in text


def test_it_tells_what_the_run_was(run):
    text = page_of(run)
    assert "dcgan64, trained on some faces" in text
    assert "0.1 of 0.12 kimg: finished" in text
    assert "Radford et al. 2016" in text
    assert "standard deviation 0.2, where text and paper say 0.02" in text
    plan = json.loads((run / "run.json").read_text())
    for name, value in plan["hyperparameters"].items():
        assert f"<td>{name}</td><td>{value}</td>" in text
    assert plan["fingerprint"][:16] in text
    assert "split</td><td>train" in text


def test_the_film_holds_every_save(run):
    (data,) = re.findall(r'<video [^>]*src="data:video/mp4;base64,([^"]+)"', page_of(run))
    with av.open(io.BytesIO(base64.b64decode(data))) as film:
        assert len(list(film.decode(video=0))) == 3 + 16


def test_the_newest_sheet_is_shown(run):
    shown = dict(pictures_in(page_of(run)))
    np.testing.assert_array_equal(
        shown["Generated faces of seeds 0 to 63 after 0.1 kimg"], read_picture(run / "samples.png")
    )
    assert {"0.0 kimg", "0.1 kimg"} <= shown.keys()


def test_the_commands_of_the_page_do_it_again(run, tmp_path, monkeypatch):
    train_words, sample_words, walk_words, film_words = commands_in(page_of(run))
    assert train_words[:3] == ["facesmith", "train", "dcgan64"]
    assert walk_words[:2] == ["facesmith", "walk"]
    monkeypatch.chdir(tmp_path)
    for words in (train_words, sample_words, film_words):
        monkeypatch.setattr(sys, "argv", words)
        cli.main()
    again = run.with_name("run-again")
    assert (again / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert (again / "samples.png").read_bytes() == (run / "samples.png").read_bytes()
    assert (tmp_path / "faces.png").exists()
    assert (tmp_path / "progress.mp4").exists()


def test_the_command_tells_what_was_to_be_done_about_trouble_and_when_to_look(run):
    plan = read_plan(run / "run.json")
    assert "--on-trouble" not in train_command(plan, plan.hyperparameters, run)
    asked = replace(plan, on_trouble="rollback", watch={"kimg": 0.05, "every": 80, "samples": 64})
    words = shlex.split(train_command(asked, asked.hyperparameters, run).replace("\\\n", " "))
    assert words[words.index("--on-trouble") + 1] == "rollback"
    assert words[words.index("--eval-every") + 1] == "0.05"


@given(st.integers(1, 10**10))
def test_a_budget_in_the_command_is_the_same_number_of_images(images):
    assert round(float(kimg_text(images)) * 1000) == images


@pytest.mark.parametrize("recipe", ["vaegan64", "dcgan64"])
def test_real_photos_are_left_out_when_asked(trained, faces, recipe, tmp_path):
    real = contact_sheet(open_faces(faces, 16))
    pairs = trained / recipe / "reconstructions.png"
    photos = [real, *([read_picture(pairs)] if pairs.exists() else [])]
    with_them, without = (
        pictures_in(page_of(trained / recipe, out=tmp_path / f"{pictures}.html", pictures=pictures))
        for pictures in (True, False)
    )

    def shows(pictures, photo):
        return any(picture.shape == photo.shape and (picture == photo).all() for _, picture in pictures)

    for photo in photos:
        assert shows(with_them, photo)
        assert not shows(without, photo)
    assert not any("Real faces" in label for label, _ in without)
    if recipe == "vaegan64":  # what was generated may stay
        newest = sorted((trained / recipe / "reconstructions").iterdir())[-1]
        assert shows(without, read_picture(newest))


def test_a_run_that_trains_tells_how_long_it_still_takes(run):
    lines = (run / "log.jsonl").read_text().splitlines()
    first, second = (json.loads(line) for line in lines[:2])
    second["seconds"] = first["seconds"] + 600
    (run / "log.jsonl").write_text(json.dumps(first) + "\n" + json.dumps(second) + "\n")
    assert "0.1 of 0.12 kimg, 67%; 10 minutes more at the speed of the last saves" in page_of(run)


def test_a_run_without_a_save_yet_has_a_page(trained, tmp_path):
    (tmp_path / "new").mkdir()
    shutil.copy(trained / "dcgan64" / "run.json", tmp_path / "new")
    text = page_of(tmp_path / "new")
    assert "0.0 of 0.12 kimg, 0%" in text
    assert "the first comes with the first save" in text
    assert "What it learns from" in text
    assert "Who wins" not in text


def spoil(path):
    path.write_bytes(b"\x00spoilt" * 5)


@pytest.mark.parametrize(
    ("damage", "told", "still_there"),
    [
        (lambda run: spoil(run / "run.json"), "run.json can&#x27;t be read", "Who wins"),
        (lambda run: spoil(run / "model.safetensors"), "Nothing is told of the model", "Who wins"),
        (lambda run: (run / "model.safetensors").unlink(), "Nothing is told of the model", "Who wins"),
        (lambda run: (run / "log.jsonl").unlink(), "no curves", "How it learnt to"),
        (lambda run: spoil(run / "log.jsonl"), "1 lines of log.jsonl are damaged", "How it learnt to"),
        (lambda run: spoil(run / "samples" / "000000080.png"), "000000080.png is left out", "How it learnt to"),
        (lambda run: shutil.rmtree(run / "samples"), "no sheets of generated faces", "Who wins"),
        (lambda run: change_plan(run, recipe="dcgan65"), "There is no recipe", "Who wins"),
        (lambda run: change_plan(run, data="/nowhere/at all"), "be opened any more: /nowhere/at all", "Who wins"),
    ],
)  # fmt: skip
def test_what_is_damaged_or_gone_is_left_out_and_told(run, damage, told, still_there):
    damage(run)
    text = page_of(run)
    assert "What this page can&#x27;t show" in text
    assert told in text
    assert still_there in headings_in(text)


def change_plan(run, **change):
    plan = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**plan, **change}))


def test_data_that_has_changed_is_told(run):
    change_plan(run, fingerprint="0" * 64)
    assert "has changed since the run began" in page_of(run)


def test_whatever_a_log_holds_gives_a_page(run):
    hostile = '"><script>alert(1)</script>'
    odd = {
        "seen": 100, "seconds": "long", "D/loss": None, "G/loss": float("nan"), "D/accuracy_real": 1e308, hostile: 3.0,
        "lr/D": [1], "scores": {"low": 0}, "images_per_second": -1, "memory_mib": True,
    }  # fmt: skip
    with open(run / "log.jsonl", "a") as log:
        log.write(json.dumps(odd) + "\n" + json.dumps({"seen": 110, hostile: 1.0}) + "\n5\n[]\n" + "[" * 3000 + "\n")
    text = page_of(run)
    assert "3 lines of log.jsonl are damaged" in text
    assert "<script" not in text
    assert "alert(1)" in text


@pytest.mark.parametrize("folder", ["nothing", "empty", "samples"])
def test_what_is_no_run_is_refused_in_one_line(run, tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="Give a run folder") as refused:
        write_report({"samples": run / "samples"}.get(folder, tmp_path / folder), console=QUIET)
    assert "\n" not in str(refused.value)


def test_the_runs_own_page_is_renewed_and_others_are_not_replaced_unasked(run, tmp_path):
    assert write_report(run, console=QUIET) == write_report(run, console=QUIET) == run / "report.html"
    out = tmp_path / "page.html"
    write_report(run, out, console=QUIET)
    with pytest.raises(OutputExists):
        write_report(run, out, console=QUIET)
    write_report(run, out, force=True, console=QUIET)
    with pytest.raises(BadOption, match=r"\.html"):
        write_report(run, tmp_path / "page.pdf", console=QUIET)


def test_starting_over_removes_the_page_of_the_run_before(run, faces):
    write_report(run, console=Console(quiet=True))
    train(replace(asked_for("dcgan64", faces, run), force=True), QUIET)
    assert not (run / "report.html").exists()


def test_a_docstring_falls_into_its_parts():
    title, faults = paragraphs(
        "A recipe: with a colon.\n\nPaper:  one\n        and two.\nRun:    it\nWhat it does: much\nand more.\n\n"
        "Plain\nwords.\n\nFaults, and what\nstands here instead:\n- first\n  goes on\n- second\n"
    )
    assert title.lines == ["A recipe: with a colon.", "Plain words."]
    assert title.rows == [("Paper", "one and two."), ("Run", "it"), ("What it does", "much and more.")]
    assert (faults.title, faults.bullets) == ("Faults, and what stands here instead", ["first goes on", "second"])
    assert paragraphs("")[0].lines == []

"""The pages "If you come from ..." run: each command, with tiny networks and budgets, on procedural faces."""

from __future__ import annotations

import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from small import SMALL
from typer.testing import CliRunner

from facesmith.cli import app
from facesmith.procedural import write_faces

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
PAGES = sorted(TUTORIALS.glob("from-*.md"))
COMMAND = re.compile(r"^ {4}facesmith (.+)$", re.MULTILINE)
FACES, FACE_PX = 80, 128
BUDGETS = ("--kimg", "--minutes", "--epochs", "--save-every")  # replaced by a tiny one
EPOCHS = {"gray-dcgan64": 1, "elu36": 3}  # a page names networks that are kept after this many; otherwise 5
LAST_KEPT, FIRST_KEPT = "epoch0096", "epoch0001"  # the only one after so few epochs
FEWER_STEPS = {"gray-dcgan64": {"d_steps": 1}}
QUICK_WALK = ("--seconds", "0.4", "--fps", "10")


def commands_of(page):
    commands = (shlex.split(line) for line in COMMAND.findall(page.read_text(encoding="utf-8")))
    return [words for words in commands if words != ["info"]]  # it measures the machine, which takes long


def shrunken(words):
    """A command with a tiny budget and tiny networks; for training, the added settings override those of the page."""
    if words[0] == "walk":
        return [*words, *QUICK_WALK]
    if words[0] == "extract" and "--crop" not in words:  # finds few faces; other commands use those of the workspace
        return [*words[:-1], "extracted"]
    if words[0] == "train-inverter":
        return [*words, "--kimg", "0.032"]
    if words[0] != "train":
        return [word.replace(LAST_KEPT, FIRST_KEPT) for word in words]
    kept = [word for i, word in enumerate(words) if word not in BUDGETS and (i == 0 or words[i - 1] not in BUDGETS)]
    values = {**SMALL[words[1]], **FEWER_STEPS.get(words[1], {})}
    settings = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    tiny = ["--epochs", str(EPOCHS.get(words[1], 5)), "--precision", "float32"]
    return ["--threads", "1", *kept, *settings, *tiny]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """What the pages assume: folders of faces and of photos, Labeled Faces in the Wild, and a photo."""
    from skimage.data import astronaut

    labeled = write_faces(tmp_path / "labeled", FACES, FACE_PX)
    shutil.make_archive(str(tmp_path / "lfw"), "zip", labeled)
    (tmp_path / "photos").mkdir()
    for name in ("me.jpg", "photos/me.jpg"):
        Image.fromarray(astronaut()).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return labeled


def test_there_is_a_page_for_each_tutorial():
    assert len(PAGES) == 5
    assert all(commands_of(page) for page in PAGES)


def test_the_layers_that_the_gray_page_shows_are_those_that_its_code_prints(capsys):
    page = (TUTORIALS / "from-face-synthesis-gray.md").read_text(encoding="utf-8")
    code, layers = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL).groups()
    exec(compile(code, "snippet", "exec"), {})
    assert capsys.readouterr().out == layers


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_all_commands_of_a_page_run(page, workspace):
    commands = commands_of(page)
    if not any("--crop" in words for words in commands):
        workspace.rename("faces")
    outputs = []
    for words in commands:
        result = CliRunner().invoke(app, shrunken(words))
        assert result.exit_code == 0, f"facesmith {shlex.join(words)}\n{result.output}"
        outputs += [Path(after) for option, after in pairwise(words) if option in ("--out", "--sheet")]
    assert all(path.exists() for path in outputs if path != Path("extracted"))

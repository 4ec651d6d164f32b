"""The docs are current: help texts, links, commands, and the version."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

import facesmith
from facesmith.cli import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TOLD = r"^ {4}(?:\.venv/bin/)?facesmith (.+)$|`facesmith ([^`]+)`"
COMMANDS = typer.main.get_command(app).commands


def script():
    spec = importlib.util.spec_from_file_location("update_help", ROOT / "docs" / "update_help.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told_commands():
    for page in PAGES:
        for line in re.findall(TOLD, page.read_text(), re.MULTILINE):
            text = (line[0] or line[1]).split("   #")[0].split("  #")[0]
            yield pytest.param(shlex.split(text.replace("…", "")), id=f"{page.name}: {text}")


def test_help_texts_are_current():
    renewed = script().renewed
    texts = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
    stale = [name for name, text in texts.items() if renewed(text) != text]
    assert not stale, "run: python docs/update_help.py"


def test_every_verb_has_its_page_with_its_help():
    for verb in COMMANDS:
        assert f"<!-- help: facesmith {verb} -->" in (ROOT / "docs" / f"{verb}.md").read_text()
        assert f"({verb}.md)" in (ROOT / "docs" / "index.md").read_text() or verb == "recipes"


@pytest.mark.parametrize("words", list(told_commands()))
def test_commands_told_in_the_docs_exist(words):
    verb, *rest = [word for word in words if word not in ("--quiet",)]
    if verb.startswith("-"):
        return
    assert verb in COMMANDS
    known = {name for parameter in COMMANDS[verb].params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.split("=")[0] for word in rest if word.startswith("--")} <= known | {"--help", "--threads"}


def test_edits_told_of_the_shipped_generator_are_among_its_directions():
    text = "\n".join([*(page.read_text() for page in PAGES), *(command.help or "" for command in COMMANDS.values())])
    commands = re.findall(r"facesmith (?:edit|invert) .*--edit .*", text)
    edits = {name for line in commands if "--model" not in line for name in re.findall(r"--edit (\w+)=", line)}
    assert "smiling" in edits
    assert edits <= set(facesmith.load().directions)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_recipe_is_told_of():
    from facesmith.gan.recipe import recipes

    told = (ROOT / "docs" / "recipes.md").read_text()
    assert all(f"`{name}`" in told for name in recipes() if not name.startswith("test-"))


def test_the_version_is_one():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == facesmith.__version__
    assert f"## {facesmith.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_lock_and_ranges_name_the_same_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [each for names in project["optional-dependencies"].values() for each in names]
    wanted = {re.split(r"[<>=\[ ]", each)[0].lower() for each in (*project["dependencies"], *extras)} - {"facesmith"}
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = {line.split("==")[0].lower() for line in lines if "==" in line}
    assert wanted <= locked

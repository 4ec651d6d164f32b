"""The documentation is current: help texts, links, commands, Python snippets, notebooks, versions."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shlex
import shutil
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from PIL import Image

import facesmith
from facesmith.cli import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))
COMMANDS = typer.main.get_command(app).commands
START = r"(?:\.venv/bin/|(?:[^\n`]* )?-m |docker run [^\n`]* )?"  # of commands that end in one of facesmith
COMMAND_LINE = rf"^ *{START}facesmith (.+)$|`{START}facesmith ([^`]+)`"
SCRIPT_LINE = r"python ((?:benchmarks|tools)/\w+\.py)([^`\n]*)"
EARLIER_SCRIPTS = {"tools/cut_fairface.py"}  # of an earlier commit, which the page names
HELP_BLOCK = r"<!-- help: .*?```\n.*?```\n"
SNIPPET = r"(?:<!-- snippet: (?P<mark>\w+)[^>]*-->\n+)?^```python\n(?P<code>.*?)^```"
LINE_WIDTH = 100
LONG, SHORT = "kimg=15", "kimg=0.4"  # how long a notebook trains, as stored and in the tests


def name_of(page):
    return str(page.relative_to(ROOT))


def script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prose(page):
    """A page's text without code blocks, so that comments in them are no headings and arrays no links."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def documented_lines(pattern):
    """What a pattern finds in each page; a line that is continued on the next one counts as one line."""
    for page in PAGES:
        if page.name != "CHANGELOG.md":  # it names old commands
            text = page.read_text(encoding="utf-8").replace("\\\n", " ")
            yield from ((page, match) for match in re.findall(pattern, text, re.MULTILINE))


def documented_commands():
    for page, match in documented_lines(COMMAND_LINE):
        text = (match[0] or match[1]).split("   #")[0].split("  #")[0]
        yield pytest.param(shlex.split(text.replace("…", "").replace("...", "")), id=f"{name_of(page)}: {text}")


def snippets():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for number, match in enumerate(re.finditer(SNIPPET, text, re.DOTALL | re.MULTILINE)):
            if match["mark"] != "skip":
                slow = [pytest.mark.slow] if match["mark"] == "slow" else []
                yield pytest.param(match["code"], id=f"{name_of(page)}-{number}", marks=slow)


def test_help_texts_are_current():
    updated = script(ROOT / "tools" / "update_help.py").updated
    texts = {name_of(page): page.read_text(encoding="utf-8") for page in PAGES}
    outdated = [name for name, text in texts.items() if updated(text) != text]
    assert not outdated, "run: python tools/update_help.py"


def test_every_command_has_its_reference_page_with_its_help():
    overview = (DOCS / "reference" / "index.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        page = (DOCS / "reference" / f"{command}.md").read_text(encoding="utf-8")
        assert f"<!-- help: facesmith {command} -->" in page
        assert f"({command}.md)" in overview


@pytest.mark.parametrize("words", list(documented_commands()))
def test_commands_in_the_docs_exist(words):
    command, *rest = [word for word in words if word not in ("--quiet",)]
    if command.startswith("-"):
        return
    assert command in COMMANDS
    known = {name for parameter in COMMANDS[command].params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.split("=")[0] for word in rest if word.startswith("--")} <= known | {"--help", "--threads"}


def test_commands_of_other_programs_that_start_facesmith_are_among_those_that_are_checked():
    texts = " ".join(parameter.id for parameter in documented_commands())
    assert "scale.md: train --data faces --out runs/two" in texts
    assert "scale.md: train --data faces --out runs/big --kimg 500" in texts
    assert "open-the-studio-from-another-machine.md: studio --host 0.0.0.0 --no-browser" in texts


def test_scripts_and_their_options_in_the_docs_exist():
    calls = list(documented_lines(SCRIPT_LINE))
    assert any("--" in options for _, (_, options) in calls)
    for page, (name, options) in calls:
        if name in EARLIER_SCRIPTS:
            continue
        source = (ROOT / name).read_text(encoding="utf-8")
        missing = [option for option in re.findall(r"--[\w-]+", options) if f'"{option}"' not in source]
        assert not missing, f"{name_of(page)}: {name}"


def test_hyperparameters_in_the_docs_exist():
    from facesmith.gan.recipe import DEFAULT_RECIPE, make_recipe

    for words in (parameter.values[0] for parameter in documented_commands()):
        if words[0] == "train":
            recipe = words[1] if words[1:] and not words[1].startswith("-") else DEFAULT_RECIPE
            settings = [after for option, after in pairwise(words) if option == "--set"]
            assert {setting.partition("=")[0] for setting in settings} <= set(make_recipe(recipe, {}).hyperparameters())


def test_edits_of_the_bundled_generator_in_the_docs_are_among_its_directions():
    text = "\n".join([*(page.read_text() for page in PAGES), *(command.help or "" for command in COMMANDS.values())])
    commands = re.findall(r"facesmith (?:edit|invert) .*--edit .*", text)
    edits = {name for line in commands if "--model" not in line for name in re.findall(r"--edit (\w+)=", line)}
    assert "smiling" in edits
    assert edits <= set(facesmith.load().directions)


def anchors(page):
    """The anchors of a page's headings, as mkdocs and GitHub make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", heading)
        found.add(re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower()))
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    text = prose(page)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    for link in links:
        if link.startswith("http"):
            continue
        target, _, anchor = link.partition("#")
        file = page.parent / target if target else page
        if file == DOCS / "how-to" / "faces.html":
            continue  # tools/docs_page.py makes it with the site
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_prose_is_wrapped(page):
    text = re.sub(HELP_BLOCK, "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = prose_lines(text)
    too_long = [line for line in lines if len(line) > LINE_WIDTH and "](" not in line]
    assert not too_long


def prose_lines(text):
    in_code = False
    for line in text.splitlines():
        if line.startswith("```"):
            in_code = not in_code
        elif not in_code and not line.startswith(("|", "    ", "!", ":::", "<")):
            yield line


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """What the snippets assume: a photo, and a run folder with the bundled generator."""
    from skimage.data import astronaut

    from facesmith.modelfiles.locate import bundled_model

    folder = tmp_path_factory.mktemp("workspace")
    (folder / "photos").mkdir()
    for name in ("me.jpg", "photos/me.jpg"):
        Image.fromarray(astronaut()).save(folder / name)
    shutil.copytree(bundled_model().parent, folder / "runs" / "first")
    (folder / "runs" / "first" / "log.jsonl").write_text('{"seen": 1000, "samples/distance": 0.1}\n')
    return folder


@pytest.mark.parametrize("code", list(snippets()))
def test_python_snippets_run(code, workspace, monkeypatch):
    monkeypatch.chdir(workspace)
    exec(compile(code, "snippet", "exec"), {"__name__": "snippet"})


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_notebooks_are_executed_and_use_public_names_only(notebook):
    cells = [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [out for cell in cells for out in cell["outputs"] if out["output_type"] == "error"]
    for node in ast.walk(ast.parse("\n".join("".join(cell["source"]) for cell in cells))):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("facesmith")
        elif isinstance(node, ast.Import):
            assert not [alias.name for alias in node.names if alias.name.startswith("facesmith.")]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "facesmith":
            assert node.attr in facesmith.__all__


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_notebooks_run(notebook, tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    text = notebook.read_text(encoding="utf-8").replace(LONG, SHORT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    NotebookClient(nbformat.reads(text, 4), timeout=280, resources={"metadata": {"path": str(tmp_path)}}).execute()


def test_every_recipe_is_described():
    from facesmith.gan.recipe import recipes

    for page in ("reference/recipes.md", "how-to/choose-a-recipe.md", "research/recipes-compared.md"):
        text = (DOCS / page).read_text(encoding="utf-8")
        assert all(f"`{name}`" in text for name in recipes() if not name.startswith("test-")), page


def test_every_diagnosis_is_described():
    source = (ROOT / "src" / "facesmith" / "training" / "diagnosis.py").read_text(encoding="utf-8")
    names = set(re.findall(r'Problem\(\s*"([^"]+)"', source))
    assert names
    for page in ("how-to/read-and-fix-a-run.md", "background/how-training-fails.md"):
        assert names <= set(re.findall(r"^\| ([a-z ]+) \|", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE))


def test_log_keys_in_the_docs_exist():
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "facesmith").rglob("*.py"))
    for page in DOCS.rglob("*.md"):
        for key in re.findall(r"`((?:D|G|samples|scores|validation)/[a-z_]+)`", page.read_text(encoding="utf-8")):
            assert f'"{key}"' in source, f"{name_of(page)}: {key}"


@pytest.mark.parametrize("path", sorted([*ROOT.glob("tools/*.py"), *ROOT.glob("benchmarks/*.py")]), ids=name_of)
def test_scripts_can_be_imported(path):
    assert script(path).__doc__


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.relative_to(DOCS) for path in (*DOCS.rglob("*.md"), *NOTEBOOKS)]
    assert not [page for page in pages if f" {page}\n" not in navigation]


def test_the_version_is_one():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == facesmith.__version__
    assert f"## {facesmith.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_lock_and_ranges_name_the_same_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [each for names in project["optional-dependencies"].values() for each in names]
    required = {re.split(r"[<>=\[ ]", each)[0].lower() for each in (*project["dependencies"], *extras)} - {"facesmith"}
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    locked = {line.split("==")[0].lower() for line in lines if "==" in line}
    assert required <= locked

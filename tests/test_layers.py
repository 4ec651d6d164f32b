"""The package's structure: folders import only from lower layers, and public names are complete and lazy."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import facesmith

SOURCE = Path(facesmith.__file__).parent

TABLE_ROW = re.compile(r"^\| ((?:`[a-z_]+(?:/|\.py)`(?:, )?)+) \|", re.MULTILINE)


def layers():
    """The rows of the table in docs/architecture.md, from the lowest layer to the highest.

    A folder, or a module at the root, may import from itself and from lower layers, but not from others of its own.
    """
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [re.findall(r"`([a-z_]+)(?:/|\.py)`", row) for row in TABLE_ROW.findall(page)]
    return [*reversed(rows), ["__main__"]]


LAYER = {name: number for number, names in enumerate(layers()) for name in names}


def modules():
    return sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def folder_of(path):
    """The top-level folder of a module, or its own name if it is at the root."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path):
    """The folders and root modules of Facesmith that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "facesmith":
            parts = node.module.split(".")[1:]
            yield from [parts[0]] if parts else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("facesmith."))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_come_from_lower_layers(path):
    own = folder_of(path)
    assert own in LAYER, f"{own} is missing in the table of docs/architecture.md"
    for other in set(imports(path)) - {own, "__version__"}:
        assert LAYER[other] < LAYER[own], f"{own} imports {other}, which is not in a lower layer"


def test_the_table_of_the_architecture_lists_exactly_the_folders_that_exist():
    assert set(LAYER) == {folder_of(path) for path in modules()}


def test_public_names_are_complete_and_lazy():
    for name in facesmith.__all__:
        assert getattr(facesmith, name) is not None
    assert set(facesmith.__all__) - {"__version__"} == set(facesmith._HOMES)
    with pytest.raises(AttributeError, match="no attribute"):
        facesmith.nothing  # noqa: B018
    loaded = "import sys, facesmith, facesmith.cli; print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


def test_modules_do_no_work_on_import():
    for path in modules():
        if path.name == "__main__.py":
            continue
        for node in ast.parse(path.read_text()).body:
            call = node.value if isinstance(node, ast.Expr) else None
            assert not isinstance(call, ast.Call), f"{path.name}:{node.lineno} calls a function on import"


def test_no_module_is_too_long_to_read():
    lengths = {path.name: len(path.read_text().splitlines()) for path in modules()}
    assert {name for name, lines in lengths.items() if lines > 420} == set()


def test_module_names_are_unique():
    """A name can be searched for. Only the command line repeats the names of the folders that it calls."""
    names = [path.name for path in modules() if path.name != "__init__.py" and "cli" not in path.parts]
    assert len(names) == len(set(names))

"""The structure that docs/architecture.md describes: imports point down, and public names are complete."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import facesmith

SOURCE = Path(facesmith.__file__).parent

# Folders, and modules at the root, from the bottom up. Each may import from itself and from the layers above it in this
# list: no two folders of one layer know each other.
LAYERS = (
    ("errors",),
    ("device", "io"),
    ("photos", "procedural"),
    ("faces",),
    ("attributes", "metrics"),
    ("gan",),
    ("modelfiles", "nets"),
    ("latent", "recipes"),
    ("training",),
    ("inversion", "report", "card"),
    ("model",),
    ("directions", "evaluation", "explore", "export"),
    ("api",),
    ("demo", "info", "studio"),
    ("cli",),
    ("__main__",),
)
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}


def modules():
    return sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def top_of(path):
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
def test_imports_point_down(path):
    own = top_of(path)
    assert own in HEIGHT, f"{own} has no layer: add it to LAYERS"
    for other in set(imports(path)) - {own, "__version__"}:
        assert HEIGHT[other] < HEIGHT[own], f"{own} imports {other}, which is not below it"


def test_every_layer_named_exists():
    assert set(HEIGHT) == {top_of(path) for path in modules()}


def test_public_names_are_complete_and_lazy():
    for name in facesmith.__all__:
        assert getattr(facesmith, name) is not None
    assert set(facesmith.__all__) - {"__version__"} == set(facesmith._HOMES)
    with pytest.raises(AttributeError, match="no attribute"):
        facesmith.nothing  # noqa: B018
    loaded = "import sys, facesmith, facesmith.cli; print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


def test_modules_do_no_work_at_import():
    for path in modules():
        if path.name == "__main__.py":
            continue
        for node in ast.parse(path.read_text()).body:
            call = node.value if isinstance(node, ast.Expr) else None
            assert not isinstance(call, ast.Call), f"{path.name}:{node.lineno} calls something at import"


def test_no_module_is_too_long_to_read():
    lengths = {path.name: len(path.read_text().splitlines()) for path in modules()}
    assert {name for name, lines in lengths.items() if lines > 420} == set()

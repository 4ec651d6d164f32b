"""Join JavaScript modules to one script, since a page that is a single file can't import any."""

from __future__ import annotations

import re
from pathlib import Path

import facesmith

PAGE = Path(__file__).parent / "page"
STUDIO_PAGE = Path(facesmith.__file__).parent / "studio" / "page"  # the page shares its style and some modules
IMPORT = re.compile(r"^import (?P<names>\{[^}]*\}) from '\./(?P<file>[\w.]+)';$", re.MULTILINE)
EXPORT = re.compile(
    r"^export (?=(?:async )?(?:const|class|function) (?:(?P<name>\w+)|\{(?P<names>[^}]*)\}))", re.MULTILINE
)


def joined(first: str) -> str:
    """A module and all that it imports as one script, in which each module is a function that returns its exports.

    Modules use named imports and exports only, and no two import each other.

    Args:
        first: file name of a module in `page`, or in the studio's page.
    """
    modules: dict[str, str] = {}
    _collect(first, modules)
    return "'use strict';\n{\nconst modules = {};\n" + "".join(modules.values()) + "}\n"


def read(name: str) -> str:
    """The text of a file in `page`, or in the studio's page."""
    own = PAGE / name
    return (own if own.exists() else STUDIO_PAGE / name).read_text(encoding="utf-8")


def _collect(name: str, modules: dict[str, str]) -> None:
    text = read(name)
    for match in IMPORT.finditer(text):
        if match["file"] not in modules:
            _collect(match["file"], modules)
    exports = ", ".join(match["name"] or match["names"].strip() for match in EXPORT.finditer(text))
    text = IMPORT.sub(r"const \g<names> = modules['\g<file>'];", EXPORT.sub("", text))
    assert not re.search(r"^(import|export)\b", text, re.MULTILINE), f"{name} has an import or export of another form"
    modules[name] = f"modules['{name}'] = (() => {{\n{text}return {{ {exports} }};\n}})();\n"

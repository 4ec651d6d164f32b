"""Suggests an existing path for one that does not exist."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from facesmith.io.messages import printable_name

ESCAPED = re.compile(r"\\(?=[^\w/])")  # a backslash that a shell needs, but not between quotes
DRIVE = re.compile(r"([A-Za-z]):[\\/]")
QUOTES = "'\"`\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}\N{LEFT DOUBLE QUOTATION MARK}" + (
    "\N{RIGHT DOUBLE QUOTATION MARK}"
)
MAX_ENTRIES = 10_000  # of a folder that is searched for a similar name


def suggest_path(path: Path) -> str:
    """A sentence with the existing path that was probably meant, to append to a message.

    Empty if there is none, or if `path` exists.
    """
    if os.path.lexists(path):
        return ""
    for text in _candidates(str(path)):
        try:
            if text and os.path.lexists(text):
                return f" Did you mean {printable_name(text)}?"
        except (OSError, ValueError):
            continue
    return ""


def _candidates(text: str) -> Iterator[str]:
    """The paths that a text may mean: without quotes, with ~ and variables expanded, of Windows, or misspelled."""
    plain = text.strip().strip(QUOTES).strip()
    expanded = os.path.expanduser(os.path.expandvars(plain))  # noqa: PTH111 (Path.expanduser fails for unknown users)
    for form in (plain, expanded):
        slashes = form.replace("\\", "/")
        yield from (form, ESCAPED.sub("", form), slashes)
        if drive := DRIVE.match(form):
            rest = f"{drive[1].lower()}/{slashes[3:]}"
            yield from (f"/mnt/{rest}", f"/{rest}")
    yield from _similar(Path(expanded))


def _similar(path: Path) -> Iterator[str]:
    """The most similar name in the same folder: in other case first, then misspelled."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry, _ in zip(entries, range(MAX_ENTRIES), strict=False)]
    except OSError:
        return
    same = [name for name in names if name.casefold() == path.name.casefold()]
    for name in same or difflib.get_close_matches(path.name, names, n=1, cutoff=0.8):
        yield str(path.with_name(name))

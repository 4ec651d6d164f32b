"""A dataset in words and a contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console

from facesmith import split
from facesmith.errors import FacesmithError
from facesmith.faces.dataset import Faces, open_faces
from facesmith.faces.layouts import read_listing
from facesmith.faces.store import open_store
from facesmith.images import grid, read_picture, write_png

SHEET_FACES = 64
LARGEST_PX = 64


def describe(path: Path, *, sheet: Path | None = None, limit: int | None = None, console: Console) -> Iterator[str]:
    """A dataset's card, line by line; the last line says where its contact sheet lies.

    Args:
        sheet: where to write the contact sheet; by default beside the packed pictures in the cache.
    """
    faces = open_faces(path, _fitting_resolution(path), limit=limit, console=console)
    picture = sheet or faces.cache / "sheet.png"
    evenly = np.linspace(0, len(faces.names) - 1, min(SHEET_FACES, len(faces.names))).astype(int)
    write_png(picture, grid(np.asarray(faces.pixels[evenly])))
    yield from _card(faces)
    yield f"contact sheet  {picture}"


def _fitting_resolution(path: Path) -> int:
    """64, or the first readable picture's size where that is smaller: a card is not to fail on small faces."""
    store = open_store(path)
    for entry in read_listing(store).entries:
        try:
            return min(LARGEST_PX, *read_picture(store.read(entry.name), name=entry.name).shape[:2])
        except FacesmithError:
            continue  # open_faces names what can't be read
    return LARGEST_PX


def _card(faces: Faces) -> Iterator[str]:
    yield f"faces          {len(faces.names)} ({faces.layout})"
    sizes = Counter(map(tuple, faces.sizes.tolist())).most_common(4)
    yield "sizes          " + ", ".join(f"{w}x{h} ({n})" for (w, h), n in sizes)
    persons = {group for group in faces.groups if group.startswith("person/")}
    yield f"groups         {len(set(faces.groups))}" + (f", {len(persons)} of them persons" if persons else "")
    counts = split.describe(faces.parts)["counts"]
    yield "split          " + ", ".join(f"{name} {count}" for name, count in counts.items())
    yield f"alignment      {'as extracted' if faces.alignment else 'unknown'}"
    yield f"fingerprint    {faces.fingerprint[:16]}"
    for notice in faces.notices:
        yield f"notice         {notice}"
    for name, column in faces.attributes.items():
        yield f"  {name:<24} {_spread(column)}"


def _spread(column: np.ndarray) -> str:  # type: ignore[type-arg]
    known = column[~np.isnan(column)]
    if len(known) == 0:
        return "unknown for all"
    if set(np.unique(known)) <= {0.0, 1.0}:
        return f"{known.mean():6.1%}"
    return f"{known.min():.3g} to {known.max():.3g}, mean {known.mean():.3g}"

"""A text summary and a contact sheet of a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median_low

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.errors import BadOption
from facesmith.faces.dataset import Faces, faces_from_listing
from facesmith.faces.few_pictures import smaller_sides
from facesmith.faces.layouts import Listing
from facesmith.faces.shards import read_dataset
from facesmith.io.messages import printable_name
from facesmith.photos import split
from facesmith.pictures.images import Pixels, grid, write_png
from facesmith.storage.store import Store

SHEET_FACES = 64
MAX_SIZE_PX = 64
SIZE_SAMPLE = 9  # pictures that are read to choose the size of the summary
MAX_SIZES_LISTED = 4


def describe(path: Path, *, sheet: Path | None = None, limit: int | None = None, console: Console) -> Iterator[str]:
    """The summary of a dataset, line by line; the last line has the path of its contact sheet.

    Args:
        sheet: file for the contact sheet; by default next to the packed pictures in the cache.
        limit: use this many faces.

    Raises:
        BadOption: `sheet` is not the name of a .png file.
    """
    if sheet is not None and (sheet.suffix.lower() != ".png" or sheet.is_dir()):
        raise BadOption(f"--sheet {sheet}: expected the name of a .png file, such as sheet.png.")
    store, listing = read_dataset(path)
    faces = faces_from_listing(store, listing, _typical_size(store, listing), limit=limit, console=console)
    picture = sheet or faces.cache / "sheet.png"
    write_png(picture, contact_sheet(faces))
    for name, text in dataset_summary(faces):
        yield f"{name:<14} {text}"
    for name, text in attribute_summary(faces):
        yield f"  {name:<24} {text}"
    yield f"contact sheet  {printable_name(str(picture))}"


def contact_sheet(faces: Faces) -> Pixels:
    """Evenly spaced faces of the dataset as one picture `[H, W, 3]`."""
    rows = np.linspace(0, len(faces.names) - 1, min(SHEET_FACES, len(faces.names))).astype(int)
    return grid(np.asarray(faces.pixels[rows]))


def _typical_size(store: Store, listing: Listing) -> int:
    """The median size of some pictures, at most 64, so that datasets of small faces can be described."""
    sides = smaller_sides(store, listing.files, SIZE_SAMPLE)
    return min(MAX_SIZE_PX, median_low(sides)) if sides else MAX_SIZE_PX


def dataset_summary(faces: Faces) -> Iterator[tuple[str, str]]:
    """Names and values that describe the whole dataset."""
    yield "faces", f"{len(faces.names)} ({faces.layout})"
    sizes = Counter(map(tuple, faces.sizes.tolist()))
    more = f" and {len(sizes) - MAX_SIZES_LISTED} other sizes" if len(sizes) > MAX_SIZES_LISTED else ""
    yield "sizes", ", ".join(f"{w}x{h} ({n})" for (w, h), n in sizes.most_common(MAX_SIZES_LISTED)) + more
    persons = {group for group in faces.groups if group.startswith("person/")}
    yield "groups", f"{len(set(faces.groups))}" + (f", {len(persons)} of them persons" if persons else "")
    counts = split.describe(faces.parts)["counts"]
    yield "split", ", ".join(f"{name} {count}" for name, count in counts.items())
    yield "alignment", "as extracted" if faces.alignment else "unknown"
    yield "fingerprint", faces.fingerprint[:16]
    for notice in faces.notices:
        yield "notice", notice


def attribute_summary(faces: Faces) -> Iterator[tuple[str, str]]:
    """Names of the attributes, and for each its share among the faces, or the range of its numbers."""
    for name, column in faces.attributes.items():
        yield printable_name(name), _share_or_range(column)


def _share_or_range(column: NDArray[np.float32]) -> str:
    known = column[~np.isnan(column)]
    if len(known) == 0:
        return "unknown for all"
    of_known = f" of {len(known)} labeled faces" if len(known) < len(column) else ""
    if set(np.unique(known)) <= {0.0, 1.0}:
        return f"{known.mean():6.1%}{of_known}"
    return f"{known.min():.3g} to {known.max():.3g}, mean {known.mean():.3g}{of_known}"

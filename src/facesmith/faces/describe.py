"""A dataset in words and a contact sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median_low

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.errors import BadPicture
from facesmith.faces.dataset import Faces, faces_of
from facesmith.faces.layouts import Listing, read_listing
from facesmith.faces.store import Store, open_store, shown
from facesmith.io.images import Pixels, grid, read_picture, write_png
from facesmith.photos import split

SHEET_FACES = 64
LARGEST_PX = 64
SIZED = 9  # pictures whose size tells that of most
SIZES = 4  # of them are named


def describe(path: Path, *, sheet: Path | None = None, limit: int | None = None, console: Console) -> Iterator[str]:
    """A dataset's card, line by line; the last line says where its contact sheet lies.

    Args:
        sheet: where to write the contact sheet; by default beside the packed pictures in the cache.
    """
    store = open_store(path)
    listing = read_listing(store)
    faces = faces_of(store, listing, _fitting_resolution(store, listing), limit=limit, console=console)
    picture = sheet or faces.cache / "sheet.png"
    write_png(picture, contact_sheet(faces))
    for what, told in dataset_summary(faces):
        yield f"{what:<14} {told}"
    for name, told in attribute_summary(faces):
        yield f"  {name:<24} {told}"
    yield f"contact sheet  {shown(str(picture))}"


def contact_sheet(faces: Faces) -> Pixels:
    """Some of the faces, spread evenly, as one picture `[H, W, 3]`."""
    evenly = np.linspace(0, len(faces.names) - 1, min(SHEET_FACES, len(faces.names))).astype(int)
    return grid(np.asarray(faces.pixels[evenly]))


def _fitting_resolution(store: Store, listing: Listing) -> int:
    """64, or the size of most pictures where that is smaller: a card is not to fail on small faces."""
    sides = []
    for i in np.linspace(0, len(listing.entries) - 1, min(SIZED, len(listing.entries))).astype(int):
        name = listing.entries[i].name
        with suppress(BadPicture):  # those that can't be read are named later
            sides.append(min(read_picture(store.read(name), name=name).shape[:2]))
    return min(LARGEST_PX, median_low(sides)) if sides else LARGEST_PX


def dataset_summary(faces: Faces) -> Iterator[tuple[str, str]]:
    """What is known of a dataset as a whole, each with its name."""
    yield "faces", f"{len(faces.names)} ({faces.layout})"
    sizes = Counter(map(tuple, faces.sizes.tolist()))
    more = f" and {len(sizes) - SIZES} other sizes" if len(sizes) > SIZES else ""
    yield "sizes", ", ".join(f"{w}x{h} ({n})" for (w, h), n in sizes.most_common(SIZES)) + more
    persons = {group for group in faces.groups if group.startswith("person/")}
    yield "groups", f"{len(set(faces.groups))}" + (f", {len(persons)} of them persons" if persons else "")
    counts = split.describe(faces.parts)["counts"]
    yield "split", ", ".join(f"{name} {count}" for name, count in counts.items())
    yield "alignment", "as extracted" if faces.alignment else "unknown"
    yield "fingerprint", faces.fingerprint[:16]
    for notice in faces.notices:
        yield "notice", notice


def attribute_summary(faces: Faces) -> Iterator[tuple[str, str]]:
    """Each attribute with its share among the faces, or the spread of its numbers."""
    for name, column in faces.attributes.items():
        yield shown(name), _spread(column)


def _spread(column: NDArray[np.float32]) -> str:
    known = column[~np.isnan(column)]
    if len(known) == 0:
        return "unknown for all"
    if set(np.unique(known)) <= {0.0, 1.0}:
        return f"{known.mean():6.1%}"
    return f"{known.min():.3g} to {known.max():.3g}, mean {known.mean():.3g}"

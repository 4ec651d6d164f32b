"""A dataset of faces, opened: pixels, attributes, groups and the split that holds for good."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.errors import BadData, BadOption
from facesmith.faces.layouts import Listing, read_listing
from facesmith.faces.packed import Packed, pack
from facesmith.faces.store import Entry, Store, open_store, shown
from facesmith.io.images import Pixels
from facesmith.photos import split

NAMED = 3  # how many files a notice names before it only counts


@dataclass
class Faces:
    """Faces of one size and what is known of them; row i of everything is the same face.

    Attributes:
        pixels: uint8 `[N, S, S, C]`, memory-mapped, read only.
        names: paths inside the dataset.
        attributes: float32 `[N]` by name; NaN where it isn't known.
        groups: a person, or a set of near-duplicates; the split never divides one.
        parts: int8 `[N]`, index in `split.PARTS`.
        alignment: how the faces were cut out of photos, as `extract` wrote it, or None.
        fingerprint: sha256 of all names and contents.
        layout: in which form the dataset was found.
        notices: what a person should know of what was changed or left out, one line each.
        sizes: `[N, 2]` width and height in the files.
        cache: folder where the packed pictures lie.
        labels: float32 `[N, K]` of what a generator is told of each (`conditions.labelled`): -1 for no, 1 for yes, 0
            where it isn't known; None where it is told nothing.
    """

    path: Path
    pixels: Pixels
    names: list[str]
    attributes: dict[str, NDArray[np.float32]]
    groups: list[str]
    parts: NDArray[np.int8]
    alignment: dict[str, Any] | None
    fingerprint: str
    layout: str
    notices: list[str]
    sizes: NDArray[np.int32]
    cache: Path
    labels: NDArray[np.float32] | None = None

    @property
    def resolution(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        return int(self.pixels.shape[3])

    def part(self, name: str) -> NDArray[np.int64]:
        """Indices of the faces of a part (one of `split.PARTS`), in order."""
        return np.flatnonzero(self.parts == split.PARTS.index(name))


def open_faces(
    path: Path, resolution: int, channels: int = 3, *, limit: int | None = None, console: Console | None = None
) -> Faces:
    """Open a folder or zip of faces in any of the known layouts (`layouts.py`), at one size.

    Args:
        resolution: larger pictures are made smaller, with a notice; smaller ones are left out.
        channels: 1 turns colour to grey, with a notice.
        limit: use this many faces, always the same ones, chosen by a hash of their names.
        console: for the progress of packing.

    Raises:
        BadData: there are no faces of that size; the message says what was found.
    """
    store = open_store(path)
    return faces_of(store, read_listing(store), resolution, channels, limit=limit, console=console)


def faces_of(
    store: Store,
    listing: Listing,
    resolution: int,
    channels: int = 3,
    *,
    limit: int | None = None,
    console: Console | None = None,
) -> Faces:
    """The faces of a listing, as `open_faces` gives them."""
    path = store.path
    if limit is not None:
        _limit(listing, limit)
    packed = pack(store, listing.entries, resolution, channels, console or Console(quiet=True))
    if not packed.names:
        raise BadData(_none_usable(path, packed, resolution))
    row = {entry.name: i for i, entry in enumerate(listing.entries)}
    rows = np.array([row[name] for name in packed.names])
    groups = _groups(packed, [listing.persons[i] for i in rows])
    alignment = listing.header.get("alignment")
    return Faces(
        path=path,
        pixels=packed.pixels,
        names=packed.names,
        attributes={name: _finite(column)[rows] for name, column in listing.attributes.items()},
        groups=groups,
        parts=split.split(groups),
        alignment=alignment if isinstance(alignment, dict) else None,
        fingerprint=_fingerprint(packed),
        layout=listing.layout,
        notices=listing.notices + _notices(packed, resolution),
        sizes=packed.sizes,
        cache=packed.key,
    )


def _finite(column: list[float]) -> NDArray[np.float32]:
    """A column as float32, NaN where a number is none or too large."""
    with np.errstate(over="ignore"):
        values = np.asarray(column, np.float32)
    return np.where(np.isfinite(values), values, np.float32(np.nan))


def _limit(listing: Listing, limit: int) -> None:
    if limit < 1:
        raise BadOption(f"A limit of {limit} leaves no faces; expected 1 or more.")

    def order(entry: Entry) -> str:
        return hashlib.sha256(entry.name.encode("utf-8", "surrogateescape")).hexdigest()

    kept = sorted(range(len(listing.entries)), key=lambda i: order(listing.entries[i]))[:limit]
    kept.sort()
    listing.entries = [listing.entries[i] for i in kept]
    listing.persons = [listing.persons[i] for i in kept]
    listing.attributes = {name: [column[i] for i in kept] for name, column in listing.attributes.items()}


def _groups(packed: Packed, persons: list[str | None]) -> list[str]:
    """A group's name for each face: faces of one person belong together, and so do near-duplicates, across both."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while parents.setdefault(name, name) != name:
            name = parents[name]
        return name

    own = [split.group_name(p, c) for p, c in zip(persons, packed.contents, strict=True)]
    for i, near in enumerate(packed.near.tolist()):
        a, b = sorted((root(own[i]), root(own[near])))
        parents[b] = a
    return [root(name) for name in own]


def _fingerprint(packed: Packed) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(zip(packed.names, packed.contents, strict=True)):
        digest.update(f"{content} {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _none_usable(path: Path, packed: Packed, resolution: int) -> str:
    readable = any("smaller than" in reason for reason in packed.left_out.values())
    todo = f"Larger faces: facesmith extract PHOTOS --size {resolution}" if readable else "Are they whole?"
    left_out = _some([f"{name}: {reason}" for name, reason in packed.left_out.items()])
    return (
        f"{path} holds {len(packed.left_out)} pictures but none that can be used at {resolution}x{resolution} "
        f"({left_out}). {todo}"
    )


def _notices(packed: Packed, resolution: int) -> list[str]:
    notices = []
    larger = int((packed.sizes.min(axis=1) > resolution).sum())
    if larger:
        notices.append(f"{larger} of {len(packed.names)} pictures made smaller to {resolution}x{resolution}")
    uneven = int((packed.sizes[:, 0] != packed.sizes[:, 1]).sum())
    if uneven:
        notices.append(f"{uneven} pictures were not square: their middle was taken")
    if packed.pixels.shape[-1] == 1:
        notices.append("pictures used in grey")
    for what, named in (
        ("left out", [f"{name} ({reason})" for name, reason in packed.left_out.items()]),
        ("changed since they were last read", packed.changed),
    ):
        if named:
            notices.append(f"{len(named)} pictures {what}: {_some(named)}")
    return notices


def _some(named: list[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(map(shown, named[:NAMED])) + more

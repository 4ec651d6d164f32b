"""An opened dataset of faces: pixels, attributes, groups and split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.errors import BadData, BadOption
from facesmith.faces.alignment_check import unaligned_notices
from facesmith.faces.layouts import Listing
from facesmith.faces.packed import Packed, pack
from facesmith.faces.shards import OwnPixels, ShardListing, own_rows, read_dataset
from facesmith.io.argument_types import checked_arguments
from facesmith.io.messages import as_typed, printable_name
from facesmith.photos import split
from facesmith.pictures.images import Pixels
from facesmith.pictures.pages import count_text
from facesmith.storage.store import Store, StoredFile

MAX_NAMED = 3  # files that a notice lists by name


@dataclass
class Faces:
    """Faces of one size with their attributes; row i of every array is the same face.

    Attributes:
        path: of the dataset.
        pixels: uint8 `[N, S, S, C]`, memory-mapped, read-only. Only `rows` of it can be read.
        names: paths inside the dataset.
        attributes: float32 `[N]` by name; NaN if unknown.
        groups: the person, or the set of near-duplicates, of each face. The split never divides a group.
        parts: int8 `[N]`, the split: index in `split.PARTS`.
        alignment: how `extract` aligned the faces, or None.
        fingerprint: sha256 of all names and contents.
        layout: the dataset layout that was recognized (see `layouts.py`).
        notices: what was changed or skipped, one line each, for the user.
        sizes: `[N, 2]` width and height in the files.
        cache: folder of the packed pictures.
        rows: rows whose pixels this process has packed; None for all of them.
        left_out: label tables and columns that give no attributes, with the reason.
        labels: float32 `[N, K]`, the condition of each face: -1 for no, 1 for yes, 0 if unknown. None unless
            `conditioning.with_labels` has set it.
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
    rows: NDArray[np.int64] | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    labels: NDArray[np.float32] | None = None

    @property
    def resolution(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        return int(self.pixels.shape[3])

    def part(self, name: str) -> NDArray[np.int64]:
        """Rows of the faces in a part of the split (one of `split.PARTS`), in order."""
        return np.flatnonzero(self.parts == split.PARTS.index(name))

    def without_held_out(self) -> Faces:
        """The same faces, all of them in the training split."""
        return replace(self, parts=np.full_like(self.parts, split.PARTS.index("train")))

    def own_part(self, name: str) -> NDArray[np.int64]:
        """As `part`, but only the faces whose pixels this process has packed."""
        return self.part(name) if self.rows is None else np.intersect1d(self.part(name), self.rows)

    @property
    def own_pixels(self) -> Pixels:
        """All pixels that this process has packed, uint8 `[M, S, S, C]`."""
        pixels: object = self.pixels
        return pixels.packed if isinstance(pixels, OwnPixels) else self.pixels


@checked_arguments
def open_faces(
    path: str | Path,
    resolution: int,
    channels: int = 3,
    *,
    limit: int | None = None,
    rank: int = 0,
    processes: int = 1,
    console: Console | None = None,
) -> Faces:
    """Open a folder or zip of faces in any supported layout (see `layouts.py`), at one size.

    Args:
        resolution: larger pictures are reduced, with a notice; smaller ones are skipped.
        channels: 1 converts colors to gray, with a notice.
        limit: use this many faces, always the same ones, chosen by a hash of their names.
        rank, processes: of several processes that train together, this is number `rank`. Of faces in shards, each
            packs only its own part.
        console: shows the progress of packing.

    Raises:
        BadData: no picture can be used at that size; the message gives the reasons.
    """
    if resolution < 1:
        raise BadOption(f"resolution is {resolution}; expected a number of pixels.")
    store, listing = read_dataset(Path(path))
    return faces_from_listing(
        store, listing, resolution, channels, limit=limit, rank=rank, processes=processes, console=console
    )


def faces_from_listing(
    store: Store,
    listing: Listing,
    resolution: int,
    channels: int = 3,
    *,
    limit: int | None = None,
    rank: int = 0,
    processes: int = 1,
    console: Console | None = None,
) -> Faces:
    """The faces of a listing; see `open_faces`."""
    path = store.path
    if limit is not None:
        _limit(listing, limit)
    if isinstance(listing, ShardListing):
        return _faces_in_shards(store, listing, resolution, channels, rank, processes, console or Console(quiet=True))
    packed = pack(store, listing.files, resolution, channels, console or Console(quiet=True))
    if not packed.names:
        raise BadData(_none_usable_message(path, packed, resolution))
    row_of = {file.name: i for i, file in enumerate(listing.files)}
    rows = np.array([row_of[name] for name in packed.names])
    groups = _groups(packed, [listing.persons[i] for i in rows])
    alignment = listing.header.get("alignment")
    notices = listing.notices + _notices(packed, resolution)
    if not isinstance(alignment, dict) and 2 * _count_not_square(packed) <= len(packed.names):
        kept = set(packed.names)
        notices += unaligned_notices(store, [file for file in listing.files if file.name in kept])
    return Faces(
        path=path,
        pixels=packed.pixels,
        names=packed.names,
        attributes={name: column[rows] for name, column in listing.attributes.items()},
        groups=groups,
        parts=split.split(groups),
        alignment=alignment if isinstance(alignment, dict) else None,
        fingerprint=_fingerprint(packed),
        layout=listing.layout,
        notices=notices,
        sizes=packed.sizes,
        cache=packed.folder,
        left_out=listing.left_out,
    )


def _faces_in_shards(
    store: Store,
    listing: ShardListing,
    resolution: int,
    channels: int,
    rank: int,
    processes: int,
    console: Console,
) -> Faces:
    """The faces of an extraction in shards; see `open_faces`."""
    rows = own_rows(listing.parts, rank, processes)
    share = f"{rank} of {processes}"
    files = [listing.files[row] for row in rows]
    packed = pack(store, files, resolution, channels, console, share=share, find_near=False)
    if len(packed.names) < len(files):
        raise BadData(_none_usable_message(store.path, packed, resolution))
    pixels = packed.pixels if processes == 1 else cast(Pixels, OwnPixels(packed.pixels, rows, len(listing.files)))
    alignment = listing.header.get("alignment")
    names = [file.name for file in listing.files]
    return Faces(
        path=store.path,
        pixels=pixels,
        names=names,
        attributes=listing.attributes,
        groups=listing.groups,
        parts=listing.parts,
        alignment=alignment if isinstance(alignment, dict) else None,
        fingerprint=listing.fingerprint_of(names),
        layout=listing.layout,
        notices=listing.notices + _notices(packed, resolution),
        sizes=packed.sizes,
        cache=packed.folder,
        rows=None if processes == 1 else rows,
        left_out=listing.left_out,
    )


def _limit(listing: Listing, limit: int) -> None:
    if limit < 1:
        raise BadOption(f"--limit must be 1 or more, not {limit}.")

    def name_hash(file: StoredFile) -> str:
        return hashlib.sha256(file.name.encode("utf-8", "surrogateescape")).hexdigest()

    kept = sorted(range(len(listing.files)), key=lambda i: name_hash(listing.files[i]))[:limit]
    kept.sort()
    listing.files = [listing.files[i] for i in kept]
    listing.persons = [listing.persons[i] for i in kept]
    listing.attributes = {name: column[kept] for name, column in listing.attributes.items()}
    if isinstance(listing, ShardListing):
        listing.parts = listing.parts[kept]
        listing.groups = [listing.groups[i] for i in kept]


def _groups(packed: Packed, persons: list[str | None]) -> list[str]:
    """The group of each face: faces of one person, merged with all their near-duplicates (union-find)."""
    parents: dict[str, str] = {}

    def root(name: str) -> str:
        while parents.setdefault(name, name) != name:
            name = parents[name]
        return name

    names = [split.group_name(p, c) for p, c in zip(persons, packed.contents, strict=True)]
    for i, near in enumerate(packed.near.tolist()):
        a, b = sorted((root(names[i]), root(names[near])))
        parents[b] = a
    return [root(name) for name in names]


def _fingerprint(packed: Packed) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(zip(packed.names, packed.contents, strict=True)):
        digest.update(f"{content} {name}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _none_usable_message(path: Path, packed: Packed, resolution: int) -> str:
    too_small = any("smaller than" in reason for reason in packed.skipped.values())
    larger = f"For larger faces: facesmith extract PHOTOS --size {resolution}"
    reasons = _abbreviated([f"{name}: {reason}" for name, reason in packed.skipped.items()])
    return (
        f"{as_typed(path)} has {len(packed.skipped)} pictures, but none can be used at {resolution}x{resolution} "
        f"({reasons}). {larger if too_small else 'Are the files complete?'}"
    )


def _notices(packed: Packed, resolution: int) -> list[str]:
    notices = []
    larger = int((packed.sizes.min(axis=1) > resolution).sum())
    if larger:
        notices.append(f"{larger} of {len(packed.names)} pictures reduced to {resolution}x{resolution}")
    copies = len(packed.contents) - len(set(packed.contents))
    if copies:
        notices.append(f"{copies} pictures are exact copies of others; the split keeps copies together")
    if not_square := _count_not_square(packed):
        notices.append(
            f"{not_square} pictures are not square: their middle is used. If they are whole photos, run facesmith "
            "extract first"
        )
    if packed.pixels.shape[-1] == 1:
        notices.append("pictures converted to gray")
    for what, names in (
        ("skipped", [f"{name} ({reason})" for name, reason in packed.skipped.items()]),
        ("changed since the last time", packed.changed),
        (
            "have several pages or frames, and only the first is used",
            [f"{name} ({count_text(count)})" for name, count in packed.several.items()],
        ),
    ):
        if names:
            notices.append(f"{len(names)} pictures {what}: {_abbreviated(names)}")
    return notices


def _count_not_square(packed: Packed) -> int:
    return int((packed.sizes[:, 0] != packed.sizes[:, 1]).sum())


def _abbreviated(names: list[str]) -> str:
    """The first few names, and the number of the others."""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(map(printable_name, names[:MAX_NAMED])) + more

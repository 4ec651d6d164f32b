"""What people have, read as one list of pictures: the layouts of `extract`, CelebA, LFW, StyleGAN and plain folders.

The first that fits is taken:
  metadata.csv          `file_name` and columns (the imagefolder convention; what `extract` writes)
  list_attr_celeba.txt  CelebA's own table of 40 attributes, -1 or 1
  dataset.json          StyleGAN's labels
  folders               Name/Name_0001.jpg are persons (LFW); other folders are classes
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from facesmith.errors import BadData
from facesmith.faces.store import Entry, Store
from facesmith.images import PICTURE_SUFFIXES
from facesmith.split import person_of

POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
GEOMETRY = frozenset(
    {"left", "top", "width", "height", "confidence", "blur", "file_name", "source"}
    | {f"{point}_{axis}" for point in POINTS for axis in "xy"}
    | {f"affine_{i}{j}" for i in "01" for j in "012"}
)
PERSON_COLUMNS = ("person", "identity")
MOST_CLASSES = 64


@dataclass
class Listing:
    """Pictures to read, with what is known of them.

    Attributes:
        entries: in the order of their names.
        attributes: by name, one value for each entry; NaN where it isn't known.
        persons: of each entry, or None.
        layout: which of the layouts was found.
        header: `faces.json` of an extraction, or empty.
        notices: what a person should know, one line each.
    """

    entries: list[Entry]
    attributes: dict[str, list[float]] = field(default_factory=dict)
    persons: list[str | None] = field(default_factory=list)
    layout: str = "pictures"
    header: dict[str, Any] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def read_listing(store: Store) -> Listing:
    """Which pictures a store holds, and what is known of them.

    Raises:
        BadData: it holds no pictures, or a table in it can't be read.
    """
    entries = store.entries()
    pictures = [entry for entry in entries if PurePosixPath(entry.name).suffix.lower() in PICTURE_SUFFIXES]
    if not pictures:
        raise BadData(f"{store.path} holds no pictures (among {len(entries)} files). Give a folder or a zip of faces.")
    tables = {PurePosixPath(entry.name).name: entry.name for entry in reversed(entries)}
    if "metadata.csv" in tables:
        return _of_metadata(store, pictures, tables["metadata.csv"], tables.get("faces.json"))
    if "list_attr_celeba.txt" in tables:
        return _of_celeba(store, pictures, tables["list_attr_celeba.txt"])
    if "dataset.json" in tables:
        return _of_stylegan(store, pictures, tables["dataset.json"])
    return _of_folders(pictures)


def _of_metadata(store: Store, pictures: list[Entry], table: str, header: str | None) -> Listing:
    root = PurePosixPath(table).parent
    reader = csv.DictReader(io.StringIO(_text(store, table)))
    if "file_name" not in (reader.fieldnames or ()):
        raise BadData(f"{store.path}: {table} has no column file_name, but: {', '.join(reader.fieldnames or ())}.")
    rows = {str(root / (row["file_name"] or "")): row for row in reader}
    kept = [entry for entry in pictures if entry.name in rows]
    listing = Listing(kept, layout="metadata.csv")
    if header is not None:
        listing.header = _json(store, header)
        listing.layout = "extracted faces"
    absent, unlisted = len(rows) - len(kept), len(pictures) - len(kept)
    if absent:
        listing.notices.append(f"{absent} pictures of {table} are not there any more, and are left out")
    if unlisted:
        listing.notices.append(f"{unlisted} pictures stand in no row of {table}, and are left out")
    person_column = next((column for column in PERSON_COLUMNS if column in (reader.fieldnames or ())), None)
    for entry in kept:
        row = rows[entry.name]
        listing.persons.append((person_column and row[person_column]) or person_of(row.get("source") or entry.name))
    for column in reader.fieldnames or ():
        if column not in GEOMETRY and column != person_column:
            _add_numbers(listing, column, [rows[entry.name][column] for entry in kept])
    return _checked(listing, store, table)


def _add_numbers(listing: Listing, column: str, texts: Iterable[str | None]) -> None:
    """Add a column of numbers as an attribute; a column with any other text is none."""
    try:
        listing.attributes[column] = [float(text) if text else float("nan") for text in texts]
    except ValueError:
        return


def _of_celeba(store: Store, pictures: list[Entry], table: str) -> Listing:
    lines = _text(store, table).splitlines()
    columns = lines[1].split() if len(lines) > 1 else []
    rows = {parts[0]: parts[1:] for parts in map(str.split, lines[2:]) if parts}
    wrong = next((name for name, row in rows.items() if len(row) != len(columns)), None)
    if not columns or wrong is not None:
        raise BadData(f"{store.path}: {table} is not CelebA's table (line of {wrong}: expected {len(columns)} values).")
    kept = [entry for entry in pictures if PurePosixPath(entry.name).name in rows]
    listing = Listing(kept, persons=[None] * len(kept), layout="CelebA")
    found = [rows[PurePosixPath(entry.name).name] for entry in kept]
    for i, column in enumerate(columns):
        listing.attributes[column.lower()] = [1.0 if row[i] == "1" else 0.0 for row in found]
    return _checked(listing, store, table)


def _of_stylegan(store: Store, pictures: list[Entry], table: str) -> Listing:
    labels = _json(store, table).get("labels")
    root = PurePosixPath(table).parent
    listing = Listing(pictures, persons=[None] * len(pictures), layout="StyleGAN")
    if not labels:
        return listing
    try:
        rows = {str(root / name): label if isinstance(label, list) else [label] for name, label in labels}
        longest = max(len(row) for row in rows.values())
        names = ["label"] if longest == 1 else [f"label_{i}" for i in range(longest)]
        for i, name in enumerate(names):
            listing.attributes[name] = [float(rows[e.name][i]) if e.name in rows else float("nan") for e in pictures]
    except (TypeError, ValueError, IndexError):
        raise BadData(f"{store.path}: the labels of {table} are not StyleGAN's list of [file name, label].") from None
    return listing


def _of_folders(pictures: list[Entry]) -> Listing:
    listing = Listing(pictures, persons=[person_of(entry.name) for entry in pictures])
    if any(listing.persons):
        listing.layout = "LFW"
        return listing
    classes = [PurePosixPath(entry.name).parent.name for entry in pictures]
    if 1 < len(set(classes)) <= MOST_CLASSES:
        listing.layout = "class folders"
        for name in sorted(set(classes) - {""}):
            listing.attributes[name] = [float(each == name) for each in classes]
    return listing


def _checked(listing: Listing, store: Store, table: str) -> Listing:
    if not listing.entries:
        raise BadData(f"{store.path}: none of the pictures stands in {table}. Was the table made for other pictures?")
    return listing


def _text(store: Store, name: str) -> str:
    return store.read(name).decode("utf-8-sig", errors="replace")


def _json(store: Store, name: str) -> dict[str, Any]:
    try:
        read = json.loads(_text(store, name))
    except ValueError as error:
        raise BadData(f"{store.path}: {name} is not JSON ({error}).") from None
    if not isinstance(read, dict):
        raise BadData(f"{store.path}: {name} holds no JSON object.")
    return read

"""What people have, read as one list of pictures: the layouts of `extract`, CelebA, LFW, StyleGAN and plain folders.

The first that fits is taken:
  metadata.csv          `file_name` and columns (the imagefolder convention; what `extract` writes)
  list_attr_celeba.txt  CelebA's own table of 40 attributes, -1 or 1; its identity_CelebA.txt gives the persons
  dataset.json          StyleGAN's labels
  folders               Name/Name_0001.jpg are persons (LFW); other folders are classes
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from math import nan
from posixpath import basename, dirname, join, normpath, splitext
from typing import Any, TypeVar
from unicodedata import normalize

from facesmith.errors import BadData, BadPicture
from facesmith.faces.store import Entry, Store, shown
from facesmith.io.images import PICTURE_SUFFIXES
from facesmith.photos.journal import JOURNAL_NAME
from facesmith.photos.split import person_of

POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
GEOMETRY = frozenset(
    {"left", "top", "width", "height", "confidence", "blur", "file_name", "source"}
    | {f"{point}_{axis}" for point in POINTS for axis in "xy"}
    | {f"affine_{i}{j}" for i in "01" for j in "012"}
)
PERSON_COLUMNS = ("person", "identity")
WORDS = {"": nan, "true": 1.0, "false": 0.0}
CELEBA = {"1": 1.0, "-1": 0.0, "0": 0.0}
MOST_CLASSES = 64
MOST_OF_A_PERSON = 100  # more pictures in a folder, on average, and it is a class: smiling/smiling_0001.jpg

Row = TypeVar("Row")


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
    pictures = [entry for entry in entries if splitext(entry.name)[1].lower() in PICTURE_SUFFIXES]
    if not pictures:
        raise BadData(f"{store.path} holds no pictures (among {len(entries)} files). Give a folder or a zip of faces.")
    tables: dict[str, list[str]] = {}  # the one nearest to the top first
    for name in sorted((entry.name for entry in entries), key=lambda name: (name.count("/"), name)):
        tables.setdefault(basename(name), []).append(name)
    if "metadata.csv" in tables:
        return _of_metadata(store, pictures, tables["metadata.csv"], tables.get("faces.json", []))
    if "list_attr_celeba.txt" in tables:
        return _of_celeba(store, pictures, tables["list_attr_celeba.txt"][0], tables.get("identity_CelebA.txt", []))
    if "dataset.json" in tables:
        return _of_stylegan(store, pictures, tables["dataset.json"][0])
    listing = _of_folders(pictures)
    if (store.path / JOURNAL_NAME).exists():
        listing.notices.append("an extraction into this folder was interrupted; the same command of extract goes on")
    return listing


def _of_metadata(store: Store, pictures: list[Entry], tables: list[str], headers: list[str]) -> Listing:
    """Every table tells of its own folder; most often there is one."""
    columns: list[str] = []
    rows: dict[str, list[str]] = {}
    repeated = 0
    for table in tables:
        own, read = _table(store, table)
        columns += [column for column in own if column not in columns]
        alike, names, folder = own == columns[: len(own)], own.index("file_name"), dirname(table)
        for cells in read:
            key = _key(cells[names], folder) if len(cells) > names and cells[names] else ""
            repeated += key in rows
            rows.setdefault(key, cells if alike else _ordered(cells, own, columns))
    rows.pop("", None)  # rows without a name
    which = tables[0] if len(tables) == 1 else f"{len(tables)} tables metadata.csv"
    listing, found = _joined(store, pictures, [_key(entry.name) for entry in pictures], rows, which)
    listing.layout = "metadata.csv"
    if repeated:
        listing.notices.append(f"{repeated} rows of {shown(which)} name no picture or one again, and don't count")
    _add_header(listing, store, [name for name in headers if join(dirname(name), "metadata.csv") in tables])
    texts = dict(zip(columns, zip_longest(*found, fillvalue=""), strict=False))
    person_column = next((column for column in PERSON_COLUMNS if column in columns), "")
    persons, sources = (texts.get(name, [""] * len(found)) for name in (person_column, "source"))
    for entry, person, source in zip(listing.entries, persons, sources, strict=True):
        listing.persons.append(person or person_of(source or entry.name))
    for column, each in texts.items():
        if column and column not in GEOMETRY and column != person_column:
            _add_numbers(listing, column, each)
    return listing


def _table(store: Store, table: str) -> tuple[list[str], list[list[str]]]:
    """The columns of a table, `file_name` among them, and its rows, of which some may lack cells."""
    lines = csv.reader(io.StringIO(_text(store, table), newline=""))
    try:
        columns = [column.strip() for column in next(lines, [])]
        rows = [cells for cells in lines if cells]
    except csv.Error as error:
        raise BadData(f"{store.path}: {shown(table)}, line {lines.line_num}: {error}. Is it a table (CSV)?") from None
    if "file_name" not in columns:
        found = shown(", ".join(columns))[:200] or "nothing"
        raise BadData(
            f"{store.path}: the first line of {shown(table)} has no column file_name, but: {found}. "
            "Expected names of columns with commas between them."
        )
    return columns, rows


def _ordered(cells: list[str], own: list[str], columns: list[str]) -> list[str]:
    by_name = dict(zip(own, cells, strict=False))
    return [by_name.get(column, "") for column in columns]


def _add_header(listing: Listing, store: Store, headers: list[str]) -> None:
    """Add how faces were extracted, where all were extracted alike."""
    read = [_json(store, name) for name in headers]
    if not read:
        return
    listing.layout = "extracted faces"
    if all(header.get("alignment") == read[0].get("alignment") for header in read):
        listing.header = read[0]
    else:
        listing.notices.append(f"faces of {len(read)} extractions with unlike alignment are mixed")


def _add_numbers(listing: Listing, column: str, texts: Iterable[str]) -> None:
    """Add a column of numbers, or of true and false, as an attribute; a column with any other text is none."""
    try:
        listing.attributes[column] = list(map(float, texts))
        return
    except ValueError:
        pass
    try:
        words = [text.strip().lower() for text in texts]
        listing.attributes[column] = [WORDS[word] if word in WORDS else float(word) for word in words]
    except ValueError:
        return


def _of_celeba(store: Store, pictures: list[Entry], table: str, identities: list[str]) -> Listing:
    lines = _text(store, table).splitlines()
    columns = lines[1].lower().split() if len(lines) > 1 else []
    rows = {line.split(None, 1)[0]: line for line in lines[2:] if line.strip()}
    names = [basename(entry.name) for entry in pictures]
    listing, found = _joined(store, pictures, names, rows, table)
    listing.layout = "CelebA"
    values = []
    for line in found:
        name, *cells = line.split()
        if len(cells) != len(columns) or not CELEBA.keys() >= set(cells):
            raise BadData(
                f"{store.path}: {shown(table)} is not CelebA's table: "
                f"the line of {shown(name)} should hold {len(columns)} values, each 1 or -1."
            )
        values.append([CELEBA[cell] for cell in cells])
    listing.attributes = {column: list(each) for column, each in zip(columns, zip(*values, strict=True), strict=True)}
    pairs = (line.split() for line in (_text(store, identities[0]).splitlines() if identities else ()))
    persons = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    listing.persons = [persons.get(basename(entry.name)) for entry in listing.entries]
    return listing


def _of_stylegan(store: Store, pictures: list[Entry], table: str) -> Listing:
    labels = _json(store, table).get("labels")
    listing = Listing(pictures, persons=[None] * len(pictures), layout="StyleGAN")
    if not labels:
        return listing
    try:
        known = [(_key(name, dirname(table)), label) for name, label in labels if label is not None]
        rows = {key: label if isinstance(label, list) else [label] for key, label in known}
        longest = max((len(row) for row in rows.values()), default=0)
        found = [rows.get(_key(entry.name), [nan] * longest) for entry in pictures]
        for i in range(longest):
            listing.attributes["label" if longest == 1 else f"label_{i}"] = [float(row[i]) for row in found]
    except (TypeError, ValueError, IndexError, AttributeError, OverflowError):
        raise BadData(
            f"{store.path}: the labels of {shown(table)} are not StyleGAN's list of [file name, label]. "
            "Without the file, the pictures can be used unlabelled."
        ) from None
    return listing


def _of_folders(pictures: list[Entry]) -> Listing:
    listing = Listing(pictures, persons=[person_of(entry.name) for entry in pictures])
    persons = [person for person in listing.persons if person]
    if persons and len(persons) <= MOST_OF_A_PERSON * len(set(persons)):
        listing.layout = "LFW"
        return listing
    listing.persons = [None] * len(pictures)
    classes = [basename(dirname(entry.name)) for entry in pictures]
    if 1 < len(set(classes)) <= MOST_CLASSES:
        listing.layout = "class folders"
        for name in sorted(set(classes) - {""}):
            listing.attributes[name] = [float(each == name) for each in classes]
    return listing


def _joined(
    store: Store, pictures: list[Entry], keys: list[str], rows: Mapping[str, Row], table: str
) -> tuple[Listing, list[Row]]:
    """The pictures that stand in a table, and the row of each."""
    found = [(entry, rows[key]) for entry, key in zip(pictures, keys, strict=True) if key in rows]
    if not found:
        raise BadData(
            f"{store.path}: none of the {len(pictures)} pictures stands among the {len(rows)} rows of {shown(table)}. "
            "Was it made for other pictures? Without it, they can be used as they are."
        )
    listing = Listing([entry for entry, _ in found])
    absent, unlisted = len(rows.keys() - set(keys)), len(pictures) - len(found)
    if absent:
        listing.notices.append(f"{absent} pictures of {shown(table)} are not there any more, and are left out")
    if unlisted:
        listing.notices.append(f"{unlisted} pictures stand in no row of {shown(table)}, and are left out")
    return listing, [row for _, row in found]


def _key(name: str, folder: str = "") -> str:
    """One spelling for all that name the same file: Windows' separators, `./`, and accents as macOS writes them."""
    return normalize("NFC", normpath((f"{folder}/{name}" if folder else name).replace("\\", "/")))


def _text(store: Store, name: str) -> str:
    """A table's text; names in it that are no UTF-8 compare equal to those of the disk."""
    try:
        return store.read(name).decode("utf-8-sig", errors="surrogateescape")
    except BadPicture as reason:
        raise BadData(f"{store.path}: {shown(name)} can't be used: {reason}.") from None


def _json(store: Store, name: str) -> dict[str, Any]:
    try:
        read = json.loads(_text(store, name))
    except (ValueError, RecursionError) as error:
        raise BadData(f"{store.path}: {shown(name)} is not JSON ({error}). Mend it, or move it away.") from None
    if not isinstance(read, dict):
        raise BadData(f"{store.path}: {shown(name)} holds no JSON object. Mend it, or move it away.")
    return read

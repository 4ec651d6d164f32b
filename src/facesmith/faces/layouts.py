"""The supported dataset layouts, read as one list of pictures with attributes and persons.

The first layout that fits is used:
  metadata.csv          `file_name` and other columns (the imagefolder convention; `extract` writes it)
  list_attr_celeba.txt  CelebA's table of 40 attributes, -1 or 1; its identity_CelebA.txt gives the persons
  dataset.json          StyleGAN's labels
  folders               Name/Name_0001.jpg are persons (LFW); other folders are classes
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from math import nan
from posixpath import basename, dirname, join, normpath, splitext
from typing import Any, TypeVar
from unicodedata import normalize

from facesmith.errors import BadData, BadPicture
from facesmith.io.json_files import as_schema, parse_as
from facesmith.io.store import SortedFiles, Store, StoredFile, printable, sort_by_kind
from facesmith.photos.align import LANDMARK_NAMES, framing_from_header
from facesmith.photos.journal import JOURNAL_NAME
from facesmith.photos.split import person_of

GEOMETRY_COLUMNS = frozenset(  # columns of `extract` that are no attributes
    {"left", "top", "width", "height", "confidence", "blur", "file_name", "source"}
    | {f"{landmark}_{axis}" for landmark in LANDMARK_NAMES for axis in "xy"}
    | {f"affine_{i}{j}" for i in "01" for j in "012"}
)
PERSON_COLUMNS = ("person", "identity")
TEXT_VALUES = {"": nan, "true": 1.0, "false": 0.0}
CELEBA_VALUES = {"1": 1.0, "-1": 0.0, "0": 0.0}
MAX_CLASSES = 64
KNOWN_FILES = frozenset(  # tables that are read, and what `extract` writes
    {
        *("metadata.csv", "faces.json", "rejected.csv", "report.html", "dataset.json"),
        *("list_attr_celeba.txt", "identity_CelebA.txt"),
    }
)
MAX_KINDS_LISTED = 5
MAX_MEAN_PER_PERSON = 100  # folders with more pictures on average are classes: smiling/smiling_0001.jpg

Row = TypeVar("Row")


@dataclass
class Listing:
    """The pictures of a dataset, not read yet.

    Attributes:
        files: sorted by name.
        attributes: by name, one value per file; NaN if unknown.
        persons: one name per file, or None.
        layout: the layout that was recognized.
        header: `faces.json` of an extraction, or empty.
        notices: one line each, for the user.
    """

    files: list[StoredFile]
    attributes: dict[str, list[float]] = field(default_factory=dict)
    persons: list[str | None] = field(default_factory=list)
    layout: str = "pictures"
    header: dict[str, Any] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def read_listing(store: Store) -> Listing:
    """The pictures in a store, with their attributes and persons.

    Raises:
        BadData: there are no pictures, or a table can't be read.
    """
    files = sort_by_kind(store)
    if not files.pictures:
        count = len(files.videos) + len(files.others)
        raise BadData(
            f"{store.path} has no pictures among its {count} files{_ignored_text(files)}. "
            "Give a folder or a zip of faces. To find faces in photos and videos: facesmith extract"
        )
    listing = _read_layout(store, files)
    if ignored := _ignored_text(files, listing.layout):
        listing.notices.append(f"files that are no pictures are ignored{ignored}")
    return listing


def _ignored_text(files: SortedFiles, layout: str = "") -> str:
    """The number of files by kind that are no pictures, in brackets. Tables of a known layout are not counted."""
    ignored = files.ignored.copy()
    for file in files.others if layout else ():
        if basename(file.name) in KNOWN_FILES:
            ignored[splitext(file.name)[1].lower()] -= 1
    ignored["videos"] += len(files.videos)
    text = ", ".join(f"{count} {kind}" for kind, count in ignored.most_common(MAX_KINDS_LISTED) if count > 0)
    return f" ({text})" if text else ""


def _read_layout(store: Store, files: SortedFiles) -> Listing:
    pictures = files.pictures
    tables: dict[str, list[str]] = {}  # paths by file name, the least nested first
    for name in sorted((file.name for file in files.others), key=lambda name: (name.count("/"), name)):
        tables.setdefault(basename(name), []).append(name)
    if "metadata.csv" in tables:
        return _read_metadata(store, pictures, tables["metadata.csv"], tables.get("faces.json", []))
    if "list_attr_celeba.txt" in tables:
        return _read_celeba(store, pictures, tables["list_attr_celeba.txt"][0], tables.get("identity_CelebA.txt", []))
    if "dataset.json" in tables:
        return _read_stylegan(store, pictures, tables["dataset.json"][0])
    listing = _read_folders(pictures)
    if (store.path / JOURNAL_NAME).exists():
        listing.notices.append("an extraction into this folder was interrupted; run the same extract again to resume")
    return listing


def _read_metadata(store: Store, pictures: list[StoredFile], tables: list[str], headers: list[str]) -> Listing:
    """Read every metadata.csv; each describes its own folder. Most datasets have one."""
    columns: list[str] = []
    rows: dict[str, list[str]] = {}
    repeated = 0
    for table in tables:
        own_columns, own_rows = _read_csv(store, table)
        columns += [column for column in own_columns if column not in columns]
        same_order = own_columns == columns[: len(own_columns)]
        name_column, folder = own_columns.index("file_name"), dirname(table)
        for cells in own_rows:
            key = _key(cells[name_column], folder) if len(cells) > name_column and cells[name_column] else ""
            repeated += key in rows
            rows.setdefault(key, cells if same_order else _reorder(cells, own_columns, columns))
    rows.pop("", None)  # rows without a name
    tables_text = tables[0] if len(tables) == 1 else f"{len(tables)} tables metadata.csv"
    keys = [_key(picture.name) for picture in pictures]
    listing, picture_rows = _join_rows(store, pictures, keys, rows, tables_text)
    listing.layout = "metadata.csv"
    if repeated:
        listing.notices.append(f"{repeated} rows of {printable(tables_text)} ignored: no file name, or a repeated one")
    _add_header(listing, store, [name for name in headers if join(dirname(name), "metadata.csv") in tables])
    columns_of_cells = dict(zip(columns, zip_longest(*picture_rows, fillvalue=""), strict=False))
    person_column = next((column for column in PERSON_COLUMNS if column in columns), "")
    persons, sources = (columns_of_cells.get(name, [""] * len(picture_rows)) for name in (person_column, "source"))
    for file, person, source in zip(listing.files, persons, sources, strict=True):
        listing.persons.append(person or person_of(source or file.name))
    for column, texts in columns_of_cells.items():
        if column and column not in GEOMETRY_COLUMNS and column != person_column:
            _add_attribute(listing, column, texts)
    return listing


def _read_csv(store: Store, table: str) -> tuple[list[str], list[list[str]]]:
    """The columns of a table, which include `file_name`, and its rows. Rows may have fewer cells than columns."""
    lines = csv.reader(io.StringIO(_read_text(store, table), newline=""))
    try:
        columns = [column.strip() for column in next(lines, [])]
        rows = [cells for cells in lines if cells]
    except csv.Error as error:
        where = f"{store.path}: {printable(table)}, line {lines.line_num}"
        raise BadData(f"{where}: {error}. Expected a table with comma-separated values (CSV).") from None
    if "file_name" not in columns:
        names = printable(", ".join(columns))[:200] or "nothing"
        raise BadData(
            f"{store.path}: the first line of {printable(table)} has no column file_name, only: {names}. "
            "Expected column names separated by commas."
        )
    return columns, rows


def _reorder(cells: list[str], own_columns: list[str], columns: list[str]) -> list[str]:
    by_name = dict(zip(own_columns, cells, strict=False))
    return [by_name.get(column, "") for column in columns]


def _add_header(listing: Listing, store: Store, headers: list[str]) -> None:
    """Add the faces.json of the extraction, if all extractions in the dataset have the same alignment."""
    contents = [_read_json(store, name) for name in headers]
    if not contents:
        return
    listing.layout = "extracted faces"
    try:
        framing_from_header(as_schema(contents[0].get("alignment"), dict[str, Any]))
    except (BadData, ValueError) as error:
        listing.notices.append(f"alignment unknown, so invert has to estimate it: {printable(headers[0])}: {error}")
        return
    if all(header.get("alignment") == contents[0].get("alignment") for header in contents):
        listing.header = contents[0]
    else:
        listing.notices.append(f"alignment unknown: {len(contents)} extractions with different alignments are mixed")


def _add_attribute(listing: Listing, column: str, texts: Sequence[str]) -> None:
    """Add a column as an attribute if its texts are numbers, true, false or empty."""
    try:
        listing.attributes[column] = list(map(float, texts))
        return
    except ValueError:
        pass
    try:
        clean = [text.strip().lower() for text in texts]
        listing.attributes[column] = [TEXT_VALUES[text] if text in TEXT_VALUES else float(text) for text in clean]
    except ValueError:
        return


def _read_celeba(store: Store, pictures: list[StoredFile], table: str, identities: list[str]) -> Listing:
    lines = _read_text(store, table).splitlines()
    columns = lines[1].lower().split() if len(lines) > 1 else []
    rows = {line.split(None, 1)[0]: line for line in lines[2:] if line.strip()}
    names = [basename(picture.name) for picture in pictures]
    listing, picture_lines = _join_rows(store, pictures, names, rows, table)
    listing.layout = "CelebA"
    values = []
    for line in picture_lines:
        name, *cells = line.split()
        if len(cells) != len(columns) or not CELEBA_VALUES.keys() >= set(cells):
            raise BadData(
                f"{store.path}: {printable(table)} is not CelebA's table: "
                f"the line of {printable(name)} should have {len(columns)} values, each 1 or -1."
            )
        values.append([CELEBA_VALUES[cell] for cell in cells])
    by_column = zip(columns, zip(*values, strict=True), strict=True)
    listing.attributes = {column: list(column_values) for column, column_values in by_column}
    pairs = (line.split() for line in (_read_text(store, identities[0]).splitlines() if identities else ()))
    persons = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    listing.persons = [persons.get(basename(file.name)) for file in listing.files]
    return listing


def _read_stylegan(store: Store, pictures: list[StoredFile], table: str) -> Listing:
    labels = _read_json(store, table).get("labels")
    listing = Listing(pictures, persons=[None] * len(pictures), layout="StyleGAN")
    if not labels:
        return listing
    try:
        labeled = [(_key(name, dirname(table)), label) for name, label in labels if label is not None]
        rows = {key: label if isinstance(label, list) else [label] for key, label in labeled}
        longest = max((len(row) for row in rows.values()), default=0)
        picture_rows = [rows.get(_key(picture.name), [nan] * longest) for picture in pictures]
        for i in range(longest):
            listing.attributes["label" if longest == 1 else f"label_{i}"] = [float(row[i]) for row in picture_rows]
    except (TypeError, ValueError, IndexError, AttributeError, OverflowError):
        raise BadData(
            f"{store.path}: the labels of {printable(table)} are not StyleGAN's list of [file name, label]. "
            "Correct the file, or remove it to use the pictures without labels."
        ) from None
    return listing


def _read_folders(pictures: list[StoredFile]) -> Listing:
    listing = Listing(pictures, persons=[person_of(picture.name) for picture in pictures])
    persons = [person for person in listing.persons if person]
    if persons and len(persons) <= MAX_MEAN_PER_PERSON * len(set(persons)):
        listing.layout = "LFW"
        return listing
    listing.persons = [None] * len(pictures)
    classes = [basename(dirname(picture.name)) for picture in pictures]
    if 1 < len(set(classes)) <= MAX_CLASSES:
        listing.layout = "class folders"
        for name in sorted(set(classes) - {""}):
            listing.attributes[name] = [float(each == name) for each in classes]
    return listing


def _join_rows(
    store: Store, pictures: list[StoredFile], keys: list[str], rows: Mapping[str, Row], table: str
) -> tuple[Listing, list[Row]]:
    """The pictures that have a row in a table, and their rows."""
    pairs = [(picture, rows[key]) for picture, key in zip(pictures, keys, strict=True) if key in rows]
    if not pairs:
        raise BadData(
            f"{store.path}: none of the {len(pictures)} pictures is among the {len(rows)} rows of {printable(table)}. "
            "Correct the table, or remove it to use the pictures without labels."
        )
    listing = Listing([picture for picture, _ in pairs])
    missing, unlisted = len(rows.keys() - set(keys)), len(pictures) - len(pairs)
    if missing:
        listing.notices.append(f"{missing} rows of {printable(table)} skipped: their pictures do not exist")
    if unlisted:
        listing.notices.append(f"{unlisted} pictures skipped: they are not in {printable(table)}")
    return listing, [row for _, row in pairs]


def _key(name: str, folder: str = "") -> str:
    """One spelling for all names of a file: Windows' separators, `./`, and accents as macOS writes them."""
    return normalize("NFC", normpath((f"{folder}/{name}" if folder else name).replace("\\", "/")))


def _read_text(store: Store, name: str) -> str:
    """The text of a table. File names that are not UTF-8 compare equal to those on disk."""
    try:
        return store.read(name).decode("utf-8-sig", errors="surrogateescape")
    except BadPicture as reason:
        raise BadData(f"{store.path}: {printable(name)} can't be read: {reason}.") from None


def _read_json(store: Store, name: str) -> dict[str, Any]:
    try:
        return parse_as(_read_text(store, name), dict[str, Any])
    except ValueError as error:
        raise BadData(f"{store.path}: {printable(name)} can't be used: {error}. Correct it, or remove it.") from None

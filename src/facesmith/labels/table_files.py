"""Which files beside pictures are label tables, and how each format is read.

metadata.csv, .tsv             a column with file names, then labels; each describes its own folder
metadata.jsonl, .parquet       the same, as `datasets` also reads it
list_attr_celeba.txt or .csv   CelebA's 40 attributes, -1 or 1; identity_CelebA.txt has the persons
CelebAMask-HQ-attribute-anno.txt   the same for CelebAMask-HQ
lfw_attributes.txt             LFW's 73 attributes: person, number of the picture, numbers of both signs
dataset.json                   StyleGAN's list of pictures and labels

Stores such as Parquet files have tables of their own, see `Store.label_tables`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from posixpath import basename, dirname, splitext
from typing import Any

from facesmith.errors import BadData, BadPicture
from facesmith.io.attribute_options import attribute_name
from facesmith.io.decode_text import decode_text
from facesmith.io.file_kinds import HEAD_BYTES, kind_of_file
from facesmith.io.messages import as_typed, printable_name
from facesmith.labels.attributes import Convention
from facesmith.labels.records import parse_json_lines, parse_parquet
from facesmith.labels.table_text import (
    COMMA_OR_BLANKS,
    NAME_COLUMNS,
    TableText,
    UnusableTable,
    kind_of_text,
    parse,
    readable,
)
from facesmith.storage.store import LabelTable, Store, StoredFile

UNNAMED = re.compile(r"(unnamed|index_level)_[0-9]+")  # as pandas calls columns without a name, in CSV and Parquet
PERSON_COLUMNS = ("person", "identity", "celeb_id")
MAX_TABLE_BYTES = 2**27
EXAMPLE = "file_name,smiling"
MAX_NUMBER = 1e15  # in dataset.json
MAX_COLUMN_CHARS = 100  # of the name of a column; longer ones are cut
MAX_LABELS = 4096  # of one picture in dataset.json
METADATA = ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet")
RECORDS = {".jsonl": parse_json_lines, ".parquet": parse_parquet}
CELEBA = ("list_attr_celeba.txt", "list_attr_celeba.csv", "celebamask-hq-attribute-anno.txt")
CELEBA_PERSONS = ("identity_celeba.txt", "identity_celeba.csv")
LFW = ("lfw_attributes.txt",)
STYLEGAN = ("dataset.json",)
FORMATS = {"metadata.csv": METADATA, "CelebA": CELEBA, "LFW": LFW, "StyleGAN": STYLEGAN}  # the first is used
NO_LABELS = frozenset({"rejected.csv", "faces.json", "report.html", *CELEBA_PERSONS})  # known files, never mentioned
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".xlsx", ".xls", ".ods", ".jsonl"})
JSON_STEMS = ("metadata", "labels", "annotations", "attributes")  # in subfolders they often describe albums
NO_ATTRIBUTES = "it has no attributes"
JOIN_TABLES = "join the tables of its folder into one metadata.csv, with a column file_name"
CELEBA_POSITIONS = ("list_bbox_celeba", "list_landmarks_celeba", "list_landmarks_align_celeba", "list_eval_partition")


@dataclass
class Table:
    """A label table of N rows, not joined to pictures yet.

    Attributes:
        path: in the store.
        folder: from which the table names its pictures.
        columns: N cells each, by the name of the column.
        keys: possible names of the rows' pictures by column, N each, the most certain first.
        persons: N names of persons, or nothing.
        unnamed: columns without a name of their own, such as an index. They can only name the pictures.
        notices: what was repaired or left out.
    """

    path: str
    folder: str
    columns: dict[str, Sequence[str]]
    keys: dict[str, Sequence[str]]
    persons: Sequence[str] = ()
    unnamed: Sequence[str] = ()
    convention: Convention = ""
    notices: list[str] = field(default_factory=list)


def tables_by_format(files: Sequence[StoredFile]) -> dict[str, list[StoredFile]]:
    """The label tables of each format, the least nested first."""
    ordered = sorted(files, key=lambda file: (file.name.count("/"), not basename(file.name).islower(), file.name))
    return {
        name: [file for file_name in file_names for file in ordered if basename(file.name).lower() == file_name]
        for name, file_names in FORMATS.items()
    }


def other_tables(files: Sequence[StoredFile]) -> dict[str, str]:
    """Tables that no format knows, and what they would need."""
    known = NO_LABELS.union(*FORMATS.values())
    names = [file.name for file in files if basename(file.name).lower() not in known]
    advice = {name: text for name in names if (text := _advice(name.lower()))}
    usable = Counter(dirname(name) for name, text in advice.items() if text != NO_ATTRIBUTES)
    return {
        name: JOIN_TABLES if text != NO_ATTRIBUTES and usable[dirname(name)] > 1 else text
        for name, text in advice.items()
    }


def _advice(name: str) -> str:
    """What a table that is not read would need; empty for other files."""
    stem, suffix = splitext(name)
    if basename(stem) in CELEBA_POSITIONS:
        return NO_ATTRIBUTES
    if suffix in (".csv", ".tsv"):
        return f"rename it to metadata{suffix}, with a column file_name"
    if suffix == ".json" and stem in JSON_STEMS:
        return "save it as metadata.jsonl, one record in each line, with file_name"
    return "save it as metadata.csv, with a column file_name" if suffix in TABLE_SUFFIXES else ""


def read_table(store: Store, file: StoredFile) -> Table:
    """Read a label table.

    Raises:
        UnusableTable: it can't be used; the message is the reason.
        BadData: its bytes can't be read.
    """
    name = basename(file.name).lower()
    raw = read_bytes(store, file)
    kind, parse_records = kind_of_file(name, raw[:HEAD_BYTES]), RECORDS.get(splitext(name)[1])
    if name not in STYLEGAN and not parse_records and not kind.name:
        kind = kind_of_text(raw)
    if kind.name and not parse_records:
        expected = 'JSON with "labels"' if name in STYLEGAN else f"text with columns, such as {EXAMPLE}"
        raise UnusableTable(f"it is not a table, but: {kind.name}; expected {expected}")
    if name in STYLEGAN:
        return _read_stylegan(file.name, raw)
    text = parse_records(raw) if parse_records else parse(raw, blanks=name in CELEBA)
    if name in LFW:
        return _lfw_table(file.name, text)
    return _table(file.name, dirname(file.name), text, NAME_COLUMNS if name in METADATA else ())


def read_own_table(store: Store, own: LabelTable) -> Table:
    """A table that a store has for its own files."""
    text = TableText(list(own.columns), own.rows, list(own.notices))
    return _table(own.name or store.path.name, "", text, ("file_name",))


def _lfw_table(path: str, text: TableText) -> Table:
    """LFW's table, in which person and number name the picture. Raises UnusableTable."""
    table = Table(path, dirname(path), _columns(text), {}, convention="signed", notices=text.notices)
    columns = {attribute_name(column): column for column in table.columns}
    if not {"person", "imagenum"} <= columns.keys():
        raise UnusableTable("its line of column names lacks person and imagenum, separated by tabs")
    persons, numbers = table.columns.pop(columns["person"]), table.columns.pop(columns["imagenum"])
    table.persons = [person.replace(" ", "_") for person in persons]
    table.keys[""] = list(map(_lfw_name, table.persons, numbers))
    return table


def _table(path: str, folder: str, text: TableText, name_columns: Sequence[str]) -> Table:
    """A table whose pictures are named in one of these columns, or in its first one."""
    table = Table(path, folder, _columns(text), {}, notices=text.notices)
    table.unnamed = [name for name in table.columns if UNNAMED.fullmatch(attribute_name(name))]
    columns = {attribute_name(column): column for column in table.columns}
    for person in PERSON_COLUMNS:
        if person in columns and not table.persons:
            table.persons = table.columns.pop(columns.pop(person))
    names = [columns[each] for each in name_columns if each in columns]
    for column in (*names, *list(columns.values())[:1]):
        table.keys[column] = table.columns[column]
    return table


def _columns(text: TableText) -> dict[str, Sequence[str]]:
    """The cells by column. Of several columns with one name the first is used; columns without a name are numbered."""
    columns: dict[str, Sequence[str]] = {}
    taken: set[str] = set()
    for i, (column, cells) in enumerate(zip(text.columns, _transposed(text.rows, len(text.columns)), strict=True)):
        column = readable(column)[:MAX_COLUMN_CHARS] if attribute_name(readable(column)) else f"unnamed {i}"
        if attribute_name(column) in taken:
            text.notices.append(f"column {column[:80]} occurs twice, and the first is used")
            continue
        taken.add(attribute_name(column))
        columns[column] = cells
    return columns


def _transposed(rows: Sequence[Sequence[str]], count: int) -> Sequence[Sequence[str]]:
    """The cells by column, also without rows."""
    return list(zip(*rows, strict=True)) if rows else [()] * count


def _lfw_name(person: str, number: str) -> str:
    """The name of a picture of LFW: `Ann_Lee` and 2 give `Ann_Lee_0002.jpg`."""
    is_number = number.isascii() and number.isdecimal() and len(number) < 10
    return f"{person}_{int(number):04d}.jpg" if person and is_number else ""


def read_bytes(store: Store, file: StoredFile) -> bytes:
    """The bytes of a table.

    Raises:
        UnusableTable: it is too large.
        BadData: it can't be read.
    """
    if file.size_bytes > MAX_TABLE_BYTES:
        raise UnusableTable(f"it has {file.size_bytes / 2**20:.0f} MiB, more than {MAX_TABLE_BYTES // 2**20}")
    try:
        return store.read(file.name)
    except BadPicture as reason:
        cause = str(reason).removeprefix("can't be read: ")
        raise BadData(f"{as_typed(store.path)}: {printable_name(file.name)} can't be read: {cause}.") from None


def read_persons(store: Store, file: StoredFile) -> list[tuple[str, str]]:
    """The names of pictures and their persons in CelebA's `identity_CelebA.txt`.

    Raises:
        UnusableTable: it is too large.
        BadData: it can't be read.
    """
    lines = (COMMA_OR_BLANKS.split(line.strip()) for line in decode_text(read_bytes(store, file)).splitlines())
    return [(cells[0], cells[1]) for cells in lines if len(cells) == 2 and all(cells)]


def _read_stylegan(path: str, raw: bytes) -> Table:
    """The labels of StyleGAN's `dataset.json`: numbers become a column `label`, lists `label_0`, `label_1` and so on.

    Pictures whose label is null, and labels that are null, have no row.
    """
    try:
        content = json.loads(decode_text(raw))
    except (ValueError, RecursionError) as error:
        raise UnusableTable(f"it is not JSON ({str(error)[:80]})") from None
    try:
        labels = content["labels"]
        pairs = labels.items() if isinstance(labels, dict) else labels or []
        labeled = [(name, label) for name, label in pairs if label is not None]
    except (TypeError, KeyError, ValueError):
        raise UnusableTable('it has no "labels" with a list of [file name, label]') from None
    lists = [label for _, label in labeled if isinstance(label, list)]
    length = len(lists[0]) if lists else 1
    if lists and (len(lists) != len(labeled) or {len(label) for label in lists} != {length} or length > MAX_LABELS):
        raise UnusableTable("its labels are not all numbers, or not all lists of one length")
    if not length:
        raise UnusableTable("its lists of labels are empty")
    rows = [[_cell(value) for value in (label if lists else [label])] for _, label in labeled]
    if not all(isinstance(name, str) for name, _ in labeled):
        raise UnusableTable('its "labels" are not a list of [file name, label]')
    names = [f"label_{i}" for i in range(length)] if lists and length > 1 else ["label"]
    columns = dict(zip(names, _transposed(rows, len(names)), strict=True))
    return Table(path, dirname(path), columns, {"": [name for name, _ in labeled]}, convention="codes")


def _cell(value: Any) -> str:
    """A label as the text of a cell. Numbers beyond floats are unknown."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, (bool, int, float)):
        return str(float(value)).removesuffix(".0") if abs(value) < MAX_NUMBER else ""
    raise UnusableTable("a label is neither a number nor text")

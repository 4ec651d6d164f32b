"""Labels in one small file per picture, as in a WebDataset: `000.jpg` with `000.json` or `000.cls`.

The names in a JSON object are columns. The text in a `.cls` file is the column `class`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from posixpath import splitext

from facesmith.errors import BadPicture
from facesmith.io.decode_text import decode_text
from facesmith.labels.records import MAX_COLUMNS, add_cells
from facesmith.labels.table_files import Table
from facesmith.labels.table_text import UnusableTable
from facesmith.storage.store import Store, StoredFile

SUFFIXES = frozenset({".cls", ".json"})
MAX_SIDECAR_BYTES = 2**16
CLASS = "class"  # the column of `.cls` files


def sidecars_of(pictures: Sequence[str], files: Sequence[StoredFile]) -> list[tuple[int, StoredFile]]:
    """The label files that lie beside one picture each, with the picture's index, sorted by name."""
    numbers = {splitext(picture)[0]: number for number, picture in enumerate(pictures)}
    parts = ((file, *splitext(file.name)) for file in files)
    return [(numbers[stem], file) for file, stem, suffix in parts if suffix.lower() in SUFFIXES and stem in numbers]


def read_sidecars(store: Store, pictures: Sequence[str], sidecars: Sequence[tuple[int, StoredFile]]) -> Table:
    """The label files as a table, with a row for each picture that has one. Damaged files are left out and counted.

    Args:
        sidecars: of `sidecars_of`, at least one.

    Raises:
        UnusableTable: no file has labels, or they have too many different names.
    """
    records: dict[int, dict[str, str]] = {}
    lists: dict[str, None] = {}
    damaged: list[str] = []
    for number, file in sidecars:
        record = _read(store, file, lists)
        if record is None:
            damaged.append(file.name)
        else:
            records.setdefault(number, {}).update(record)
    columns = dict.fromkeys(column for record in records.values() for column in record)
    if not columns or len(columns) > MAX_COLUMNS:
        reason = f"more than {MAX_COLUMNS} names of labels" if columns else "no labels"
        raise UnusableTable(f"{len(sidecars)} files beside pictures have {reason}")
    cells = {column: [record.get(column, "") for record in records.values()] for column in columns}
    table = Table(sidecars[0][1].name, "", dict(cells), {"": [pictures[number] for number in records]})
    if damaged:
        table.notices.append(
            f"{len(damaged)} label files can't be used: they are too large or no JSON objects, first {damaged[0]}"
        )
    if lists:
        table.notices.append(f"lists are not labels: {', '.join(lists)[:200]}")
    return table


def _read(store: Store, file: StoredFile, lists: dict[str, None]) -> dict[str, str] | None:
    """The labels in one file, also the names of its lists; None if it can't be used."""
    if file.size_bytes > MAX_SIDECAR_BYTES:
        return None
    try:
        text = decode_text(store.read(file.name))
        if file.name.lower().endswith(".cls"):
            return {CLASS: text.strip()}
        entry = json.loads(text)
    except (BadPicture, ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    record: dict[str, str] = {}
    add_cells(record, lists, "", entry)
    return record

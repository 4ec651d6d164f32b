"""Tables of records -> texts: `metadata.jsonl` and `metadata.parquet`, which `datasets` reads like `metadata.csv`."""

from __future__ import annotations

import io
import json
from typing import Any

from facesmith.errors import BadData
from facesmith.io.decode_text import decode_text
from facesmith.labels.table_text import TableText, UnusableTable
from facesmith.storage.parquet import read_label_columns

MAX_COLUMNS = 4096


def parse_json_lines(raw: bytes) -> TableText:
    """The records of a file with one JSON object a line.

    Objects in an object give columns such as `pose.yaw`. Lists are left out. A line that is not an object is skipped.

    Raises:
        UnusableTable: there is no object, or they have too many different names.
    """
    records: list[dict[str, str]] = []
    columns: dict[str, None] = {}
    lists: dict[str, None] = {}
    damaged: list[int] = []
    for number, line in enumerate(decode_text(raw).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict):
            damaged.append(number)
            continue
        record: dict[str, str] = {}
        add_cells(record, lists, "", entry)
        records.append(record)
        columns |= dict.fromkeys(record)
        if len(columns) > MAX_COLUMNS:
            raise UnusableTable(f"it has more than {MAX_COLUMNS} columns")
    if not records:
        raise UnusableTable("no line is a JSON object")
    table = TableText(list(columns), [[record.get(name, "") for name in columns] for record in records])
    if damaged:
        table.notices.append(f"{len(damaged)} lines are skipped: they are not JSON objects, first line {damaged[0]}")
    if lists:
        table.notices.append(f"columns that are not labels: {', '.join(lists)[:200]}")
    return table


def add_cells(record: dict[str, str], lists: dict[str, None], prefix: str, entry: dict[str, Any]) -> None:
    """Add the values of a JSON object as texts, and the names of its lists."""
    for name, value in entry.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and not prefix:
            add_cells(record, lists, f"{path}.", value)
        elif isinstance(value, dict | list):
            lists[path] = None
        elif isinstance(value, bool):
            record[path] = str(int(value))
        else:
            record[path] = "" if value is None else str(value)


def parse_parquet(raw: bytes) -> TableText:
    """The columns of a Parquet table without pictures.

    Raises:
        UnusableTable: it is damaged, or pyarrow is not installed.
    """
    try:
        columns, unused = read_label_columns(io.BytesIO(raw))
    except BadData as error:
        raise UnusableTable(str(error).rstrip(".")) from None
    table = TableText(list(columns), [list(cells) for cells in zip(*columns.values(), strict=True)])
    if unused:
        table.notices.append(f"columns that are not labels: {', '.join(unused)[:200]}")
    return table

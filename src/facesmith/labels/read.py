"""The labels of all pictures in a folder or archive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from posixpath import basename, dirname

from facesmith.io.attribute_options import attribute_name
from facesmith.io.messages import printable_name
from facesmith.labels.attributes import Convention
from facesmith.labels.folders import classes_of, persons_of
from facesmith.labels.join import Join, join_rows, without_ending
from facesmith.labels.sidecars import read_sidecars, sidecars_of
from facesmith.labels.table_files import (
    CELEBA_PERSONS,
    Table,
    other_tables,
    read_own_table,
    read_persons,
    read_table,
    tables_by_format,
)
from facesmith.labels.table_text import UnusableTable, readable
from facesmith.storage.store import Store, StoredFile

MAX_NAME_CHARS = 80


@dataclass
class Labels:
    """The labels of N pictures, as texts.

    Attributes:
        columns: N cells each, by the name of the column; empty if unknown.
        persons: a name for each picture; empty if unknown.
        has_row: whether each picture has a row in a table.
        format: of the tables that are used, as in `table_files.FORMATS`, or "Parquet"; empty if there are none.
        files: their paths.
        convention: how the numbers in the tables are meant (see `attributes_of`).
        sidecars: names of the label files that belong to one picture each, whether or not they are used.
        unused: tables that are not used, with the reason or what they would need.
        notices: what else the user should know, one line each.
    """

    columns: dict[str, list[str]] = field(default_factory=dict)
    persons: list[str] = field(default_factory=list)
    has_row: list[bool] = field(default_factory=list)
    format: str = ""
    files: list[str] = field(default_factory=list)
    convention: Convention = ""
    sidecars: list[str] = field(default_factory=list)
    unused: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def read_labels(store: Store, pictures: Sequence[str], others: Sequence[StoredFile]) -> Labels:
    """Read the label tables in a store. A table that can't be used becomes an entry of `unused`, not an error.

    Args:
        pictures: names of the pictures, and of videos.
        others: the other files of the store, among which tables are looked for.

    Raises:
        BadData: the bytes of a table can't be read.
    """
    count = len(pictures)
    labels = Labels(persons=[""] * count, has_row=[False] * count)
    for own in store.label_tables():
        if len(own.columns) > 1:
            _add_table(labels, read_own_table(store, own), pictures, "Parquet")
        else:
            labels.notices += [f"{own.name or store.path.name}: {notice}" for notice in own.notices]
    for format_name, files in tables_by_format(others).items():
        for file in files:
            if labels.files and not (format_name == "metadata.csv" and labels.format in ("metadata.csv", "Parquet")):
                labels.unused[file.name] = f"{labels.files[0]} is used instead"
                continue
            try:
                _add_table(labels, read_table(store, file), pictures, format_name)
            except UnusableTable as reason:
                labels.unused[file.name] = str(reason)
    labels.unused |= other_tables(others)
    _add_sidecars(labels, store, pictures, others)
    if labels.files and not all(labels.has_row):
        tables = printable_name(labels.files[0]) if len(labels.files) == 1 else f"{len(labels.files)} tables"
        labels.notices.append(f"{labels.has_row.count(False)} of {count} pictures have no row in {tables}")
    if labels.format == "CelebA":
        _add_persons(labels, store, pictures, others)
    return labels


def _join(table: Table, pictures: Sequence[str]) -> Join:
    """The rows of a table by picture. Columns that are not labels are removed from the table.

    Raises:
        UnusableTable: no row names a picture.
    """
    first_line = list(table.columns)
    for column, keys in table.keys.items():
        if without_ending(column) != column and join_rows([column], pictures, table.folder).row_of:
            raise UnusableTable(
                f"its first line names the picture {_shown(column)}; write the names of the columns above it, such as "
                + ",".join(["file_name", *("label" for _ in first_line[1:2])])
            )
        join = join_rows(keys, pictures, table.folder)
        if join.row_of:
            for name in (column, *table.unnamed):
                table.columns.pop(name, None)
            return join
    names = [key for keys in list(table.keys.values())[:1] for key in keys if key]
    example = f"the first is {_shown(names[0])}, the first picture is {_shown(pictures[0])}" if names else "it is empty"
    raise UnusableTable(f"none of its {len(names)} names belongs to one of the {len(pictures)} pictures: {example}")


def _add_table(labels: Labels, table: Table, pictures: Sequence[str], format_name: str) -> None:
    """Add the cells of the pictures that have no row in an earlier table, and the notices about the table.

    Raises:
        UnusableTable: no row names a picture.
    """
    join = _join(table, pictures)
    labels.format, labels.convention = format_name, table.convention
    labels.files.append(table.path)
    pairs = [(picture, row) for picture, row in join.row_of.items() if not labels.has_row[picture]]
    names = {attribute_name(column): column for column in labels.columns}
    for column, cells in table.columns.items():
        column = names.get(attribute_name(column), column)
        values = labels.columns.setdefault(column, [""] * len(labels.has_row))
        for picture, row in pairs:
            values[picture] = cells[row]
    for picture, row in pairs:
        labels.has_row[picture] = True
        if table.persons:
            labels.persons[picture] = table.persons[row]
    path = printable_name(table.path)
    labels.notices += [f"{path}: {printable_name(notice)}" for notice in table.notices]
    if join.unnamed:
        labels.notices.append(f"{path}: rows without a file name: {join.unnamed}")
    earlier = len(join.row_of) - len(pairs)
    for keys, text in (
        (join.unmatched, "rows whose picture does not exist"),
        (join.ambiguous, "rows that are not used, because they match several pictures, or one picture equally well"),
        (join.repeated, "rows that are not used, because an earlier row has the same picture"),
    ):
        if keys:
            labels.notices.append(f"{path}: {text}: {len(keys)}, such as {_shown(keys[0])}")
    if earlier:
        labels.notices.append(
            f"{path}: rows that are not used, because {printable_name(labels.files[0])} has the same picture: {earlier}"
        )


def _add_sidecars(labels: Labels, store: Store, pictures: Sequence[str], others: Sequence[StoredFile]) -> None:
    """Add the labels in one file per picture, unless a table or the names of folders already have labels."""
    sidecars = sidecars_of(pictures, others)
    if not sidecars:
        return
    labels.sidecars = [file.name for _, file in sidecars]
    used = f"{printable_name(labels.files[0])} is" if labels.files else ""
    if not used and (any(persons_of(pictures)) or any(classes_of(pictures, store.archives())[0])):
        used = "the names of the folders are"
    if used:
        labels.unused[labels.sidecars[0]] = f"{used} used instead of {len(sidecars)} files with labels of one picture"
        return
    try:
        _add_table(labels, read_sidecars(store, pictures, sidecars), pictures, "WebDataset")
    except UnusableTable as reason:
        labels.unused[labels.sidecars[0]] = str(reason)


def _add_persons(labels: Labels, store: Store, pictures: Sequence[str], others: Sequence[StoredFile]) -> None:
    """Add the persons of CelebA's own table, if it is there."""
    file = next((file for file in others if basename(file.name).lower() in CELEBA_PERSONS), None)
    if file is None:
        return
    try:
        pairs = read_persons(store, file)
    except UnusableTable as reason:
        labels.unused[file.name] = str(reason)
        return
    labels.files.append(file.name)
    for picture, row in join_rows([name for name, _ in pairs], pictures, dirname(file.name)).row_of.items():
        labels.persons[picture] = pairs[row][1]


def _shown(name: str) -> str:
    return printable_name(readable(name))[:MAX_NAME_CHARS]

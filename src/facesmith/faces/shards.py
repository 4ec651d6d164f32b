"""Faces in the shards that `extract --shards` writes.

`metadata.csv` lists the faces; remove a row to leave out a face. The records of the shards say where each picture lies
in its tar, so no tar is scanned. Several processes that train together read different training faces.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from facesmith.errors import BadData
from facesmith.faces.layouts import GEOMETRY_COLUMNS, Listing, read_listing
from facesmith.io.decode_text import decode_text, encoding_of
from facesmith.io.files import open_regular_file
from facesmith.io.json_files import MAX_JSON_BYTES, as_schema, parse_as
from facesmith.labels import attributes_of
from facesmith.labels.folders import person_of, unless_classes
from facesmith.labels.table_text import delimiter_of
from facesmith.photos import shard_files
from facesmith.photos.shard_files import NAME_IN_SHARD, SPLIT_COLUMN, ShardEntry, ShardRecord
from facesmith.photos.split import PARTS, PERSON, group_name
from facesmith.pictures.images import Pixels
from facesmith.storage.open_store import open_store
from facesmith.storage.seekable import read_at
from facesmith.storage.store import Store, StoredFile

MAX_HEADER_BYTES = 2**16  # of the line with the names of columns
OPEN_SHARDS = 8  # whose records and tars are kept open
ADVICE = "To repair it, run the same extract again."


def read_dataset(path: Path) -> tuple[Store, Listing]:
    """The store of a dataset of faces, and the list of its pictures: a `ShardListing` if they are in shards.

    Raises:
        BadData: it can't be opened or has no pictures, or a shard is missing or damaged.
    """
    header = _shards_header(path)
    if header is not None:
        shard_store = ShardStore(path, header)
        return shard_store, read_shards(shard_store)
    store = open_store(path)
    return store, read_listing(store)


def is_sharded(path: Path) -> bool:
    """Whether `extract --shards` wrote a folder."""
    return _shards_header(path) is not None


def _shards_header(path: Path) -> dict[str, Any] | None:
    """The `faces.json` of an extraction in shards; None for other datasets."""
    try:
        with open_regular_file(path / "faces.json") as stream:
            header = parse_as(stream.read(MAX_JSON_BYTES), dict[str, Any])
    except (OSError, ValueError):
        return None
    return header if header.get("shards") is not None else None


class ShardStore(Store):
    """A folder of shards.

    Attributes:
        header: the content of `faces.json`.
        entries: what it says about each shard.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path, self.header = path, header
        try:
            self.entries = as_schema(header["shards"], list[ShardEntry])
        except ValueError as error:
            raise BadData(f"{path / 'faces.json'} can't be used: shards: {error}. {ADVICE}") from None
        if problem := shard_files.problem_of(path, self.entries):
            raise BadData(f"{problem}. {ADVICE}")
        self._shard = lru_cache(OPEN_SHARDS)(partial(_open_shard, path, self.entries))

    def files(self) -> list[StoredFile]:
        raise NotImplementedError  # `read_shards` lists the faces

    def read(self, name: str) -> bytes:
        """The picture of a face.

        Raises:
            BadData: it can't be read, or differs from the record of its shard, or the record from `faces.json`.
        """
        shard, number = _place(name)
        try:
            record, tar = self._shard(shard)
            if number >= len(record.sha256):
                raise BadData(f"{self.path / 'metadata.csv'} lists {name}, which is not in its shard. {ADVICE}")
            content = tar.read(record.offsets[number], record.record.sizes_bytes[number])
        except OSError as error:
            raise BadData(f"{self.path}: {name} can't be read: {error.strerror or error}.") from None
        if hashlib.sha256(content).hexdigest() != record.sha256[number]:
            raise BadData(f"{self.path}: {name} is damaged: it differs from {_delete(shard_files.record_name(shard))}")
        return content

    def head(self, name: str) -> bytes:
        return self.read(name)


def _open_shard(path: Path, entries: Sequence[ShardEntry], shard: int) -> tuple[ShardRecord, _Tar]:
    record, entry = shard_files.read_record(path, shard), entries[shard]
    if (n_faces := len(record.sha256)) != entry.faces or record.tar_sha256 != entry.tar_sha256:
        differs = f"{n_faces} faces, expected {entry.faces}" if n_faces != entry.faces else "tar"
        raise BadData(f"{path}: faces.json disagrees ({differs}) with {_delete(shard_files.record_name(shard))}")
    return record, _Tar(open_regular_file(path / shard_files.tar_name(shard)))


def _delete(record: str) -> str:
    return f"{record}. To repair the shard, delete {record} and run the same extract again."


class _Tar:
    """An open tar that threads may share. It is closed when nothing refers to it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._lock = stream, threading.Lock()
        weakref.finalize(self, stream.close)

    def read(self, offset: int, size_bytes: int) -> bytes:
        return read_at(self._stream, self._lock, offset, size_bytes)


def _place(name: str) -> tuple[int, int]:
    """The shard and the number of a face by its name."""
    match = NAME_IN_SHARD.fullmatch(name)
    assert match is not None
    return int(match[1]), int(match[2])


@dataclass
class ShardListing(Listing):
    """The faces in shards.

    Attributes:
        parts: int8, the split of each face: index in `split.PARTS`.
        groups: the person of each face, or the face itself.
        versions: of each shard; changes with its content.
    """

    parts: NDArray[np.int8] = field(default_factory=lambda: np.empty(0, np.int8))
    groups: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    def fingerprint_of(self, names: list[str]) -> str:
        """A hash of the shards, and of the faces that are used."""
        return hashlib.sha256(json.dumps([self.versions, names]).encode()).hexdigest()


def read_shards(store: ShardStore) -> ShardListing:
    """The faces that `metadata.csv` lists, with their attributes, persons and split.

    Raises:
        BadData: the table is missing or damaged, or lists faces that don't exist.
    """
    table = store.path / "metadata.csv"
    with _reading(table) as rows:
        return _list_faces(store, table, next(rows, []), rows)


def _list_faces(store: ShardStore, table: Path, columns: list[str], rows: Iterator[list[str]]) -> ShardListing:
    missing = [name for name in ("file_name", "source", SPLIT_COLUMN) if name not in columns]
    if missing:
        raise BadData(f"{table} has no column {missing[0]}. {ADVICE}")
    # A spreadsheet may have added columns without a name.
    chosen = [i for i, name in enumerate(columns) if name not in ("", SPLIT_COLUMN, *GEOMETRY_COLUMNS)]
    name_at, source_at, split_at = (columns.index(name) for name in ("file_name", "source", SPLIT_COLUMN))
    listing = ShardListing([], layout="extracted faces", header=store.header)
    cells: list[list[str]] = [[] for _ in chosen]
    texts: dict[str, str] = {}  # one object for equal cells
    parts: list[int] = []
    person_cells: list[str] = []
    persons: list[str | None] = []
    versions = [f"{entry.tar_bytes}-{entry.tar_sha256[:16]}" for entry in store.entries]
    person_at = columns.index(PERSON) if PERSON in columns else None
    for number, row in enumerate(rows, start=2):
        if not any(row):
            continue
        match = NAME_IN_SHARD.fullmatch(row[name_at]) if len(row) == len(columns) else None
        if match is None or int(match[1]) >= len(versions) or row[split_at] not in PARTS:
            raise BadData(f"{table}, line {number}, is not a face of these shards. {ADVICE}")
        listing.files.append(StoredFile(row[name_at], versions[int(match[1])], 0))
        person_cells.append(row[person_at] if person_at is not None else "")
        persons.append(person_of(row[source_at]))
        parts.append(PARTS.index(row[split_at]))
        for column, i in zip(cells, chosen, strict=True):
            column.append(texts.setdefault(row[i], row[i]))
    names = [file.name for file in listing.files]
    if len(set(names)) < len(names):
        raise BadData(f"{table} lists a face twice. {ADVICE}")
    if not names:
        raise BadData(f"{table} lists no faces.")
    listing.persons = [cell or person for cell, person in zip(person_cells, unless_classes(persons), strict=True)]
    listing.parts = np.array(parts, np.int8)
    listing.groups = [group_name(person, name) for person, name in zip(listing.persons, names, strict=True)]
    listing.versions = versions
    labels = {columns[i]: column for i, column in zip(chosen, cells, strict=True) if columns[i] != PERSON}
    attributes = attributes_of(labels)
    listing.attributes, listing.left_out, listing.notices = attributes.values, attributes.left_out, attributes.notices
    return listing


@contextmanager
def _reading(table: Path) -> Iterator[Iterator[list[str]]]:
    """The rows of a table, one at a time. A spreadsheet may have saved it, in another encoding, with semicolons."""
    try:
        with open_regular_file(table) as stream:
            header = stream.read(MAX_HEADER_BYTES)
            stream.seek(0)
            with io.TextIOWrapper(stream, encoding_of(header), "backslashreplace", newline="") as text:
                yield csv.reader(text, delimiter=delimiter_of(decode_text(header)) or ",")
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadData(f"{table} can't be read: {reason}. {ADVICE}") from None


def own_rows(parts: NDArray[np.int8], rank: int, processes: int) -> NDArray[np.int64]:
    """The rows that one of several training processes reads.

    These are every n-th training face. The first process, which evaluates, also has those of validation.
    """
    if processes == 1:
        return np.arange(len(parts))
    own = np.flatnonzero(parts == PARTS.index("train"))[rank::processes]
    others = np.flatnonzero(parts == PARTS.index("validation")) if rank == 0 else own[:0]
    return np.sort(np.concatenate([own, others]))


class OwnPixels:
    """The pixels of some of N faces by the rows of all: the part of a large dataset that one process has packed.

    Args:
        packed: uint8 `[M, S, S, C]`.
        rows: `[M]`, the row of each packed face among all.
        count: N.
    """

    def __init__(self, packed: Pixels, rows: NDArray[np.int64], count: int) -> None:
        self.packed = packed
        self.shape = (count, *packed.shape[1:])
        self._packed_row = np.full(count, -1, np.int64)
        self._packed_row[rows] = np.arange(len(rows))

    def __len__(self) -> int:
        return len(self._packed_row)

    def __getitem__(self, rows: NDArray[np.int64]) -> Pixels:
        """The pixels `[K, S, S, C]` of K rows, which must be packed."""
        chosen = self._packed_row[rows]
        assert (chosen >= 0).all(), "faces of another process"
        return self.packed[chosen]

"""The record of finished batches on disk, from which an interrupted extraction resumes.

The first line of JSON has the settings. Each further line is one finished batch of photos, written after its pictures.
An incomplete last line is ignored. When all photos are done, the tables are written from the journal, and it is
removed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

JOURNAL_NAME = ".extract.jsonl"


@dataclass
class BatchRecord:
    """One finished batch of photos.

    Attributes:
        n_photos, n_unreadable, n_faceless: counts of photos.
        kept: for each face that was kept, its row of `metadata.csv`.
        hashes: the faces' perceptual hashes, as hexadecimal digits.
        sizes_bytes: the sizes of the faces' files.
        rejected: source, reason, and a thumbnail (a PNG in base64) or None.
    """

    n_photos: int
    n_unreadable: int
    n_faceless: int
    kept: list[list[str]] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    sizes_bytes: list[int] = field(default_factory=list)
    rejected: list[tuple[str, str, str | None]] = field(default_factory=list)


def begin(out: Path, settings: dict[str, Any]) -> None:
    """Prepare the journal in `out` for more batches, and create it if there is none.

    The journal is cut before the first batch that did not reach the disk: an incomplete line, or a batch whose
    pictures have the wrong size (a power cut can leave empty files).
    """
    path = out / JOURNAL_NAME
    valid_bytes = 0
    if path.exists():
        with open(path, "rb+") as stream:
            for number, line in enumerate(stream):
                if number == 0 and _parse(line) is None:
                    break
                record = _parse_record(line) if number else None
                if number and (record is None or not _is_on_disk(out, record)):
                    break
                valid_bytes += len(line)
            stream.truncate(valid_bytes)
    if valid_bytes == 0:
        _append(path, settings)


def add(out: Path, record: BatchRecord) -> None:
    """Append one batch, and wait until it is on disk."""
    _append(out / JOURNAL_NAME, asdict(record))


def records(out: Path) -> Iterator[BatchRecord]:
    """The batches in the journal, one at a time; none if there is no journal."""
    try:
        with open(out / JOURNAL_NAME, "rb") as stream:
            next(stream, None)
            for line in stream:
                if (record := _parse_record(line)) is not None:
                    yield record
    except FileNotFoundError:
        return


def settings_of(out: Path) -> dict[str, Any] | None:
    """The settings of an interrupted extraction in `out`, or None."""
    try:
        with open(out / JOURNAL_NAME, "rb") as stream:
            line = stream.readline()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _parse(line)


def _append(path: Path, values: dict[str, Any]) -> None:
    with open(path, "ab") as stream:
        stream.write(json.dumps(values, separators=(",", ":")).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def _parse(line: bytes) -> dict[str, Any] | None:
    """The JSON object in a line, or None if the line is incomplete or damaged."""
    try:
        values = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _parse_record(line: bytes) -> BatchRecord | None:
    try:
        return BatchRecord(**(_parse(line) or {}))
    except TypeError:
        return None


def _is_on_disk(out: Path, record: BatchRecord) -> bool:
    """Whether all pictures have their full size. Missing ones count as complete: the user deleted them on purpose."""
    for row, size_bytes in zip(record.kept, record.sizes_bytes, strict=True):
        path = out / row[0]
        if path.exists() and path.stat().st_size != size_bytes:
            return False
    return True

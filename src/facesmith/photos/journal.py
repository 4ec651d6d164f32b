"""The diary of an extraction, from which it goes on after any interruption.

One line of JSON for the settings, then one for every run of photos that is done, written after its pictures. A line
that was cut short counts as not written. When all is done the tables are made from it and it is removed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

NAME = ".extract.jsonl"


@dataclass
class Entry:
    """One run of photos.

    Attributes:
        n_photos, n_unreadable, n_faceless: of this run.
        kept: a row of `metadata.csv` for each face.
        hashes: its perceptual hash, in hexadecimal digits.
        sizes_bytes: of its picture.
        refused: source, reason and, for some, a thumbnail (a PNG in base64) or else None.
    """

    n_photos: int
    n_unreadable: int
    n_faceless: int
    kept: list[list[str]] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    sizes_bytes: list[int] = field(default_factory=list)
    refused: list[tuple[str, str, str | None]] = field(default_factory=list)


def begin(out: Path, settings: dict[str, Any]) -> None:
    """Make the journal in `out` ready to go on, or start it where there is none.

    What did not reach the disk whole is forgotten: a last line without its end, and every run from the first on whose
    pictures were damaged (a power cut leaves empty files).
    """
    path = out / NAME
    whole_bytes = 0
    if path.exists():
        with open(path, "rb+") as stream:
            for number, line in enumerate(stream):
                if number == 0 and _values(line) is None:
                    break
                entry = _entry(line) if number else None
                if number and (entry is None or not _on_disk(out, entry)):
                    break
                whole_bytes += len(line)
            stream.truncate(whole_bytes)
    if whole_bytes == 0:
        _append(path, settings)


def add(out: Path, entry: Entry) -> None:
    """Append one run of photos, and wait until the disk has it."""
    _append(out / NAME, asdict(entry))


def entries(out: Path) -> Iterator[Entry]:
    """All runs so far, one at a time; none where there is no journal."""
    try:
        with open(out / NAME, "rb") as stream:
            next(stream, None)
            for line in stream:
                if (entry := _entry(line)) is not None:
                    yield entry
    except FileNotFoundError:
        return


def settings_of(out: Path) -> dict[str, Any] | None:
    """The settings of the extraction that was interrupted in `out`, or None."""
    try:
        with open(out / NAME, "rb") as stream:
            line = stream.readline()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _values(line)


def _append(path: Path, values: dict[str, Any]) -> None:
    with open(path, "ab") as stream:
        stream.write(json.dumps(values, separators=(",", ":")).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def _values(line: bytes) -> dict[str, Any] | None:
    """What a whole line holds, or None."""
    try:
        values = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _entry(line: bytes) -> Entry | None:
    try:
        return Entry(**(_values(line) or {}))
    except TypeError:
        return None


def _on_disk(out: Path, entry: Entry) -> bool:
    """Whether no picture is damaged. One that is missing was deleted by a person, who meant it."""
    for row, size_bytes in zip(entry.kept, entry.sizes_bytes, strict=True):
        path = out / row[0]
        if path.exists() and path.stat().st_size != size_bytes:
            return False
    return True

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
        sizes_bytes: of its picture; a power cut can leave a file empty.
        refused: source, reason and thumbnail (base64 of a PNG, or None).
    """

    n_photos: int
    n_unreadable: int
    n_faceless: int
    kept: list[list[str]] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    sizes_bytes: list[int] = field(default_factory=list)
    refused: list[tuple[str, str, str | None]] = field(default_factory=list)


class Journal:
    """An open journal in the folder `out`; `add` appends to it."""

    def __init__(self, out: Path, settings: dict[str, Any]) -> None:
        """Open it to go on; start it with `settings` where there is none or not even its first line is whole."""
        self.path = out / NAME
        self._drop_unfinished(out)
        self._stream = open(self.path, "ab")
        if self._stream.tell() == 0:
            self._write(settings)

    def add(self, entry: Entry) -> None:
        """Append one run of photos, and wait until the disk has it."""
        self._write(asdict(entry))

    def entries(self) -> Iterator[Entry]:
        """All runs so far, one at a time."""
        return read_entries(self.path)

    def close(self) -> None:
        self._stream.close()

    def _write(self, values: dict[str, Any]) -> None:
        self._stream.write(json.dumps(values, separators=(",", ":")).encode() + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def _drop_unfinished(self, out: Path) -> None:
        """Cut off a last line without an end, and runs from the first one on whose pictures did not reach the disk."""
        if not self.path.exists():
            return
        whole_bytes = 0
        with open(self.path, "rb+") as stream:
            for number, line in enumerate(stream):
                if not line.endswith(b"\n") or (number > 0 and not _on_disk(out, Entry(**json.loads(line)))):
                    break
                whole_bytes += len(line)
            stream.truncate(whole_bytes)


def read_settings(out: Path) -> dict[str, Any] | None:
    """The settings of the extraction that was interrupted in `out`, or None."""
    try:
        with open(out / NAME, "rb") as stream:
            line = stream.readline()
    except FileNotFoundError:
        return None
    settings: dict[str, Any] | None = json.loads(line) if line.endswith(b"\n") else None
    return settings


def read_entries(path: Path) -> Iterator[Entry]:
    """The runs of a journal, one at a time."""
    with open(path, "rb") as stream:
        next(stream)
        for line in stream:
            yield Entry(**json.loads(line))


def _on_disk(out: Path, entry: Entry) -> bool:
    """Whether no picture is damaged. One that is missing was deleted by a person, who meant it."""
    for row, size_bytes in zip(entry.kept, entry.sizes_bytes, strict=True):
        path = out / row[0]
        if path.exists() and path.stat().st_size != size_bytes:
            return False
    return True

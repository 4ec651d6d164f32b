"""The record of finished batches on disk, from which an interrupted extraction resumes.

The first line of JSON has the settings. Each further line is one finished batch of photos, written after its pictures.
The journal ends before the first line that is incomplete or damaged; photos after it are searched again. When all
photos are done, the tables are written from the journal, and it is removed.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Annotated, Any

from msgspec import Meta

from facesmith.io.files import naming_errors, open_regular_file
from facesmith.io.json_files import parse_as

JOURNAL_NAME = ".extract.jsonl"
MAX_LINE_BYTES = 2**26
Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
FaceRow = Annotated[list[str], Meta(min_length=2)]  # file name, source, ...
FaceHash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


def face_name(number: int) -> str:
    """The file name of the face with this number, counted from 0."""
    return f"{number + 1:06d}.png"


@dataclass
class BatchRecord:
    """One finished batch of photos.

    Attributes:
        n_photos, n_unreadable, n_faceless, n_generated: counts of photos.
        kept: for each face that was kept, its row of `metadata.csv`.
        hashes: the faces' perceptual hashes, as hexadecimal digits.
        sizes_bytes: the sizes of the faces' files.
        fills: for each face, the share of its crop that lies beyond the photo.
        rejected: source, reason, and a thumbnail (a PNG in base64) or None.
    """

    n_photos: Count
    n_unreadable: Count
    n_faceless: Count
    n_generated: Count = 0
    kept: list[FaceRow] = field(default_factory=list)
    hashes: list[FaceHash] = field(default_factory=list)
    sizes_bytes: list[Count] = field(default_factory=list)
    fills: list[Share] = field(default_factory=list)
    rejected: list[tuple[str, str, str | None]] = field(default_factory=list)


def begin(out: Path, settings: dict[str, Any]) -> None:
    """Prepare the journal in `out` for more batches, and create it if there is none.

    The journal is cut before the first batch that did not reach the disk. Its line is incomplete or damaged, or its
    pictures have the wrong size: a power cut can leave empty files.
    """
    path = out / JOURNAL_NAME
    valid_bytes = 0
    if settings_of(out) is not None:
        with open_regular_file(path) as stream:
            stream.readline()
            valid_bytes = stream.tell()
            for record in _read_records(stream):
                if not _is_on_disk(out, record):
                    break
                valid_bytes = stream.tell()
    if path.exists():
        os.truncate(path, valid_bytes)
    if valid_bytes == 0:
        _append(path, "ab", settings)


def add(out: Path, record: BatchRecord) -> None:
    """Append one batch, and wait until it is on disk.

    Raises:
        OSError: there is no journal. The folder was moved away, or is on a disk that is gone.
    """
    _append(out / JOURNAL_NAME, "r+b", asdict(record))


def records(out: Path, name: str = JOURNAL_NAME) -> Iterator[BatchRecord]:
    """The batches in the journal before the first damaged one, one at a time; none if there is no journal."""
    try:
        with open_regular_file(out / name) as stream:
            stream.readline(MAX_LINE_BYTES)
            yield from _read_records(stream)
    except FileNotFoundError:
        return


def settings_of(out: Path) -> dict[str, Any] | None:
    """The settings of an interrupted extraction in `out`; None without one, or if the line is damaged."""
    try:
        with open_regular_file(out / JOURNAL_NAME) as stream:
            return parse_as(_complete_line(stream), dict[str, Any])
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def _append(path: Path, mode: str, values: dict[str, Any]) -> None:
    with naming_errors(path), open(path, mode) as stream:
        stream.seek(0, os.SEEK_END)
        stream.write(json.dumps(values, separators=(",", ":")).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def _read_records(stream: IO[bytes]) -> Iterator[BatchRecord]:
    """The batches in the lines that follow, up to the first that is incomplete or damaged."""
    n_faces = 0
    while True:
        try:
            record = parse_as(_complete_line(stream), BatchRecord)
            _check(record, n_faces)
        except ValueError:
            return
        n_faces += len(record.kept)
        yield record


def _complete_line(stream: IO[bytes]) -> bytes:
    line = stream.readline(MAX_LINE_BYTES)
    if not line.endswith(b"\n"):
        raise ValueError("the line is incomplete")
    return line


def _check(record: BatchRecord, n_faces: int) -> None:
    """Raise ValueError for a batch that extract can't have written.

    Args:
        n_faces: faces in the batches before. It determines the names of the faces, so that a forged journal can't make
            `--force` delete other files.
    """
    if len({len(each) for each in (record.kept, record.hashes, record.sizes_bytes, record.fills)}) > 1:
        raise ValueError("the numbers of faces, hashes, sizes and fills differ")
    if any(row[0] != face_name(n_faces + i) for i, row in enumerate(record.kept)):
        raise ValueError("a face has a wrong name")
    for _, _, thumbnail in record.rejected:
        base64.b64decode(thumbnail or "", validate=True)


def _is_on_disk(out: Path, record: BatchRecord) -> bool:
    """Whether all pictures have their full size. Missing ones count as complete: the user deleted them on purpose."""
    for row, size_bytes in zip(record.kept, record.sizes_bytes, strict=True):
        path = out / row[0]
        if path.exists() and path.stat().st_size != size_bytes:
            return False
    return True

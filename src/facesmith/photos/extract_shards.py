"""Photos -> shards of faces: fixed slices of the photos, extracted by an engine, then one pass over all shards.

The slices depend on the list of photos alone, and each shard on its slice. Therefore the faces depend neither on the
engine nor on the number of workers nor on interruptions. A shard whose record exists is done.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import compress

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.errors import BadData
from facesmith.io.files import remove_partial_files
from facesmith.io.lock import remove_lock
from facesmith.io.progress import Progress
from facesmith.photos import faces_folder, journal, shard_files
from facesmith.photos.engines import Engine
from facesmith.photos.extract_shard import PhotoSlice, ShardJob
from facesmith.photos.extraction_report import ExtractReport
from facesmith.photos.faces_folder import LOCK_NAME, SOURCE_COLUMN, Finished
from facesmith.photos.journal import BatchRecord
from facesmith.photos.near_duplicates import first_near_duplicates
from facesmith.photos.photo_labels import PhotoLabels
from facesmith.photos.shard_files import ShardEntry, ShardRecord
from facesmith.photos.shard_notes import note_file, read_note, remove_notes
from facesmith.photos.sources import PhotoFile, PhotoSource, archives_of, count_photos

VISIBLE_SECONDS = 60  # until a network disk shows a file that another machine wrote
RETRY_SECONDS = 0.5


def extract_shards(
    source: PhotoSource,
    labels: PhotoLabels,
    job: ShardJob,
    engine: Engine,
    force: bool,
    console: Console,
) -> ExtractReport:
    """Extract all shards that are missing, then compare their faces, and write tables, report and faces.json.

    Raises:
        BadData: a shard that exists is damaged.
        FacesmithError: as `extract_shard`.
    """
    out, settings = job.out, job.settings
    assert settings.shards is not None
    remove_partial_files(out)
    if force:
        faces_folder.clear(out)
    for notice in labels.notices:
        console.print(f"notice: {notice}")
    journal.begin(out, settings.to_values())
    remove_notes(out)
    slices = _slices(source.files, settings.shards)
    missing = _Missing(job, len(slices), console)
    parts = (_part(source, labels, number, slices[number]) for number in missing.numbers)
    total = count_photos(source, settings.every)
    try:
        states = engine(job, parts)
        with Progress(console, "extracting faces, photos", total, missing.photos_done) as progress, closing(states):
            for running in states:
                progress.advance(missing.count(running) - progress.done)
    except KeyboardInterrupt:
        done = f"{missing.n_done} of {len(slices)} shards"
        console.print(f"Stopped after {done}. To resume, run the same command without --force.")
        raise
    report = faces_folder.finish(out, settings, source, labels, job.pictures, _finished(job, len(slices)))
    remove_lock(out / LOCK_NAME)
    remove_partial_files(out)
    return report


def _slices(files: list[PhotoFile], size: int) -> list[list[PhotoFile]]:
    return [files[start : start + size] for start in range(0, len(files), size)]


def _part(source: PhotoSource, labels: PhotoLabels, number: int, files: list[PhotoFile]) -> PhotoSlice:
    return PhotoSlice(number, files, archives_of(source, files), labels.of_files(file.name for file in files))


class _Missing:
    """The shards that are not done yet, and the progress of all.

    Attributes:
        numbers: of the shards that were not done at the start.
        photos_done: photos in the shards that were.
        n_done: number of shards that are done now.
    """

    def __init__(self, job: ShardJob, count: int, console: Console) -> None:
        self._job = job
        self._running: frozenset[int] = frozenset()
        self.numbers: list[int] = []
        self.photos_done = self.n_done = self._shown = 0
        for number in range(count):
            try:
                self._finish(number)
            except FileNotFoundError:
                self.numbers.append(number)
            except BadData as error:
                console.print(f"notice: shard {number:05d} is extracted again. {error}")
                (job.out / shard_files.record_name(number)).unlink()
                self.numbers.append(number)

    def count(self, running: frozenset[int]) -> int:
        """The number of photos that are done, now that these shards are in work. It never falls."""
        for number in self._running - running:
            self._finish_when_visible(number)
        self._running = running
        notes = (read_note(note_file(self._job.out, number)) for number in running)
        self._shown = max(self._shown, self.photos_done + sum(note.photos for note in notes if note is not None))
        return self._shown

    def _finish_when_visible(self, number: int) -> None:
        """Count a shard that is done. A network disk may cache for a while that its record does not exist."""
        deadline = time.monotonic() + VISIBLE_SECONDS
        while True:
            try:
                self._finish(number)
                return
            except FileNotFoundError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(RETRY_SECONDS)
            os.listdir(self._job.out)  # noqa: PTH208 (makes the disk ask again)

    def _finish(self, number: int) -> None:
        self.photos_done += _record(self._job, number).record.n_photos
        self.n_done += 1


def _record(job: ShardJob, number: int) -> ShardRecord:
    """The record of a shard of this extraction. Raises BadData and FileNotFoundError."""
    record = shard_files.read_record(job.out, number)
    if record.settings != job.settings_hash():
        name = shard_files.record_name(number)
        raise BadData(f"{job.out / name} belongs to an extraction with other settings. Delete it, and run this again.")
    return record


def _finished(job: ShardJob, count: int) -> Finished:
    """The faces of all shards, without near-duplicates of faces in earlier shards."""
    digits = bytearray()
    starts = [0]  # number of faces in the shards before each one
    entries: list[ShardEntry] = []
    for number in range(count):
        shard = _record(job, number)
        hashes = shard.record.hashes
        entries.append(ShardEntry(len(hashes), shard.tar_bytes, shard.tar_sha256))
        digits += bytes.fromhex("".join(hashes))
        starts.append(starts[-1] + len(hashes))
    originals = first_near_duplicates(np.frombuffer(digits, np.uint64).reshape(-1, 4))

    def name_of(face: int) -> str:
        shard = bisect_right(starts, face) - 1
        return shard_files.name_in_shard(shard, face - starts[shard])

    def each() -> Iterator[tuple[ShardRecord, NDArray[np.int64]]]:
        for number in range(count):
            yield _record(job, number), originals[starts[number] : starts[number + 1]]

    def records() -> Iterator[BatchRecord]:
        for shard, first in each():
            yield _without_duplicates(shard.record, first.tolist(), name_of)

    def faces() -> Iterator[tuple[list[str], str]]:
        for shard, first in each():
            rows = zip(shard.record.kept, shard.sha256, first.tolist(), strict=True)
            yield from ((row, sha256) for row, sha256, original in rows if original < 0)

    return Finished(records, faces, partial(shard_files.read_picture, job.out), entries)


def _without_duplicates(record: BatchRecord, originals: list[int], name_of: Callable[[int], str]) -> BatchRecord:
    """A record whose near-duplicates of earlier shards are rejections.

    Args:
        originals: for each face the number of the face that it resembles, or -1.
    """
    kept = [original < 0 for original in originals]
    duplicates = [
        (row[SOURCE_COLUMN], f"near-duplicate: of {name_of(original)}", None)
        for row, original in zip(record.kept, originals, strict=True)
        if original >= 0
    ]
    return replace(
        record,
        kept=list(compress(record.kept, kept)),
        hashes=list(compress(record.hashes, kept)),
        sizes_bytes=list(compress(record.sizes_bytes, kept)),
        fills=list(compress(record.fills, kept)),
        rejected=[*record.rejected, *duplicates],
    )

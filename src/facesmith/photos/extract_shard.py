"""One slice of the photos -> one shard of faces. A pure function of its arguments; workers of every engine call it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tarfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path

import torch

from facesmith.errors import BadData, FacesmithError
from facesmith.io.files import atomic_write, sha256
from facesmith.photos import collect, shard_files, shard_notes
from facesmith.photos.collect import Collector
from facesmith.photos.crop import BatchResult, CroppedFace, Cropper, Rejection
from facesmith.photos.faces_folder import ExtractSettings, versions
from facesmith.photos.journal import JOURNAL_NAME, BatchRecord
from facesmith.photos.photo_labels import PhotoLabels
from facesmith.photos.shard_files import ShardRecord
from facesmith.photos.shard_notes import NoteKeeper
from facesmith.photos.sources import PhotoFile, PhotoSource, iterate_photos, read_pictures, reopen_source
from facesmith.storage.addresses import address_of

READERS = 16  # pictures that are read at a time over a network
MAX_THUMBNAILS = 2  # of each kind of rejection, in each shard
OUT_OF_MEMORY = 137  # the exit code of a process that the system ends because memory is short
Running = Generator[frozenset[int]]  # of an engine: the shards being extracted, twice a second and whenever one is done


@dataclass(frozen=True)
class ShardJob:
    """What all shards of an extraction have in common.

    Attributes:
        photos, out: absolute paths, or the address of the photos.
        pictures: whether the report may show photos.
        versions: of the packages where the extraction was started.
    """

    photos: Path
    out: Path
    settings: ExtractSettings
    pictures: bool
    versions: dict[str, str]

    def settings_hash(self) -> str:
        """A hash of all settings; each shard's record has it."""
        return hashlib.sha256(json.dumps(self.settings.to_values(), sort_keys=True).encode()).hexdigest()[:16]


def absolute_job(photos: Path, out: Path, settings: ExtractSettings, pictures: bool) -> ShardJob:
    """The job as processes with another current folder can do it."""
    photos = photos if address_of(photos) else photos.absolute()
    return ShardJob(photos, out.absolute(), settings, pictures, versions())


@dataclass(frozen=True)
class PhotoSlice:
    """The photos of one shard.

    Attributes:
        number: of the shard, from 0.
        files: pictures and videos.
        archives: those inside PHOTOS that contain some of the files.
        labels: of these photos.
    """

    number: int
    files: list[PhotoFile]
    archives: list[str]
    labels: PhotoLabels


def extract_shard(job: ShardJob, part: PhotoSlice) -> None:
    """Write the tar and the record of a shard. If they exist, they are replaced by equal ones.

    Raises:
        BadData: this machine does not see the photos or the output, or has other versions of the packages.
        FacesmithError: several processes ended before their first photo.
        OSError: the output can't be written.
    """
    _check_machine(job)
    torch.set_num_threads(1)  # whole photos in parallel are faster, and the results don't depend on the machine's cores
    notes = NoteKeeper(job.out, part.number)
    source = reopen_source(job.photos, part.files, part.archives)
    total = BatchRecord(0, 0, 0)
    with (
        atomic_write(job.out / shard_files.tar_name(part.number), durable=True) as stream,
        shard_files.new_tar(stream) as tar,
    ):
        writer = _Writer(tar, part.labels)
        names = partial(shard_files.name_in_shard, part.number)
        collector = Collector(names, writer.write, MAX_THUMBNAILS if job.pictures else 0)
        for result in _results(job, source, notes):
            _append(total, collector.collect(result))
    tar_file = job.out / shard_files.tar_name(part.number)
    record = ShardRecord(
        format=shard_files.FORMAT,
        number=part.number,
        settings=job.settings_hash(),
        tar_bytes=tar_file.stat().st_size,
        tar_sha256=sha256(tar_file),
        versions=job.versions,
        sha256=writer.sha256,
        offsets=writer.offsets,
        record=total,
    )
    shard_files.write_record(job.out, record)
    notes.remove()


def extract_in_worker(job: ShardJob, part: PhotoSlice) -> Exception | None:
    """`extract_shard` in a worker's process. Returns errors that the user can fix, with their message unchanged.

    After a MemoryError the process ends as if the system had killed it, because a photo may be the cause.
    """
    try:
        extract_shard(job, part)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except (FacesmithError, OSError) as error:
        return error
    return None


class _Writer:
    """Writes faces into a tar, and remembers the sha256 and the place of their pictures."""

    def __init__(self, tar: tarfile.TarFile, labels: PhotoLabels) -> None:
        self.tar, self.labels = tar, labels
        self.sha256: list[str] = []
        self.offsets: list[int] = []

    def write(self, name: str, face: CroppedFace) -> None:
        labels = dict(zip(self.labels.columns, self.labels.of(face.source), strict=True))
        self.offsets.append(shard_files.add_face(self.tar, name, face, labels))
        self.sha256.append(hashlib.sha256(face.png).hexdigest())


def _append(total: BatchRecord, record: BatchRecord) -> None:
    """Add the counts, faces and rejections of a batch to those of its shard."""
    for each in fields(BatchRecord):
        setattr(total, each.name, getattr(total, each.name) + getattr(record, each.name))


def _check_machine(job: ShardJob) -> None:
    if not (job.out / JOURNAL_NAME).exists():
        raise BadData(
            f"{platform.node()} has no {job.out} with this extraction. "
            "All machines need the same folder at the same path, such as a network disk."
        )
    if (own := versions()) != job.versions:
        names = [name for name in job.versions if own.get(name) != job.versions[name]]
        different = ", ".join(f"{name} {own.get(name)}, not {job.versions[name]}" for name in names)
        raise BadData(f"{platform.node()} has {different}. Install the same versions on all machines.")


@lru_cache(maxsize=1)
def _cropper(settings: ExtractSettings) -> Cropper:
    return collect.make_cropper(settings)


def _results(job: ShardJob, source: PhotoSource, notes: NoteKeeper) -> Iterator[BatchResult]:
    """The faces of each group of photos. A note is written before each one."""
    cropper, every = _cropper(job.settings), job.settings.every
    n_photos = 0
    for number, group in enumerate(_groups(source.files)):
        isolated = notes.note.is_isolated(number)
        for i, files in enumerate([file] for file in group) if isolated else ((0, group),):
            if isolated and notes.note.is_left_out(number, i):
                result = BatchResult(1, n_unreadable=1, outcomes=[Rejection(files[0].name, shard_notes.CRASH)])
                n_photos += 1
                yield result
                continue
            notes.begin(f"{number}/{i}" if isolated else str(number), n_photos)
            some = PhotoSource(source.store, source.name, files, [], {})
            at_once = source.store.is_remote and not files[0].is_video
            photos = read_pictures(some, READERS) if at_once else iterate_photos(some, every)
            for batch in collect.batches(photos):
                result = cropper.process(batch)
                n_photos += result.n_photos
                yield result


def _groups(files: list[PhotoFile]) -> Iterator[list[PhotoFile]]:
    """Consecutive pictures in groups of one batch; each video alone."""
    for is_video, run in groupby(files, lambda file: file.is_video):
        same = list(run)
        size = 1 if is_video else collect.BATCH_SIZE
        yield from (same[start : start + size] for start in range(0, len(same), size))

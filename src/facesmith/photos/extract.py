"""Photos -> faces: the loop that extracts every face of a collection of photos.

Worker threads process batches of consecutive photos. The results are taken in the order of the photos, compared with
the faces kept so far, written, and recorded in the journal. Therefore the output depends neither on the number of
workers nor on interruptions.
"""

from __future__ import annotations

import base64
from collections import Counter, deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from rich.console import Console

from facesmith.errors import BadOption, FacesmithError
from facesmith.io.cpus import usable_cpus
from facesmith.io.files import explain_disk_error, naming_errors, real_path, remove_partial_files
from facesmith.io.lock import locked
from facesmith.io.progress import Progress
from facesmith.photos import faces_folder, journal
from facesmith.photos.align import DEFAULT_FRAME, MAX_FRAME, MAX_SIZE_PX, MIN_FRAME, Alignment, CenterCrop
from facesmith.photos.crop import (
    AlignedCropper,
    BatchResult,
    CenterCropper,
    CroppedFace,
    Cropper,
    FaceChoice,
    Rejection,
    kind_of,
)
from facesmith.photos.detect import DEFAULT_THRESHOLD, WINDOW_PX, Detector
from facesmith.photos.extraction_report import MAX_REJECTED_SHOWN, ExtractReport
from facesmith.photos.faces_folder import COLUMNS, LOCK_NAME, ExtractSettings
from facesmith.photos.journal import BatchRecord
from facesmith.photos.near_duplicates import HashIndex
from facesmith.photos.photo_labels import PhotoLabels, read_photo_labels
from facesmith.photos.quality import DEFAULT_MAX_FILL
from facesmith.photos.sources import Photo, PhotoSource, count_photos, iterate_photos, open_source, source_fingerprint

BATCH_SIZE = 32  # photos
MAX_BATCH_FRAME_PIXELS = 8_000_000  # video frames wait in memory, so a batch has fewer of them
DEFAULT_EVERY = 25
MIN_SIZE_PX = 16


def extract(
    photos: Path,
    out: Path,
    *,
    size: int = 64,
    frame: float = DEFAULT_FRAME,
    crop: int | None = None,
    faces: FaceChoice = "largest",
    min_face: int = 40,
    threshold: float = DEFAULT_THRESHOLD,
    max_fill: float = DEFAULT_MAX_FILL,
    every: int = DEFAULT_EVERY,
    workers: int | None = None,
    pictures: bool = True,
    force: bool = False,
    console: Console,
) -> ExtractReport:
    """Extract every face in PHOTOS to the folder `out`. The same call resumes an interrupted extraction.

    Args:
        photos: a folder with its subfolders, an archive, a Parquet file, one picture, or a video.
        out: the folder for faces, tables and report.
        size: side of the faces in pixels, 16-256.
        frame: side of the faces in eye distances.
        crop: skip face detection and take the middle `crop` x `crop` pixels of each photo. Then frame, faces,
            min_face, threshold and max_fill have no effect.
        faces: "largest" takes the main face of each photo, "all" takes all faces.
        min_face: smallest longer side of a face, in pixels of the photo.
        threshold: lowest probability of a face, 0-1.
        max_fill: largest share of a crop that may lie beyond the photo, 0-1.
        every: use every n-th frame of a video.
        workers: number of threads; by default one per processor.
        pictures: False leaves photos and faces out of the report.
        force: replace an earlier extraction.
        console: shows the progress.

    Raises:
        BadOption: a value is out of range.
        BadData: PHOTOS can't be used.
        OutputExists: `out` contains other files, or an extraction with other settings.
        FacesmithError: the disk is full, or another process extracts to `out`.
    """
    _check_options(size, frame, faces, min_face, threshold, max_fill, every, workers)
    if crop is not None and crop < size:
        raise BadOption(f"--crop {crop} is less than --size {size}; faces are never enlarged. Choose a smaller --size.")
    if real_path(photos) == real_path(out):
        raise BadOption(f"--out is the folder of the photos, {photos}. Choose another folder.")
    source = open_source(photos, outside=out)
    framing = Alignment(size, frame) if crop is None else CenterCrop(size, crop)
    labels = read_photo_labels(source, COLUMNS)
    fingerprint = source_fingerprint(source) + labels.fingerprint()
    settings = ExtractSettings(framing, faces, min_face, threshold, max_fill, every, fingerprint)
    report = faces_folder.finished_report(out, settings, force)
    if report is not None:
        return report
    out.mkdir(parents=True, exist_ok=True)
    busy = FacesmithError(f"Another process is extracting to {out}. Wait for it, or choose another --out.")
    try:
        with locked(out / LOCK_NAME, busy):
            return _extract(source, labels, out, settings, workers or usable_cpus(), pictures, force, console)
    except OSError as error:
        error.filename = error.filename or str(out)
        raise FacesmithError(explain_disk_error(error, "Without --force, the extraction resumes.")) from None
    finally:
        source.close()


def _extract(
    source: PhotoSource,
    labels: PhotoLabels,
    out: Path,
    settings: ExtractSettings,
    workers: int,
    pictures: bool,
    force: bool,
    console: Console,
) -> ExtractReport:
    remove_partial_files(out)
    if force:
        faces_folder.clear(out)
    for notice in labels.notices:
        console.print(f"notice: {notice}", markup=False, highlight=False)
    journal.begin(out, settings.to_values())
    state = _State(out, pictures)
    cropper = _cropper(settings)
    remaining = islice(iterate_photos(source, settings.every), state.n_photos, None)
    total = count_photos(source, settings.every)
    try:
        results = _results_in_order(cropper, _batches(remaining), workers)
        with Progress(console, "extracting faces, photos", total, state.n_photos) as progress, closing(results):
            for result in results:
                journal.add(out, state.commit(result))
                progress.advance(result.n_photos)
    except KeyboardInterrupt:
        console.print(f"Stopped after {state.n_photos} photos. To resume, run the same command without --force.")
        raise
    report = faces_folder.finish(out, settings, source.name, source.ignored - labels.tables, labels, pictures)
    (out / LOCK_NAME).unlink(missing_ok=True)
    return report


def _cropper(settings: ExtractSettings) -> Cropper:
    if isinstance(settings.alignment, CenterCrop):
        return CenterCropper(settings.alignment)
    detector = Detector(settings.min_face, settings.threshold)
    return AlignedCropper(detector, settings.alignment, settings.faces, settings.min_face, settings.max_fill)


class _State:
    """The position in the photos, and the hashes of the faces kept so far; restored from the journal."""

    def __init__(self, out: Path, pictures: bool) -> None:
        self.out = out
        self.pictures = pictures
        self.hash_index = HashIndex()
        self.n_photos = 0
        self.n_rejected: Counter[str] = Counter()
        for record in journal.records(out):
            self.n_photos += record.n_photos
            self.n_rejected.update(kind_of(reason) for _, reason, _ in record.rejected)
            for digits in record.hashes:
                self.hash_index.add(np.frombuffer(bytes.fromhex(digits), np.uint64))

    def commit(self, result: BatchResult) -> BatchRecord:
        """Write the faces of a batch, except near-duplicates. Returns the batch's record for the journal."""
        record = BatchRecord(result.n_photos, result.n_unreadable, result.n_faceless)
        for outcome in result.outcomes:
            if isinstance(outcome, Rejection):
                record.rejected.append(self._rejected_row(outcome))
            elif (original := self.hash_index.find(outcome.hash)) is not None:
                reason = f"near-duplicate: of {journal.face_name(original)}"
                record.rejected.append(self._rejected_row(Rejection(outcome.source, reason, outcome.png)))
            else:
                self._keep(outcome, record)
        self.n_photos += record.n_photos
        return record

    def _keep(self, face: CroppedFace, record: BatchRecord) -> None:
        name = journal.face_name(self.hash_index.add(face.hash))
        with naming_errors(self.out / name):
            (self.out / name).write_bytes(face.png)
        record.kept.append(faces_folder.metadata_row(name, face))
        record.hashes.append(face.hash.tobytes().hex())
        record.sizes_bytes.append(len(face.png))
        record.fills.append(round(face.fill, 4))

    def _rejected_row(self, rejection: Rejection) -> tuple[str, str, str | None]:
        """A rejection for the journal. Its thumbnail is included only if the report has room for it."""
        kind = kind_of(rejection.reason)
        self.n_rejected[kind] += 1
        if not self.pictures or rejection.thumbnail is None or self.n_rejected[kind] > MAX_REJECTED_SHOWN:
            return rejection.source, rejection.reason, None
        return rejection.source, rejection.reason, base64.b64encode(rejection.thumbnail).decode()


def _batches(photos: Iterator[Photo]) -> Iterator[list[Photo]]:
    """Batches of consecutive photos."""
    batch: list[Photo] = []
    for photo in photos:
        batch.append(photo)
        if len(batch) == BATCH_SIZE or sum(photo.pixels_in_memory for photo in batch) > MAX_BATCH_FRAME_PIXELS:
            yield batch
            batch = []
    if batch:
        yield batch


def _results_in_order(cropper: Cropper, batches: Iterator[list[Photo]], workers: int) -> Generator[BatchResult]:
    """The result of each batch, in order. The workers may be a few batches ahead."""
    torch_threads = torch.get_num_threads()
    # One torch thread per worker: on small pictures, whole photos in parallel are faster than torch's own threads.
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    queue: deque[Future[BatchResult]] = deque()
    try:
        for batch in batches:
            queue.append(pool.submit(cropper.process, batch))
            if len(queue) > workers + 1:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(torch_threads)


def _check_options(
    size: int,
    frame: float,
    faces: str,
    min_face: int,
    threshold: float,
    max_fill: float,
    every: int,
    workers: int | None,
) -> None:
    """Raise BadOption for a value that can't be used."""
    if not MIN_SIZE_PX <= size <= MAX_SIZE_PX:
        raise BadOption(f"--size must be {MIN_SIZE_PX} to {MAX_SIZE_PX} pixels, not {size}.")
    if not MIN_FRAME <= frame <= MAX_FRAME:
        raise BadOption(f"--frame must be {MIN_FRAME:g} to {MAX_FRAME:g} eye distances, not {frame:g}.")
    if faces not in get_args(FaceChoice):
        raise BadOption(f"--faces must be largest or all, not {faces!r}.")
    if min_face < WINDOW_PX:
        raise BadOption(f"--min-face must be {WINDOW_PX} pixels or more, not {min_face}.")
    if not 0 < threshold < 1:
        raise BadOption(f"--threshold must be between 0 and 1, not {threshold:g}.")
    if not 0 <= max_fill <= 1:
        raise BadOption(f"--max-fill must be 0 to 1, not {max_fill:g}.")
    if every < 1:
        raise BadOption(f"--every must be 1 or more, not {every}.")
    if workers is not None and workers < 1:
        raise BadOption(f"--workers must be 1 or more, not {workers}.")

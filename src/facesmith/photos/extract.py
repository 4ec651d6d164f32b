"""Photos -> faces: the loop that extracts every face of a collection of photos.

Worker threads process batches of consecutive photos. The results are taken in the order of the photos, compared with
the faces kept so far, written, and recorded in the journal. Therefore the output depends neither on the number of
workers nor on interruptions.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import get_args

import torch
from rich.console import Console

from facesmith.detection.align import DEFAULT_FRAME, MAX_FRAME, MAX_SIZE_PX, MIN_FRAME, Alignment, CenterCrop
from facesmith.detection.detect import DEFAULT_THRESHOLD, WINDOW_PX
from facesmith.detection.quality import DEFAULT_MAX_FILL
from facesmith.errors import BadOption, FacesmithError, OutputExists
from facesmith.io.commands import quoted
from facesmith.io.cpus import usable_cpus
from facesmith.io.file_kinds import UNREADABLE_ARCHIVE
from facesmith.io.files import explain_disk_error, naming_errors, real_path, remove_partial_files
from facesmith.io.lock import locked, remove_lock
from facesmith.io.messages import as_typed
from facesmith.io.progress import Progress
from facesmith.photos import faces_folder, journal
from facesmith.photos.collect import Collector, batches, make_cropper
from facesmith.photos.crop import BatchResult, CroppedFace, Cropper, FaceChoice
from facesmith.photos.engines import EngineName, check_engine, choose_engine
from facesmith.photos.extract_shard import absolute_job
from facesmith.photos.extract_shards import extract_shards
from facesmith.photos.extraction_report import MAX_REJECTED_SHOWN, ExtractReport
from facesmith.photos.faces_folder import COLUMNS, LOCK_NAME, ExtractSettings
from facesmith.photos.photo_labels import PhotoLabels, read_photo_labels
from facesmith.photos.shard_files import SPLIT_COLUMN
from facesmith.photos.sources import Photo, PhotoSource, count_photos, iterate_photos, open_source, source_fingerprint

DEFAULT_EVERY = 25
DEFAULT_SIZE_PX = 128  # the bundled generator, which few faces fine-tune, draws faces of this size
MIN_FACE_PX = 40  # the smallest default; larger faces are required where smaller ones would be enlarged much
MIN_SIZE_PX = 16


def extract(
    photos: Path,
    out: Path,
    *,
    size: int | None = None,
    frame: float = DEFAULT_FRAME,
    crop: int | None = None,
    faces: FaceChoice = "largest",
    min_face: int | None = None,
    threshold: float = DEFAULT_THRESHOLD,
    max_fill: float = DEFAULT_MAX_FILL,
    every: int = DEFAULT_EVERY,
    workers: int | None = None,
    pictures: bool = True,
    shards: int | None = None,
    engine: EngineName = "local",
    address: str | None = None,
    force: bool = False,
    console: Console,
) -> ExtractReport:
    """Extract every face in PHOTOS to the folder `out`. The same call resumes an interrupted extraction.

    Args:
        photos: a folder with its subfolders, an archive, a Parquet file, one picture, a video, a list of paths, or an
            address.
        out: the folder for faces, tables and report.
        size: side of the faces in pixels, 16-256; by default 128, or `crop` if that is smaller.
        frame: side of the faces in eye distances.
        crop: skip face detection and take the middle `crop` x `crop` pixels of each photo. Then frame, faces,
            min_face, threshold and max_fill have no effect.
        faces: "largest" takes the main face of each photo, "all" takes all faces.
        min_face: smallest longer side of a face, in pixels of the photo; by default half of `size`, at least 40.
        threshold: lowest probability of a face, 0-1.
        max_fill: largest share of a crop that may lie beyond the photo, 0-1.
        every: use every n-th frame of a video.
        workers: number of threads, or of processes with `shards`; by default one per processor.
        pictures: False leaves photos and faces out of the report, also of a finished extraction.
        shards: write tar files of faces, each from this many photos.
        engine: who extracts shards: "local", processes of this machine; or "ray".
        address: of a running Ray cluster: "auto" or HOST:PORT. By default, Ray starts on this machine.
        force: replace an earlier extraction.
        console: shows the progress.

    Raises:
        BadOption: a value is out of range.
        BadData: PHOTOS can't be used.
        OutputExists: `out` contains other files, or an extraction with other settings.
        MissingExtra: `engine` is "ray", but ray is not installed.
        FacesmithError: the disk is full, or another process extracts to `out`.
    """
    check_engine(shards, engine, address)
    size = size if size is not None else min(DEFAULT_SIZE_PX, crop or DEFAULT_SIZE_PX)
    min_face = min_face if min_face is not None else max(MIN_FACE_PX, size // 2)
    _check_options(size, frame, faces, min_face, threshold, max_fill, every, workers)
    if crop is not None and crop < size:
        raise BadOption(f"--crop {crop} is less than --size {size}; faces are never enlarged. Choose a smaller --size.")
    if real_path(photos) == real_path(out) or (photos.exists() and out.exists() and photos.samefile(out)):
        raise BadOption(f"--out is the folder of the photos, {photos}. Choose another folder.")
    source = open_source(photos, outside=out)
    framing = Alignment(size, frame) if crop is None else CenterCrop(size, crop)
    labels = read_photo_labels(source, COLUMNS if shards is None else (*COLUMNS, SPLIT_COLUMN))
    fingerprint = source_fingerprint(source) + labels.fingerprint()
    settings = ExtractSettings(framing, faces, min_face, threshold, max_fill, every, fingerprint, shards)
    busy = FacesmithError(f"Another process is extracting to {out}. Wait for it, or choose another --out.")
    try:
        report = faces_folder.finished_report(out, settings, force)
    except OutputExists:
        if (out / LOCK_NAME).exists():
            with locked(out / LOCK_NAME, busy):  # if another process is still extracting, report that instead
                raise
        raise
    if report is not None:
        if not pictures:
            faces_folder.write_report_without_pictures(report, source.name)
        return report
    if any(file.name == "faces.json" for file in source.others):
        console.print(
            f"notice: {as_typed(photos)} contains faces that extract cut out; they are cut out again. To train on "
            f"them as they are: facesmith train --data {quoted(as_typed(photos))}",
        )
    _name_unreadable_archives(source, console)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with locked(out / LOCK_NAME, busy):
            if shards is not None:
                run = choose_engine(engine, address, workers)
                return extract_shards(
                    source, labels, absolute_job(photos, out, settings, pictures), run, force, console
                )
            return _extract(source, labels, out, settings, workers or usable_cpus(), pictures, force, console)
    except OSError as error:
        error.filename = error.filename or str(out)
        raise FacesmithError(explain_disk_error(error, "Without --force, the extraction resumes.")) from None
    finally:
        source.close()


def _name_unreadable_archives(source: PhotoSource, console: Console) -> None:
    """Print a notice if archives are left out, so that the user need not wait for the end to unpack them."""
    start = f"{UNREADABLE_ARCHIVE}: "
    reasons = Counter(kind.removeprefix(start) for kind in source.kinds.values() if kind.startswith(start))
    if reasons:
        [(reason, _)] = reasons.most_common(1)
        console.print(f"notice: archives that are not searched: {reasons.total()}. Most frequent reason: {reason}")


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
        console.print(f"notice: {notice}")
    journal.begin(out, settings.to_values())

    def write(name: str, face: CroppedFace) -> None:
        with naming_errors(out / name):
            (out / name).write_bytes(face.png)

    collector = Collector(journal.face_name, write, MAX_REJECTED_SHOWN if pictures else 0)
    for record in journal.records(out):
        collector.restore(record)
    remaining = islice(iterate_photos(source, settings.every), collector.n_photos, None)
    total = count_photos(source, settings.every)
    try:
        results = _results_in_order(make_cropper(settings), batches(remaining), workers)
        with Progress(console, "extracting faces, photos", total, collector.n_photos) as progress, closing(results):
            for result in results:
                journal.add(out, collector.collect(result))
                progress.advance(result.n_photos)
    except KeyboardInterrupt:
        console.print(f"Stopped after {collector.n_photos} photos. To resume, run the same command without --force.")
        raise
    report = faces_folder.finish(out, settings, source, labels, pictures, faces_folder.finished_folder(out))
    remove_lock(out / LOCK_NAME)
    return report


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

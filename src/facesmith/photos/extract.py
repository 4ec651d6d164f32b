"""Photos to faces: the loop that finds, aligns, judges and writes every face of a collection of photos.

Worker threads take runs of consecutive photos; their results are taken in the order of the photos, compared with the
faces kept so far, written, and entered in a journal. So the files don't depend on the number of workers, nor on where
an interruption fell.
"""

from __future__ import annotations

import base64
import os
from collections import Counter, deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from filelock import FileLock, Timeout
from rich.console import Console

from facesmith.errors import BadOption, FacesmithError
from facesmith.io.progress import progress
from facesmith.photos import faces_folder, journal
from facesmith.photos.align import DEFAULT_MARGIN, MAX_MARGIN, MAX_SIZE_PX, Alignment, CenterCrop
from facesmith.photos.crop import Cut, Cutter, Face, FaceCutter, MiddleCutter, Refusal, Which, kind_of
from facesmith.photos.detect import DEFAULT_THRESHOLD, WINDOW_PX, Detector
from facesmith.photos.extraction_report import REFUSED_SHOWN
from facesmith.photos.faces_folder import LOCK, ExtractReport, Settings
from facesmith.photos.journal import Entry
from facesmith.photos.quality import Known
from facesmith.photos.sources import Photo, Source, count_photos, iterate_photos, open_source, source_fingerprint

PHOTOS_AT_ONCE = 32
FRAME_PIXELS_AT_ONCE = 8_000_000  # frames of a film wait in memory, so fewer of them go together
DEFAULT_EVERY = 25
MIN_SIZE_PX = 16


def extract(
    photos: Path,
    out: Path,
    *,
    size: int = 64,
    margin: float = DEFAULT_MARGIN,
    crop: int | None = None,
    faces: Which = "largest",
    min_face: int = 40,
    threshold: float = DEFAULT_THRESHOLD,
    every: int = DEFAULT_EVERY,
    workers: int | None = None,
    pictures: bool = True,
    force: bool = False,
    console: Console,
) -> ExtractReport:
    """Cut every face out of PHOTOS and write it to the folder `out`; go on where an earlier run was interrupted.

    Args:
        photos: a folder (searched through), a zip, one picture, or a film.
        out: the folder for pictures, tables and report.
        size: side of the faces in pixels, 16-256.
        margin: added on each side, in parts of the square from forehead to chin.
        crop: look for no faces, but take the middle `crop` x `crop` pixels of each photo; margin, faces, min_face and
            threshold then mean nothing.
        faces: "largest" takes the main face of each photo, "all" takes all.
        min_face: smallest longer side of a face, pixels of the photo.
        threshold: smallest probability of a face, 0-1.
        every: of films, each n-th frame.
        workers: threads; by default one for each processor.
        pictures: False keeps photos and faces out of the report.
        force: replace an earlier extraction.
        console: where progress is drawn.

    Raises:
        BadOption: a value is out of range.
        BadData: PHOTOS can't be used.
        OutputExists: `out` holds something else, or an extraction with other settings.
        FacesmithError: the disk is full, or another process extracts to `out`.
    """
    _check(size, margin, faces, min_face, threshold, every, workers)
    if crop is not None and crop < size:
        raise BadOption(f"--crop {crop} is less than --size {size}; faces are never enlarged. Choose a smaller --size.")
    if photos.resolve() == out.resolve():
        raise BadOption(f"--out must be another folder than the photos' own, {photos}.")
    source = open_source(photos, outside=out)
    framing = Alignment(size, margin) if crop is None else CenterCrop(size, crop)
    settings = Settings(framing, faces, min_face, threshold, every, source_fingerprint(source))
    earlier = faces_folder.finished(out, settings, force)
    if earlier is not None:
        return earlier
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / LOCK, timeout=0):
            return _extract(source, out, settings, workers or os.cpu_count() or 1, pictures, force, console)
    except Timeout:
        raise FacesmithError(f"Another process is extracting to {out}. Wait for it, or choose another --out.") from None
    except OSError as error:
        advice = "Nothing is lost: mend that, and run it again (without --force) to go on."
        raise FacesmithError(f"{out}: {error.strerror or error}. {advice}") from None
    finally:
        source.close()


def _extract(
    source: Source, out: Path, settings: Settings, workers: int, pictures: bool, force: bool, console: Console
) -> ExtractReport:
    if force:
        faces_folder.clear(out)
    journal.begin(out, settings.to_values())
    state = _State(out, pictures)
    cutter = _cutter(settings)
    remaining = islice(iterate_photos(source, settings.every), state.n_photos, None)
    try:
        with progress(console) as shown, closing(_in_order(cutter, _runs(remaining), workers)) as cuts:
            task = shown.add_task(
                "Extracting faces", total=count_photos(source, settings.every), completed=state.n_photos
            )
            for cut in cuts:
                journal.add(out, state.commit(cut))
                shown.update(task, completed=state.n_photos)
    except KeyboardInterrupt:
        console.print(f"{state.n_photos} photos are done. To go on, run the same command again (without --force).")
        raise
    report = faces_folder.finish(out, settings, source.name, source.ignored, pictures)
    (out / LOCK).unlink()
    return report


def _cutter(settings: Settings) -> Cutter:
    if isinstance(settings.alignment, CenterCrop):
        return MiddleCutter(settings.alignment)
    detector = Detector(settings.min_face, settings.threshold)
    return FaceCutter(detector, settings.alignment, settings.faces, settings.min_face)


class _State:
    """What the loop remembers of the runs so far: where it is, and the hashes of the faces it kept."""

    def __init__(self, out: Path, pictures: bool) -> None:
        self.out = out
        self.pictures = pictures
        self.known = Known()
        self.n_photos = 0
        self.n_refused: Counter[str] = Counter()
        for entry in journal.entries(out):
            self.n_photos += entry.n_photos
            self.n_refused.update(kind_of(reason) for _, reason, _ in entry.refused)
            for digits in entry.hashes:
                self.known.add(np.frombuffer(bytes.fromhex(digits), np.uint64))

    def commit(self, cut: Cut) -> Entry:
        """Write the faces of one run that are no near-duplicates; gives its entry for the journal."""
        entry = Entry(cut.n_photos, cut.n_unreadable, cut.n_faceless)
        for outcome in cut.outcomes:
            if isinstance(outcome, Refusal):
                entry.refused.append(self._refused(outcome))
            elif (twin := self.known.nearest(outcome.hash)) is not None:
                reason = f"near-duplicate: of {faces_folder.face_name(twin)}"
                entry.refused.append(self._refused(Refusal(outcome.source, reason, outcome.png)))
            else:
                self._keep(outcome, entry)
        self.n_photos += entry.n_photos
        return entry

    def _keep(self, face: Face, entry: Entry) -> None:
        name = faces_folder.face_name(self.known.add(face.hash))
        (self.out / name).write_bytes(face.png)
        entry.kept.append(faces_folder.kept_row(name, face))
        entry.hashes.append(face.hash.tobytes().hex())
        entry.sizes_bytes.append(len(face.png))

    def _refused(self, refusal: Refusal) -> tuple[str, str, str | None]:
        """A refusal as the journal keeps it, with its thumbnail if the report has room for it."""
        kind = kind_of(refusal.reason)
        self.n_refused[kind] += 1
        if not self.pictures or refusal.thumb is None or self.n_refused[kind] > REFUSED_SHOWN:
            return refusal.source, refusal.reason, None
        return refusal.source, refusal.reason, base64.b64encode(refusal.thumb).decode()


def _runs(photos: Iterator[Photo]) -> Iterator[list[Photo]]:
    """Consecutive photos, some at a time. What a run gives depends on it alone, so an interruption changes nothing."""
    run: list[Photo] = []
    for photo in photos:
        run.append(photo)
        if len(run) == PHOTOS_AT_ONCE or sum(photo.pixels_held for photo in run) > FRAME_PIXELS_AT_ONCE:
            yield run
            run = []
    if run:
        yield run


def _in_order(cutter: Cutter, runs: Iterator[list[Photo]], workers: int) -> Generator[Cut]:
    """What became of each run, in order, while workers are ahead by a few."""
    torch_threads = torch.get_num_threads()
    # Each worker keeps one processor busy: torch's own threads gain less on small pictures than whole photos do.
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    ahead: deque[Future[Cut]] = deque()
    try:
        for run in runs:
            ahead.append(pool.submit(cutter.cut, run))
            if len(ahead) > workers + 1:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(torch_threads)


def _check(
    size: int, margin: float, faces: str, min_face: int, threshold: float, every: int, workers: int | None
) -> None:
    """Raise BadOption for a value that can't be used."""
    if not MIN_SIZE_PX <= size <= MAX_SIZE_PX:
        raise BadOption(f"--size must be {MIN_SIZE_PX} to {MAX_SIZE_PX} pixels, not {size}.")
    if not 0 <= margin <= MAX_MARGIN:
        raise BadOption(f"--margin must be 0 to {MAX_MARGIN:g}, not {margin:g}.")
    if faces not in get_args(Which):
        raise BadOption(f"--faces must be largest or all, not {faces!r}.")
    if min_face < WINDOW_PX:
        raise BadOption(f"--min-face must be {WINDOW_PX} pixels or more, not {min_face}.")
    if not 0 < threshold < 1:
        raise BadOption(f"--threshold must lie between 0 and 1, not {threshold:g}.")
    if every < 1:
        raise BadOption(f"--every must be 1 or more, not {every}.")
    if workers is not None and workers < 1:
        raise BadOption(f"--workers must be 1 or more, not {workers}.")

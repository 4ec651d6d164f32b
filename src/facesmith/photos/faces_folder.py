"""The files in a folder of extracted faces besides the pictures.

metadata.csv   one row per face
rejected.csv   one row per photo or face that was rejected, with the reason
faces.json     alignment, settings, counts, split, versions; written last, so its presence means that all is done
report.html    a page to look at
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from facesmith.detection.align import LANDMARK_COLUMNS, CenterCrop, Framing
from facesmith.errors import OutputExists
from facesmith.io.decode_text import decode_text
from facesmith.io.files import atomic_write, holds_files, open_regular_file, refuse_to_overwrite, sha256
from facesmith.io.json_files import read_json
from facesmith.io.lock import lock_names
from facesmith.labels.folders import person_of, persons_of
from facesmith.labels.table_text import delimiter_of
from facesmith.photos import journal, shard_files
from facesmith.photos.crop import CroppedFace, FaceChoice, kind_of
from facesmith.photos.extraction_report import ExtractReport, extraction_page, unreadable_reason
from facesmith.photos.journal import JOURNAL_NAME, BatchRecord, Count, Share, face_name
from facesmith.photos.photo_labels import PhotoLabels
from facesmith.photos.shard_files import SPLIT_COLUMN, ShardEntry
from facesmith.photos.sources import PhotoSource
from facesmith.photos.split import describe, group_name, part_of, split

FORMAT = 3
LOCK_NAME = ".extract.lock"
CLEARED_JOURNAL_NAME = ".extract-cleared.jsonl"  # the journal of an extraction that --force is removing
COLUMNS = (
    *("file_name", "source", "left", "top", "width", "height", "confidence"),
    *LANDMARK_COLUMNS,
    *("blur", "fill"),
    *(f"affine_{row}{column}" for row in range(2) for column in range(3)),
)
SOURCE_COLUMN = COLUMNS.index("source")
FACE_NAME = re.compile(r"\d{6,}\.png")  # the names that `journal.face_name` gives
MAX_HEADER_BYTES = 2**16
ENCODING_ERRORS = "backslashreplace"  # file names need not be valid Unicode


@dataclass(frozen=True)
class ExtractSettings:
    """Everything that decides the result of an extraction.

    Attributes:
        fingerprint: represents the files of PHOTOS.
        shards: number of photos for each shard; None for a folder of pictures.
    """

    alignment: Framing
    faces: FaceChoice
    min_face: int
    threshold: float
    max_fill: float
    every: int
    fingerprint: str
    shards: int | None = None

    def to_values(self) -> dict[str, Any]:
        """Plain values, flat, named like the options."""
        values = asdict(self)
        alignment = values.pop("alignment")
        if isinstance(self.alignment, CenterCrop):  # no face detection
            del values["faces"], values["min_face"], values["threshold"], values["max_fill"]
        if self.shards is None:
            del values["shards"]
        return {"format": FORMAT, **alignment, **values}


@dataclass(frozen=True)
class Counts:
    """The counts of an extraction in `faces.json`; see `ExtractReport`."""

    photos: Count
    unreadable: Count
    faceless: Count
    faces: Count
    filled: Count
    mean_fill: Share
    rejected: dict[str, Count]
    ignored: dict[str, Count]
    generated: Count = 0
    unreadable_reasons: dict[str, Count] = field(default_factory=dict)


@dataclass(frozen=True)
class FacesHeader:
    """The content of `faces.json`.

    Attributes:
        photos: the name of PHOTOS.
        alignment: a framing as plain values.
        settings: of `ExtractSettings`.
        split: described by `split.describe`.
        versions: of the packages that the result depends on.
        shards: of an extraction with --shards; by number.
    """

    format: int
    photos: str
    alignment: dict[str, Any]
    settings: dict[str, Any]
    counts: Counts
    split: dict[str, Any]
    versions: dict[str, str]
    shards: list[ShardEntry] | None = None


def metadata_row(name: str, face: CroppedFace) -> list[str]:
    """A face's row of `metadata.csv`. The columns of the detector are empty for center crops."""
    detection = [""] * (1 + len(LANDMARK_COLUMNS))
    if face.detection is not None:
        landmarks = face.detection.landmarks.ravel().tolist()
        detection = [f"{face.detection.confidence:.4f}", *(f"{value:.2f}" for value in landmarks)]
    box = [f"{value:.2f}" for value in face.box.tolist()]
    affine = [f"{value:.9g}" for value in face.matrix.ravel().tolist()]
    return [name, face.source, *box, *detection, f"{face.blur:.4f}", f"{face.fill:.4f}", *affine]


def finished_report(out: Path, settings: ExtractSettings, force: bool) -> ExtractReport | None:
    """The report if the same extraction is complete already; None if there is work to do.

    Raises:
        OutputExists: `out` contains other files, or an extraction with other settings, and `force` is False; or
            `force` is True and `out` contains something other than an extraction.
    """
    if force:
        if not _is_replaceable(out):
            raise OutputExists(_why_not_replaceable(out))
        return None
    if file := next((each for each in (out, *out.parents) if each.is_file()), None):
        raise OutputExists(f"{file} is a file. Choose another --out.")
    unfinished = journal.settings_of(out)
    if unfinished is not None:
        _check_same_settings(out, unfinished, settings.to_values(), "an interrupted extraction")
        return None
    try:
        header = _read_header(out)
    except (FileNotFoundError, NotADirectoryError):
        leftovers = {JOURNAL_NAME, *lock_names(LOCK_NAME)}  # of a run that was stopped before its first batch
        if not out.is_dir() or holds_files(out, leftovers):
            if not _is_replaceable(out):
                raise OutputExists(_why_not_replaceable(out)) from None
            refuse_to_overwrite(out, force)
        return None
    _check_same_settings(out, header.settings, settings.to_values(), "an extraction")
    if not _is_table_of_extract(out):
        raise OutputExists(
            f"{out}/metadata.csv, which extract wrote, is missing or damaged. Add --force to extract all faces again."
        )
    if header.shards is not None and shard_files.problem_of(out, header.shards) is not None:
        return None
    return ExtractReport(out, **asdict(header.counts), was_complete=True)


def write_report_without_pictures(report: ExtractReport, photos: str) -> None:
    """Replace the page of a finished extraction by one without faces and photos.

    Args:
        photos: the name of PHOTOS.
    """
    _write_text(report.out / "report.html", extraction_page(report, photos, (), lambda _: None))


def _read_header(out: Path) -> FacesHeader:
    """Read `faces.json`. Raises OutputExists if it is damaged."""
    advice = "Choose another --out, or add --force if extract wrote this folder: it extracts all faces again."
    return read_json(out / "faces.json", FacesHeader, advice, error=OutputExists)


def _is_replaceable(out: Path) -> bool:
    """Whether a folder is new, empty, or contains an earlier extraction."""
    if not out.exists() or (out.is_dir() and not holds_files(out, lock_names(LOCK_NAME))):
        return True
    if (out / JOURNAL_NAME).exists() or (out / CLEARED_JOURNAL_NAME).exists():
        return True
    try:
        return bool(_read_header(out))
    except (OSError, OutputExists):  # missing or damaged; the table shows as well who wrote it
        return _is_table_of_extract(out)


def _why_not_replaceable(out: Path) -> str:
    if (out / "faces.json").exists():
        return (
            f"{out}: faces.json and metadata.csv are both damaged, so it is unknown which files extract wrote. "
            "--force keeps them. Delete the folder yourself, or choose another --out."
        )
    return f"{out} is not a folder that extract wrote, so even --force keeps it. Choose another --out."


def _is_table_of_extract(out: Path) -> bool:
    """Whether `metadata.csv` has the columns of `extract`. Others may be added, and a spreadsheet may have saved it."""
    try:
        with open_regular_file(out / "metadata.csv") as stream:
            header = decode_text(stream.read(MAX_HEADER_BYTES))
    except OSError:
        return False
    return set(COLUMNS) <= set(_table_of_extract(header).fieldnames or ())


def _table_of_extract(text: str) -> csv.DictReader[str]:
    """The rows of `metadata.csv`, whichever separator it has."""
    return csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter_of(text) or ",")


def _check_same_settings(out: Path, stored: dict[str, Any], requested: dict[str, Any], what: str) -> None:
    names = dict.fromkeys((*requested, "shards"))  # without --shards, it is in neither or in one of both
    different = [name for name in names if stored.get(name) != requested.get(name)]
    if not different:
        return
    if different == ["fingerprint"]:
        differences = "the files in PHOTOS have changed"
    else:
        differences = ", ".join(
            f"{name} was {stored.get(name)}, now {requested.get(name)}" for name in different if name != "fingerprint"
        )
    raise OutputExists(
        f"{out} contains {what} with other settings: {differences}. Choose another --out, or add --force."
    )


def clear(out: Path) -> None:
    """Remove the files of an earlier extraction, and no others.

    If this is interrupted, the folder must not look complete, and must still list its pictures. So faces.json goes
    first, the journal gets another name, and this and metadata.csv go last.
    """
    (out / "faces.json").unlink(missing_ok=True)
    if (out / JOURNAL_NAME).exists():
        os.replace(out / JOURNAL_NAME, out / CLEARED_JOURNAL_NAME)
    names = [*(row[0] for row in _kept_rows(out, CLEARED_JOURNAL_NAME)), *_listed_faces(out)]
    if (out / CLEARED_JOURNAL_NAME).exists():
        names += _unrecorded_faces(out)
    names += shard_files.own_files(out)
    for name in (*names, "rejected.csv", "report.html", "metadata.csv", CLEARED_JOURNAL_NAME):
        (out / name).unlink(missing_ok=True)


def _unrecorded_faces(out: Path) -> Iterator[str]:
    """The faces of a batch that was interrupted: they follow those in the journal, but are not in it."""
    number = sum(len(record.kept) for record in journal.records(out, CLEARED_JOURNAL_NAME))
    while (out / face_name(number)).exists():
        yield face_name(number)
        number += 1


def _listed_faces(out: Path) -> Iterator[str]:
    """The faces that `metadata.csv` lists. A damaged table ends at the damage."""
    try:
        with open_regular_file(out / "metadata.csv") as stream:
            for row in _table_of_extract(decode_text(stream.read())):
                if row.get("affine_00") and FACE_NAME.fullmatch(row.get("file_name") or ""):
                    yield row["file_name"]
    except (FileNotFoundError, csv.Error):
        return


@dataclass(frozen=True)
class Finished:
    """What a finished extraction has found. The methods can be called several times.

    Attributes:
        records: the batches, in the order of the photos.
        faces: the row of `metadata.csv` and the sha256 of each face that is still there.
        picture: the content of a face's file; None if the user has deleted it.
        shards: of an extraction with --shards.
    """

    records: Callable[[], Iterator[BatchRecord]]
    faces: Callable[[], Iterator[tuple[list[str], str]]]
    picture: Callable[[str], bytes | None]
    shards: list[ShardEntry] | None = None


def finished_folder(out: Path) -> Finished:
    """The result of an extraction to a folder of pictures, from the journal."""

    def faces() -> Iterator[tuple[list[str], str]]:
        return ((row, sha256(out / row[0])) for row in _kept_rows(out) if (out / row[0]).exists())

    def picture(name: str) -> bytes | None:
        return (out / name).read_bytes() if (out / name).exists() else None

    return Finished(partial(journal.records, out), faces, picture)


def finish(
    out: Path,
    settings: ExtractSettings,
    source: PhotoSource,
    labels: PhotoLabels,
    pictures: bool,
    result: Finished,
) -> ExtractReport:
    """Write tables, report and faces.json, and remove the journal.

    Args:
        labels: of the photos; their columns follow those of the faces.
        pictures: whether the report may show faces and photos.
    """
    rows = ([*row, *labels.of(row[SOURCE_COLUMN])] for record in result.records() for row in record.kept)
    columns = [*COLUMNS, *labels.columns]
    if result.shards is not None:  # so that a reader knows the split without the content of all shards
        parts = map(part_of, _groups(labels, result))
        columns.append(SPLIT_COLUMN)
        rows = ([*row, part] for row, part in zip(rows, parts, strict=True))
    _write_table(out / "metadata.csv", columns, rows)
    rejected = ((photo, reason) for record in result.records() for photo, reason, _ in record.rejected)
    _write_table(out / "rejected.csv", ("source", "reason"), rejected)
    report = _count(out, result.records(), source.ignored - labels.tables)
    page = extraction_page(report, source.name, result.records() if pictures else (), result.picture)
    _write_text(out / "report.html", page)
    counts = Counts(**{each.name: getattr(report, each.name) for each in fields(Counts)})
    header = FacesHeader(
        format=FORMAT,
        photos=source.name,
        alignment=settings.alignment.to_values(),
        settings=settings.to_values(),
        counts=counts,
        split=describe(split(_groups(labels, result))),
        versions=versions(),
        shards=result.shards,
    )
    values = asdict(header)
    if result.shards is None:
        del values["shards"]
    _write_text(out / "faces.json", json.dumps(values, indent=2) + "\n")
    (out / JOURNAL_NAME).unlink()
    return report


def _groups(labels: PhotoLabels, result: Finished) -> Iterator[str]:
    """The group of each face, which decides its part of the split."""
    sources = (row[SOURCE_COLUMN] for record in result.records() for row in record.kept)
    has_persons = any(persons_of(sources))
    for row, content in result.faces():
        source = row[SOURCE_COLUMN]
        yield group_name(labels.person(source) or (person_of(source) if has_persons else None), content)


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as stream:
        stream.write(text.encode("utf-8", ENCODING_ERRORS))


def _write_table(path: Path, header: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    with atomic_write(path) as stream:
        text = io.TextIOWrapper(stream, "utf-8", ENCODING_ERRORS, newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        text.detach()


def _kept_rows(out: Path, journal_name: str = JOURNAL_NAME) -> Iterator[list[str]]:
    for record in journal.records(out, journal_name):
        yield from record.kept


def _count(out: Path, records: Iterator[BatchRecord], ignored: Counter[str]) -> ExtractReport:
    photos = unreadable = faceless = generated = faces = filled = 0
    fill_sum = 0.0
    rejected, reasons = Counter[str](), Counter[str]()
    for record in records:
        photos += record.n_photos
        unreadable += record.n_unreadable
        faceless += record.n_faceless
        generated += record.n_generated
        faces += len(record.kept)
        filled += sum(fill > 0 for fill in record.fills)
        fill_sum += sum(record.fills)
        rejected.update(kind_of(reason) for _, reason, _ in record.rejected)
        reasons.update(map(unreadable_reason, (reason for _, reason, _ in record.rejected)))
    del reasons[""]
    mean_fill = round(fill_sum / max(1, faces), 4)
    return ExtractReport(
        out, photos, unreadable, faceless, faces, filled, mean_fill, dict(rejected.most_common()), dict(ignored),
        generated=generated, unreadable_reasons=dict(reasons.most_common()),
    )  # fmt: skip


def versions() -> dict[str, str]:
    """The versions of the packages that faces depend on."""
    result = {}
    for package in ("facesmith", "mtcnn", "torch", "torchvision", "pillow", "numpy"):
        with suppress(PackageNotFoundError):
            result[package] = version(package)
    return result

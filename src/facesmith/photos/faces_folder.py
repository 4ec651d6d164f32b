"""What a folder of extracted faces holds besides the pictures: its tables, its description and its report.

metadata.csv   a row for each face kept
refused.csv    a row for each photo and each face that was not, with the reason
faces.json     alignment, settings, counts, split, versions; written last, so it tells that all is done
report.html    a page to look at
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from facesmith.errors import OutputExists
from facesmith.io.files import atomic_write, refuse_to_overwrite, sha256
from facesmith.photos import journal
from facesmith.photos.align import CenterCrop, Framing
from facesmith.photos.crop import Face, Which, kind_of
from facesmith.photos.extraction_report import extraction_page
from facesmith.photos.split import describe, group_name, person_of, split

FORMAT = 1
LOCK = ".extract.lock"
POINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
COLUMNS = (
    *("file_name", "source", "left", "top", "width", "height", "confidence"),
    *(f"{point}_{axis}" for point in POINTS for axis in "xy"),
    "blur",
    *(f"affine_{row}{column}" for row in range(2) for column in range(3)),
)
SOURCE = COLUMNS.index("source")
BAD_NAMES = "backslashreplace"  # file names need not be valid text


@dataclass(frozen=True)
class Settings:
    """All that decides what an extraction gives; `fingerprint` stands for the files of PHOTOS."""

    alignment: Framing
    faces: Which
    min_face: int
    threshold: float
    every: int
    fingerprint: str

    def to_values(self) -> dict[str, Any]:
        """Plain values, flat, by the names of the options."""
        values = asdict(self)
        alignment = values.pop("alignment")
        if isinstance(self.alignment, CenterCrop):  # no faces were looked for
            del values["faces"], values["min_face"], values["threshold"]
        return {"format": FORMAT, **alignment, **values}


@dataclass(frozen=True)
class ExtractReport:
    """What an extraction gave.

    Attributes:
        out: the folder.
        photos: looked at, frames of films included.
        unreadable: photos that are damaged, too large or no pictures.
        faceless: photos without a face.
        faces: kept.
        refused: how many photos or faces by kind of reason, these two kinds included.
        ignored: files with the ending of neither picture nor film, by ending.
        was_complete: an earlier run had done all this already.
    """

    out: Path
    photos: int
    unreadable: int
    faceless: int
    faces: int
    refused: dict[str, int]
    ignored: dict[str, int]
    was_complete: bool = False


def face_name(number: int) -> str:
    """The file of the face with this number, counted from 0."""
    return f"{number + 1:06d}.png"


def kept_row(name: str, face: Face) -> list[str]:
    """A face's row of `metadata.csv`; what only a detector knows stays empty where none was asked."""
    told = [""] * (1 + 2 * len(POINTS))
    if face.found is not None:
        told = [f"{face.found.confidence:.4f}", *(f"{value:.2f}" for value in face.found.landmarks.ravel().tolist())]
    box = [f"{value:.2f}" for value in face.box.tolist()]
    affine = [f"{value:.9g}" for value in face.matrix.ravel().tolist()]
    return [name, face.source, *box, *told, f"{face.blur:.4f}", *affine]


def finished(out: Path, settings: Settings, force: bool) -> ExtractReport | None:
    """The report of the same extraction if it is complete; None if there is work to do.

    Raises:
        OutputExists: `out` holds something else, and `force` was not given.
    """
    if force:
        if not _is_own(out):
            raise OutputExists(
                f"{out} holds something else than an extraction, which --force replaces. Choose another --out."
            )
        return None
    unfinished = journal.settings_of(out)
    if unfinished is not None:
        _must_agree(out, unfinished, settings.to_values(), "an interrupted extraction")
        return None
    try:
        header = json.loads((out / "faces.json").read_text("utf-8"))
        _must_agree(out, header["settings"], settings.to_values(), "an extraction")
        return ExtractReport(out, **header["counts"], was_complete=True)
    except (FileNotFoundError, NotADirectoryError):
        leftovers = {journal.NAME, LOCK}  # of a run that ended before its first line
        if not out.is_dir() or not {path.name for path in out.iterdir()} <= leftovers:
            refuse_to_overwrite(out, force)
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OutputExists(
            f"{out / 'faces.json'} is not of an extraction. Choose another --out, or add --force."
        ) from None


def _is_own(out: Path) -> bool:
    """Whether a folder is new, empty, or of an earlier extraction."""
    if not out.exists() or (out.is_dir() and {path.name for path in out.iterdir()} <= {LOCK}):
        return True
    if (out / journal.NAME).exists():
        return True
    try:
        return isinstance(json.loads((out / "faces.json").read_text("utf-8"))["settings"], dict)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _must_agree(out: Path, found: dict[str, Any], wanted: dict[str, Any], what: str) -> None:
    unlike = [name for name in wanted if found.get(name) != wanted[name]]
    if not unlike:
        return
    if unlike == ["fingerprint"]:
        differences = "the files in PHOTOS were other ones"
    else:
        told = [name for name in unlike if name != "fingerprint"]
        differences = ", ".join(f"{name} was {found.get(name)}, now {wanted[name]}" for name in told)
    raise OutputExists(f"{out} holds {what} with other settings: {differences}. Choose another --out, or add --force.")


def clear(out: Path) -> None:
    """Remove what an earlier extraction wrote, and nothing else."""
    names = [row[0] for row in _kept(out)]
    with suppress(FileNotFoundError), open(out / "metadata.csv", newline="", encoding="utf-8") as stream:
        names += [row["file_name"] for row in csv.DictReader(stream) if row.get("affine_00")]
    # What tells of the pictures goes before them: a run that is ended half-way must not count as complete.
    for name in ("faces.json", journal.NAME, *names, "metadata.csv", "refused.csv", "report.html"):
        if Path(name).name == name:
            (out / name).unlink(missing_ok=True)


def finish(out: Path, settings: Settings, photos: str, ignored: Counter[str], pictures: bool) -> ExtractReport:
    """Write the tables, the report and the description from the journal, and remove it.

    Args:
        photos: the name of PHOTOS.
        ignored: files by ending that are neither pictures nor films.
        pictures: whether the report shows any.
    """
    for leftover in out.glob(".*.part"):  # of a process that was killed in this very place
        leftover.unlink()
    _write_table(out / "metadata.csv", COLUMNS, _kept(out))
    _write_table(out / "refused.csv", ("source", "reason"), _refused(out))
    report = _counted(out, ignored)
    _write_text(out / "report.html", extraction_page(report, photos, journal.entries(out), pictures))
    counts = {name: value for name, value in asdict(report).items() if name not in ("out", "was_complete")}
    groups = [group_name(person_of(row[SOURCE]), sha256(out / row[0])) for row in _kept(out) if (out / row[0]).exists()]
    header = {
        "format": FORMAT,
        "photos": photos,
        "alignment": settings.alignment.to_values(),
        "settings": settings.to_values(),
        "counts": counts,
        "split": describe(split(groups)),
        "versions": _versions(),
    }
    _write_text(out / "faces.json", json.dumps(header, indent=2) + "\n")
    (out / journal.NAME).unlink()
    return report


def _write_text(path: Path, text: str) -> None:
    with atomic_write(path) as stream:
        stream.write(text.encode("utf-8", BAD_NAMES))


def _write_table(path: Path, header: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    with atomic_write(path) as stream:
        text = io.TextIOWrapper(stream, "utf-8", BAD_NAMES, newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        text.detach()


def _kept(out: Path) -> Iterator[list[str]]:
    for entry in journal.entries(out):
        yield from entry.kept


def _refused(out: Path) -> Iterator[tuple[str, str]]:
    for entry in journal.entries(out):
        for source, reason, _ in entry.refused:
            yield source, reason


def _counted(out: Path, ignored: Counter[str]) -> ExtractReport:
    photos = unreadable = faceless = faces = 0
    refused: Counter[str] = Counter()
    for entry in journal.entries(out):
        photos += entry.n_photos
        unreadable += entry.n_unreadable
        faceless += entry.n_faceless
        faces += len(entry.kept)
        refused.update(kind_of(reason) for _, reason, _ in entry.refused)
    return ExtractReport(out, photos, unreadable, faceless, faces, dict(refused.most_common()), dict(ignored))


def _versions() -> dict[str, str]:
    found = {}
    for package in ("facesmith", "mtcnn", "torch", "torchvision", "pillow", "numpy"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found

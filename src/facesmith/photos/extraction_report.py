"""The result of an extraction: its counts, and an HTML page of kept and rejected faces."""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from facesmith.io.messages import printable_name
from facesmith.photos.crop import kind_of
from facesmith.photos.journal import BatchRecord
from facesmith.pictures.html import Picture, Section, page

MAX_KEPT_SHOWN = 240
MAX_REASONS_LISTED = 3
UNREADABLE = "unreadable"  # kind of a rejection
NUMBER = re.compile(r"(?<![.=\w])[0-9]+(?:x[0-9]+)?(?![.\w])")  # 99 or 640x480, but not a version in a command
MAX_REJECTED_SHOWN = 48  # of each kind


@dataclass(frozen=True)
class ExtractReport:
    """The counts of an extraction.

    Attributes:
        out: the folder with the faces.
        photos: photos and video frames that were searched.
        unreadable: photos that are damaged, too large or not pictures.
        faceless: photos without a face.
        faces: faces that were kept.
        filled: kept faces whose crop reaches beyond their photo.
        mean_fill: mean share of a kept face's crop that lies beyond its photo.
        rejected: number of photos or faces by kind of reason, the two kinds above included.
        ignored: number of files that are neither pictures nor videos, by suffix.
        generated: photos that Facesmith generated, at least in part, by their metadata.
        unreadable_reasons: number of unreadable photos by reason.
        was_complete: True if an earlier run had already finished.
    """

    out: Path
    photos: int
    unreadable: int
    faceless: int
    faces: int
    filled: int
    mean_fill: float
    rejected: dict[str, int]
    ignored: dict[str, int]
    generated: int = 0
    unreadable_reasons: dict[str, int] = field(default_factory=dict)
    was_complete: bool = False

    def fill_summary(self) -> str | None:
        """One line about the crops that reach beyond their photos; None if there are none."""
        if not self.filled:
            return None
        return f"{self.filled:,} faces reach beyond their photo; on average {self.mean_fill:.1%} of a crop is filled in"

    def rejection_lines(self) -> list[str]:
        """One line for each kind of rejection. The most frequent reasons of unreadable photos follow theirs."""
        lines = []
        for kind, count in self.rejected.items():
            lines.append(f"rejected, {kind}: {count}")
            if kind == UNREADABLE:
                lines += [
                    f"  {reason}: {n}" for reason, n in list(self.unreadable_reasons.items())[:MAX_REASONS_LISTED]
                ]
        return lines

    def generated_notice(self) -> str | None:
        """One line about photos that Facesmith generated; None if there are none."""
        if not self.generated:
            return None
        return (
            f"{self.generated:,} of {self.photos:,} photos contain faces that Facesmith generated, as their metadata "
            "say. A model that is trained on such faces copies the errors of their generator"
        )


def unreadable_reason(reason: str) -> str:
    """The reason why a photo is unreadable, with its numbers left out, so that equal ones count together.

    Empty if the photo was rejected for another reason.
    """
    kind, _, detail = reason.partition(": ")
    return NUMBER.sub("…", printable_name(detail)) if kind == UNREADABLE else ""


def extraction_page(
    report: ExtractReport, photos: str, records: Iterable[BatchRecord], picture: Callable[[str], bytes | None]
) -> str:
    """The HTML page of a complete extraction.

    Args:
        photos: the name of PHOTOS.
        records: the batches whose faces and photos the page may show.
        picture: the content of a face's file; None if there is no such file.
    """
    kept: list[tuple[str, str]] = []
    rejected: dict[str, list[Picture]] = defaultdict(list)
    step = max(1, -(-report.faces // MAX_KEPT_SHOWN))
    number = 0
    for record in records:
        for file_name, source, *_ in record.kept:
            if number % step == 0:
                kept.append((file_name, source))
            number += 1
        for source, reason, thumbnail in record.rejected:
            thumbnails = rejected[kind_of(reason)]
            if thumbnail is not None and len(thumbnails) < MAX_REJECTED_SHOWN:
                thumbnails.append(Picture(base64.b64decode(thumbnail), f"{source}: {reason}"))
    sections = [_summary_section(report), *([_kept_section(report, kept, picture)] if kept else [])]
    for kind, thumbnails in rejected.items():
        if thumbnails:
            lines = [f"{len(thumbnails)} of {report.rejected[kind]:,}. All are listed in rejected.csv."]
            sections.append(Section(f"Rejected: {kind}", lines, sheet=thumbnails))
    return page(f"Faces from {photos}", sections)


def _summary_section(report: ExtractReport) -> Section:
    rows: list[tuple[str, int]] = [
        ("Photos searched", report.photos),
        ("Faces kept", report.faces),
        ("Faces that reach beyond their photo", report.filled),
        *((f"Rejected: {kind}", count) for kind, count in report.rejected.items()),
        *((f"Ignored files: {suffix}", count) for suffix, count in report.ignored.items()),
    ]
    lines = ["To remove a bad crop, delete its picture from this folder."]
    lines += [f"{summary}."] if (summary := report.fill_summary()) else []
    return Section("Counts", lines, rows=rows)


def _kept_section(
    report: ExtractReport, kept: list[tuple[str, str]], picture: Callable[[str], bytes | None]
) -> Section:
    sheet = []
    for file_name, source in kept:
        content = picture(file_name)
        if content is not None:  # the user may have deleted it while the extraction was interrupted
            sheet.append(Picture(content, f"{file_name}: {source}"))
    is_complete = len(sheet) == report.faces
    line = "All faces." if is_complete else f"{len(sheet)} of {report.faces:,} faces, evenly spaced."
    return Section("Kept", [line], sheet=sheet)

"""The page to look at after an extraction: what was kept, what was refused and why."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from facesmith.io.html import Picture, Section, page
from facesmith.photos.crop import kind_of
from facesmith.photos.journal import Entry

if TYPE_CHECKING:
    from facesmith.photos.faces_folder import ExtractReport

KEPT_SHOWN = 240
REFUSED_SHOWN = 48  # of each kind


def extraction_page(report: ExtractReport, photos: str, entries: Iterable[Entry], pictures: bool) -> str:
    """The report of a complete extraction as HTML.

    Args:
        photos: the name of PHOTOS.
        entries: of the journal.
        pictures: whether faces and photos may be shown.
    """
    kept: list[tuple[str, str]] = []
    refused: dict[str, list[Picture]] = defaultdict(list)
    step = max(1, -(-report.faces // KEPT_SHOWN))
    number = 0
    for entry in entries if pictures else ():
        for file_name, source, *_ in entry.kept:
            if number % step == 0:
                kept.append((file_name, source))
            number += 1
        for source, reason, thumb in entry.refused:
            shown = refused[kind_of(reason)]
            if thumb is not None and len(shown) < REFUSED_SHOWN:
                shown.append(Picture(base64.b64decode(thumb), f"{source}: {reason}"))
    sections = [_summary(report), *([_kept(report, kept)] if kept else [])]
    for kind, shown in refused.items():
        if shown:
            lines = [f"{len(shown)} of {report.refused[kind]:,}. refused.csv lists all of them."]
            sections.append(Section(f"Refused: {kind}", lines, sheet=shown))
    return page(f"Faces of {photos}", sections)


def _summary(report: ExtractReport) -> Section:
    rows: list[tuple[str, int]] = [
        ("Photos looked at", report.photos),
        ("Faces kept", report.faces),
        *((f"Refused: {kind}", count) for kind, count in report.refused.items()),
        *((f"Ignored files: {ending}", count) for ending, count in report.ignored.items()),
    ]
    lines = [
        "A crop that is no good? Delete its picture from this folder; nothing else needs to be done.",
    ]
    return Section("In numbers", lines, rows=rows)


def _kept(report: ExtractReport, kept: list[tuple[str, str]]) -> Section:
    sheet = []
    for file_name, source in kept:
        path = report.out / file_name
        if path.exists():  # it may have been deleted by hand before the report was made
            sheet.append(Picture(path.read_bytes(), f"{file_name}: {source}"))
    return Section("Kept", [f"{len(sheet)} of {report.faces:,}, spread evenly."], sheet=sheet)

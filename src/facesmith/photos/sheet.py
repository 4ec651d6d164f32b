"""The page to look at after an extraction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facesmith.photos.folder import ExtractReport


def write_report(out: Path, report: ExtractReport, journal: Path, pictures: bool) -> None:
    (out / "report.html").write_text("TODO")

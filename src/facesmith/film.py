"""A run's sample sheets, one after the other, as a film of its progress."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from facesmith.errors import BadData
from facesmith.images import Pixels, read_picture, write_film
from facesmith.monitor import SHEETS

FRAMES_PER_SECOND = 8
LAST_FRAME_SECONDS = 2


def progress_film(run: Path, out: Path) -> Path:
    """Write the fixed faces of a run over time, from its first save to its last, as an MP4.

    Raises:
        BadData: the run has no sheets.
    """
    sheets = sorted((run / SHEETS).glob("*.png"))
    if not sheets:
        raise BadData(f"{run} holds no sample sheets. Has it been trained?")
    return write_film(out, _frames(sheets), FRAMES_PER_SECOND)


def _frames(sheets: list[Path]) -> Iterator[Pixels]:
    for sheet in sheets:
        yield read_picture(sheet)
    last = read_picture(sheets[-1])
    for _ in range(FRAMES_PER_SECOND * LAST_FRAME_SECONDS):
        yield last

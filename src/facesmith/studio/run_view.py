"""What the page shows of a run folder, during or after training. The page polls it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

from facesmith.errors import BadData
from facesmith.io.progress import duration_in_words
from facesmith.modelfiles.run_folder import LOG, SHEETS, sheets
from facesmith.pictures.charts import COLORS, Line, line_chart
from facesmith.pictures.html import Section
from facesmith.pictures.images import read_file
from facesmith.report import explanations
from facesmith.report.read_run import RunRecord, read_plan_and_log
from facesmith.report.run_sections import BALANCE, DIAGNOSIS, live_sections, seconds_left
from facesmith.training.curves import KIMG_LABEL, LABELS, VALIDATION_KID, points, smoothed
from facesmith.training.diagnosis import DISTANCE, VARIETY

STALLED_SECONDS = 1800.0  # A run without a checkpoint for this long is shown as stopped. This is a guess.
SPEED = "images_per_second"
MIN_INTERVAL_SHARE = 0.25  # of the median interval; the speed of shorter intervals is not drawn
COMPARED_TERMS = (VALIDATION_KID, DISTANCE, VARIETY, "G/loss", "D/loss", SPEED)
SECTION_FIELDS = ("title", "lines", "header", "rows", "bullets", "explanation")
OPEN_SECTIONS = (DIAGNOSIS, BALANCE)  # the page shows the others collapsed


def summary(run_id: str, name: str, folder: Path) -> dict[str, Any]:
    """Return the facts that identify a run, and its progress."""
    run = read_plan_and_log(folder)
    budget = run.plan.budget if run.plan is not None else max(run.seen, 1)
    seconds_since_checkpoint = time.time() - _last_checkpoint_time(folder)
    state = "training" if seconds_since_checkpoint < STALLED_SECONDS else "stopped"
    time_left = seconds_left(run)
    return {
        "id": run_id,
        "name": name,
        "recipe": run.plan.recipe if run.plan is not None else "unknown",
        "seen": run.seen,
        "budget": budget,
        "state": "finished" if run.seen >= budget else state,
        "time_left": None if time_left is None else duration_in_words(time_left),
        "seconds_since_checkpoint": max(0, round(seconds_since_checkpoint)),  # the clock of the drive may be ahead
        "sheets": [int(path.stem) for path in sheets(folder)],
    }


def details(folder: Path) -> dict[str, Any]:
    """Return the sections of the report that change during training, and a text about the contact sheets."""
    return _details(folder, _last_checkpoint_time(folder))


@lru_cache(maxsize=8)
def _details(folder: Path, last_checkpoint_time: float) -> dict[str, Any]:
    """Do the work of `details`. The charts take a second to draw, so they are cached until the next checkpoint."""
    run = read_plan_and_log(folder)
    sections = [_section_values(section) for section in live_sections(run)]
    if run.missing:
        sections.append({"title": "What is missing", "bullets": run.missing, "open": True})
    about_sheets = f"{explanations.contact_sheet(run.has_discriminator)} {explanations.FILM}"
    return {"sections": sections, "about_sheets": about_sheets}


def sheet_png(folder: Path, seen: int) -> bytes:
    """Return the contact sheet after `seen` images, as a PNG file.

    Raises:
        BadData: there is none after this number of images.
    """
    for path in sheets(folder, SHEETS):
        if int(path.stem) == seen:
            return read_file(path)
    raise BadData(f"This run no longer has a contact sheet at {seen / 1000:.1f} kimg. Reload the page.")


def comparison_charts(folders: Sequence[tuple[str, Path]]) -> list[dict[str, Any]]:
    """Return one chart for each term, with one line for each run.

    Args:
        folders: pairs of run name and run folder.
    """
    runs = [(name, read_plan_and_log(folder)) for name, folder in folders]
    charts = []
    for term in COMPARED_TERMS:
        title, colors = LABELS[term], cycle(COLORS)
        lines = [
            line
            for (name, run), color in zip(runs, colors, strict=False)
            for line in _term_lines(run, term, name, color)
        ]
        if lines:
            chart = line_chart(f"{title}, of several runs", lines, x_label=KIMG_LABEL, title=title)
            charts.append(asdict(chart))
    return charts


def _term_lines(run: RunRecord, term: str, name: str, color: str) -> list[Line]:
    log = _usual_intervals(run.lines) if term == SPEED else run.lines
    kimg, values = points(log, term)
    return [Line(name, kimg, smoothed(values) or values, color)] if kimg else []


def _usual_intervals(log: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the lines of a log without those of very short intervals, such as the last two steps of a run.

    Writing a checkpoint takes most of the time of such an interval, so its speed would look like a collapse.
    """
    if len(log) < 3:
        return list(log)
    lengths = [line["seen"] - before for line, before in zip(log, (0, *(line["seen"] for line in log)), strict=False)]
    shortest = MIN_INTERVAL_SHARE * median(lengths)
    return [line for line, length in zip(log, lengths, strict=True) if length >= shortest]


def _section_values(section: Section) -> dict[str, Any]:
    """Return what the page shows of a section of the report."""
    values = {name: getattr(section, name) for name in SECTION_FIELDS}
    return {
        **values,
        "charts": [asdict(chart) for chart in section.charts],
        "open": section.title in OPEN_SECTIONS,
    }


def _last_checkpoint_time(folder: Path) -> float:
    """Return when the log was last written. Without a log: when the folder changed; without a folder: 0."""
    for path in (folder / LOG, folder):
        with suppress(OSError):
            return path.stat().st_mtime
    return 0.0

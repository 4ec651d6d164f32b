"""Run folders, while they train or later: what `report` tells of them, to be asked for again and again."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from facesmith.errors import BadData
from facesmith.io.charts import Line, line_chart
from facesmith.io.html import Section
from facesmith.io.images import read_file
from facesmith.modelfiles.run_folder import LOG, SHEETS, sheets
from facesmith.report import explanations
from facesmith.report.log_charts import KIMG, SIGNS
from facesmith.report.read_run import RunRecord, read_plan_and_log
from facesmith.report.run_sections import duration, live_sections, seconds_left
from facesmith.training.curves import WATCHED, points, smoothed
from facesmith.training.diagnosis import DISTANCE, VARIETY

QUIET_SECONDS = 1800.0  # without a save, after which a run is said to stand still
COMPARED = {
    WATCHED: "KID to the validation faces; lower is better",
    **{name: SIGNS[name] for name in (DISTANCE, VARIETY)},
}
COMPARED |= {"G/loss": "the generator's loss", "D/loss": "the critic's loss", "images_per_second": "faces a second"}
SECTION_PARTS = ("title", "lines", "header", "rows", "bullets", "how")
Names = dict[str, Path]


def by_id(folders: Sequence[Path]) -> Names:
    """Folders by ids that tell nothing of where they lie.

    Raises:
        BadData: one is no run.
    """
    for folder in folders:
        read_plan_and_log(folder)
    return {hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]: folder for folder in folders}


def brief(known: str, name: str, folder: Path) -> dict[str, Any]:
    """What a list of runs tells of one."""
    run = read_plan_and_log(folder)
    plan, left = run.plan, seconds_left(run)
    budget = plan.budget if plan is not None else max(run.seen, 1)
    still = time.time() - _written(folder)
    state = "finished" if run.seen >= budget else "training" if still < QUIET_SECONDS else "standing still"
    return {
        "id": known,
        "name": name,
        "recipe": plan.recipe if plan is not None else "unknown",
        "seen": run.seen,
        "budget": budget,
        "state": state,
        "left": None if left is None else duration(left),
        "saved_seconds_ago": round(still),
        "frames": [int(path.stem) for path in sheets(folder)],
    }


def told(folder: Path) -> list[dict[str, Any]]:
    """The run's numbers, the doctor's words and the curves, each with how to read it."""
    run = read_plan_and_log(folder)
    parts = [_values(section) for section in live_sections(run)]
    return [*parts, {"title": "What is missing", "bullets": run.missing}] if run.missing else parts


def sheet(folder: Path, seen: int) -> bytes:
    """The bytes of the sheet of the fixed faces after so many images.

    Raises:
        BadData: there is none.
    """
    for path in sheets(folder, SHEETS):
        if int(path.stem) == seen:
            return read_file(path)
    raise BadData(f"This run has no sheet at {seen / 1000:.1f} kimg any more.")


def compared(runs: Sequence[tuple[str, Path]]) -> list[dict[str, Any]]:
    """Charts of what several runs have in common, a line for each run."""
    held: list[tuple[str, RunRecord]] = [(name, read_plan_and_log(folder)) for name, folder in runs]
    charts = []
    for term, title in COMPARED.items():
        lines = [line for tone, (name, run) in enumerate(held, 1) for line in _line(run, term, name, tone)]
        if lines:
            charts.append({**asdict(line_chart(f"{title}, of several runs", lines, x_label=KIMG)), "title": title})
    return charts


def how_to_read_sheets(folder: Path) -> str:
    """How to read the fixed faces over time."""
    return f"{explanations.sheet(read_plan_and_log(folder).has_discriminator)} {explanations.FILM}"


def _line(run: RunRecord, term: str, name: str, tone: int) -> list[Line]:
    kimg, numbers = points(run.lines, term)
    return [Line(name, kimg, smoothed(numbers) or numbers, tone)] if kimg else []


def _values(section: Section) -> dict[str, Any]:
    values = {name: getattr(section, name) for name in SECTION_PARTS}
    return {**values, "charts": [asdict(chart) for chart in section.charts]}


def _written(folder: Path) -> float:
    try:
        return (folder / LOG).stat().st_mtime
    except OSError:
        return folder.stat().st_mtime

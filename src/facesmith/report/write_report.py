"""The page of a run, written."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from facesmith.errors import BadOption
from facesmith.io.files import atomic_write, refuse_to_overwrite
from facesmith.io.html import page
from facesmith.io.images import Pixels
from facesmith.io.video import write_film
from facesmith.modelfiles.run_folder import REPORT
from facesmith.report.read_run import RunRecord, read_run
from facesmith.report.run_sections import run_sections
from facesmith.training.progress_film import FRAMES_PER_SECOND, LAST_FRAME_SECONDS


def write_report(
    folder: Path, out: Path | None = None, *, pictures: bool = True, force: bool = False, console: Console
) -> Path:
    """Write one self-contained page about a run, while it trains or afterwards.

    Args:
        folder: of the run.
        out: by default `report.html` in the run folder, which is the run's own and replaced.
        pictures: whether real photos may be shown.

    Raises:
        FacesmithError: the folder is no run, or `out` is in the way.
    """
    if out is not None:
        if out.suffix.lower() not in (".html", ".htm"):
            raise BadOption(f"--out {out}: a report is written as .html.")
        refuse_to_overwrite(out, force)
    run = read_run(folder, console)
    console.print(f"making the page of {folder} ...", highlight=False)
    text = page(_title(run), run_sections(run, _film([sheet for _, sheet in run.frames]), pictures))
    target = out or folder / REPORT
    with atomic_write(target, "w") as stream:
        stream.write(text)
    return target


def _title(run: RunRecord) -> str:
    if run.plan is None:
        return f"The run {run.folder.resolve().name}"
    return f"{run.plan.recipe}, trained on {Path(run.plan.data).name}"


def _film(sheets: list[Pixels]) -> bytes | None:
    """The sheets as an MP4 that lingers on the last; None where there is nothing to move."""
    if len(sheets) < 2:
        return None
    with tempfile.TemporaryDirectory() as folder:
        frames = [*sheets, *sheets[-1:] * FRAMES_PER_SECOND * LAST_FRAME_SECONDS]
        return write_film(Path(folder) / "progress.mp4", frames, FRAMES_PER_SECOND).read_bytes()

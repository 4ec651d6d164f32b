"""Write the page of a run."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from facesmith.errors import BadOption
from facesmith.io.files import atomic_write, named, refuse_to_overwrite
from facesmith.modelfiles.run_folder import REPORT
from facesmith.pictures.html import page
from facesmith.pictures.images import Pixels
from facesmith.pictures.video import write_film
from facesmith.report.read_run import RunRecord, read_run
from facesmith.report.run_sections import run_sections
from facesmith.training.progress_film import FRAMES_PER_SECOND, LAST_FRAME_SECONDS


def write_report(
    folder: Path,
    out: Path | None = None,
    *,
    data: Path | None = None,
    pictures: bool = True,
    force: bool = False,
    console: Console,
) -> Path:
    """Write one self-contained page about a run, during training or afterwards, and return its path.

    Args:
        folder: the run folder.
        out: by default `report.html` in the run folder, which is replaced if it exists.
        data: where the faces are now, if they have moved since the training.
        pictures: whether real photos may be shown.

    Raises:
        FacesmithError: the folder has no run, or `out` exists or is not an .html file.
    """
    if out is not None and out.suffix.lower() not in (".html", ".htm"):
        raise BadOption(f"--out {out}: expected the name of an .html file.")
    target = out or folder / REPORT
    refuse_to_overwrite(target, force or out is None)
    run = read_run(folder, console, data)
    console.print(f"writing the report of {folder} ...")
    content = page(_title(run), run_sections(run, _film([sheet for _, sheet in run.frames]), pictures))
    with atomic_write(target, "w") as stream:
        stream.write(content)
    return target


def _title(run: RunRecord) -> str:
    if run.plan is None:
        return f"Run {named(run.folder).name}"
    return f"{run.plan.recipe}, trained on {named(Path(run.plan.data)).name}"


def _film(sheets: list[Pixels]) -> bytes | None:
    """The contact sheets as an MP4 that shows the last one longer; None for fewer than two."""
    if len(sheets) < 2:
        return None
    with tempfile.TemporaryDirectory() as folder:
        frames = [*sheets, *sheets[-1:] * FRAMES_PER_SECOND * LAST_FRAME_SECONDS]
        return write_film(Path(folder) / "progress.mp4", frames, FRAMES_PER_SECOND).read_bytes()

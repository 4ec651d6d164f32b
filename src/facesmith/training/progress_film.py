"""A film of a run's progress: its sample sheets, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from rich.console import Console

from facesmith import __version__
from facesmith.errors import BadData, BadPicture
from facesmith.io.progress import bar
from facesmith.io.suggest_path import suggest_path
from facesmith.modelfiles.run_folder import sheets
from facesmith.pictures.images import Pixels, read_picture, read_provenance
from facesmith.pictures.provenance import Sign
from facesmith.pictures.video import check_film, require_film_memory, write_film
from facesmith.watermark.marking import ENTRY

FRAMES_PER_SECOND = 8
LAST_FRAME_SECONDS = 2


def progress_film(run: Path, out: Path, console: Console, sign: Sign | None = None) -> Path:
    """Write the samples of a run's fixed seeds, from the first checkpoint to the last, as an MP4 or GIF.

    Args:
        sign: adds signed content credentials.

    Raises:
        BadData: the run has no sample sheets.
    """
    check_film(out, FRAMES_PER_SECOND)
    if not run.is_dir():
        problem = "is not a folder" if run.exists() else "does not exist"
        raise BadData(f"{run} {problem}. Give a run folder.{suggest_path(run)}")
    paths = sheets(run)
    if not paths:
        raise BadData(f"{run} contains no sample sheets. Give the folder of a run that has been trained.")
    paths += paths[-1:] * FRAMES_PER_SECOND * LAST_FRAME_SECONDS
    frames = _frames(paths)
    first = next(frames)
    height, width, _ = first.shape
    require_film_memory(out, len(paths), height, width, "Write an .mp4, or free some memory.")
    shown = bar(chain([first], frames), len(paths), f"writing {out.name}, frames", console)
    about = {"Software": f"facesmith {__version__}", "Synthetic": "true", **_about_sheets(paths[-1])}
    return write_film(out, shown, FRAMES_PER_SECOND, about, sign)


def _about_sheets(last: Path) -> dict[str, str]:
    """What the metadata of the sheets says about all of them."""
    try:
        metadata = read_provenance(last)
    except BadPicture:
        return {}  # `_frames` raises the reason
    return {name: metadata[name] for name in ("Description", "Recipe", ENTRY) if name in metadata}


def _frames(paths: list[Path]) -> Iterator[Pixels]:
    for path in paths:
        try:
            yield read_picture(path)
        except BadPicture as reason:
            raise BadData(f"{path}: {reason}. Delete it to make the film without it.") from None

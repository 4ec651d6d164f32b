"""The main job on data that ships with the package: drawn faces -> a generator -> new faces, in some minutes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from facesmith.drawn import write_faces
from facesmith.errors import BadData, BadOption, OutputExists
from facesmith.files import written_beside
from facesmith.film import progress_film
from facesmith.plan import PLAN, Asked, read_plan
from facesmith.sample import sample
from facesmith.train import train

FACES = 4000
RECIPE = "dcgan64"
# Half the tutorial's width and a higher learning rate: what learns most in three minutes on two cores.
VALUES = {"width": 32, "lr": 5e-4, "batch_size": 32}
MINUTES = 3.0
SHEET_SEEDS = range(64)
MARK = "made-by-facesmith-demo.txt"


def demo(
    out: Path, *, minutes: float = MINUTES, force: bool = False, threads: int | None = None, console: Console
) -> Iterator[str]:
    """Draw faces, train on them, and write a sheet of new ones and a film of the progress.

    Yields:
        Lines that say where everything is and what to do next.

    Raises:
        KeyboardInterrupt: it was asked to stop, and has saved.
    """
    if not 0 < minutes < float("inf"):
        raise BadOption(f"--minutes is {minutes:g}; it must be more than 0.")
    _make_own(out)
    data, run = out / "drawn", out / "run"
    if not (data / "metadata.csv").exists():  # the table comes last: a folder without it was interrupted
        write_faces(data, FACES, force=True, console=console)
    if (run / PLAN).exists() and not force and read_plan(run / PLAN).asked != {"minutes": minutes}:
        raise BadData(f"{out} holds a demo of another length. Choose another --out, or do it again with --force.")
    asked = Asked(RECIPE, data, run, VALUES, minutes=minutes, save_every_kimg=1.0, force=force, threads=threads)
    report = train(asked, console)
    if not report.finished:
        console.print("stopped and saved; the same command again goes on")
        raise KeyboardInterrupt
    (sheet,) = sample(run, SHEET_SEEDS, out / "faces.png", force=True, console=console)
    film = progress_film(run, out / "progress.mp4")
    yield f"new faces            {sheet}"
    yield f"how they were learnt {film}"
    yield f"curves               {run / 'curves.png'}"
    yield "These were learnt from drawn faces. With your own photos:"
    yield "  facesmith extract PHOTOS --out faces"
    yield "  facesmith train --data faces --out runs/first"
    yield "  facesmith sample --model runs/first --out mine.png"


def _make_own(out: Path) -> None:
    """A folder that is the demo's own: new, or marked so by an earlier one; --force opens no other."""
    if not (out / MARK).exists() and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputExists(f"{out} exists and was not made by the demo. Choose another --out.")
    with written_beside(out / MARK, "w") as stream:
        stream.write("facesmith demo made this folder; facesmith demo --force does it again.\n")

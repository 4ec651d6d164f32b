"""The main job without any photos: the shipped generator's faces -> a generator of one's own -> new faces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from facesmith.errors import BadData, BadOption, OutputExists
from facesmith.explore.sample import sample
from facesmith.gan.recipe import DEFAULT_RECIPE
from facesmith.io.files import atomic_write
from facesmith.io.images import write_png
from facesmith.io.progress import bar
from facesmith.model import load
from facesmith.modelfiles.run_folder import PLAN
from facesmith.training.plan import TrainOptions, read_plan
from facesmith.training.progress_film import progress_film
from facesmith.training.train import train

FACES = 4000
VALUES: dict[str, int] = {}
MINUTES = 3.0
SHEET_SEEDS = range(64)
FIRST_LESSON = 1_000_000  # the seed of the first face to learn from: none that the first sheet shows
DRAWN_AT_ONCE = 64
MARK = "made-by-facesmith-demo.txt"


def demo(
    out: Path, *, minutes: float = MINUTES, force: bool = False, threads: int | None = None, console: Console
) -> Iterator[str]:
    """Show what the shipped generator can do, train another on faces that it draws, and show how that one learnt.

    Yields:
        Lines that say where everything is and what to do next.

    Raises:
        KeyboardInterrupt: it was asked to stop, and has saved.
    """
    if not 0 < minutes < float("inf"):
        raise BadOption(f"--minutes is {minutes:g}; it must be more than 0.")
    data, run = out / "lessons", out / "run"
    _make_own(out, load().hash, force)
    (shown,) = sample(load, SHEET_SEEDS, out / "bundled.png", force=True, console=console)
    yield f"the shipped generator {shown}"
    _draw_lessons(data, console)
    if (run / PLAN).exists() and not force and read_plan(run / PLAN).budget_request != {"minutes": minutes}:
        raise BadData(f"{out} holds a demo of another length. Choose another --out, or do it again with --force.")
    asked = TrainOptions(
        DEFAULT_RECIPE, data, run, VALUES, minutes=minutes, save_every_kimg=1.0, force=force, threads=threads
    )
    report = train(asked, console)
    if not report.finished:
        console.print("stopped and saved; the same command again goes on")
        raise KeyboardInterrupt
    (sheet,) = sample(lambda: load(run), SHEET_SEEDS, out / "faces.png", force=True, console=console)
    film = progress_film(run, out / "progress.mp4")
    yield f"learnt from its faces {sheet}"
    yield f"how they were learnt  {film}"
    yield f"curves                {run / 'curves.png'}"
    yield f"{sheet.name}: after {minutes:g} minutes; {shown.name}: after three hours of one core. With your own photos:"
    yield "  facesmith extract PHOTOS --out faces"
    yield "  facesmith train --data faces --out runs/first"
    yield "  facesmith sample --model runs/first --out mine.png"


def _draw_lessons(folder: Path, console: Console) -> None:
    """Faces to learn from, by the shipped generator; those that an interrupted demo has drawn are kept."""
    folder.mkdir(exist_ok=True)
    missing = [i for i in range(FACES) if not (folder / f"{i:06d}.png").exists()]
    if not missing:
        return
    model = load()
    for start in bar(range(0, len(missing), DRAWN_AT_ONCE), -(-len(missing) // DRAWN_AT_ONCE), "drawing", console):
        some = missing[start : start + DRAWN_AT_ONCE]
        for i, picture in zip(some, model.sample([FIRST_LESSON + i for i in some]), strict=True):
            write_png(folder / f"{i:06d}.png", picture)


def _make_own(out: Path, generator: str, force: bool) -> None:
    """A folder that is the demo's own: new, or marked so by an earlier one; --force opens no other, and clears this.

    Args:
        generator: the hash of the one whose faces are learnt from.
    """
    mark = out / MARK
    if not mark.exists() and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputExists(f"{out} exists and was not made by the demo. Choose another --out.")
    if mark.exists() and not force and generator not in mark.read_text(encoding="utf-8"):
        raise BadData(f"{out} holds faces of another generator. Choose another --out, or do it again with --force.")
    for old in (out / "lessons").glob("*.png") if force else ():
        old.unlink()
    with atomic_write(mark, "w") as stream:
        stream.write(
            "facesmith demo made this folder; facesmith demo --force does it again.\n"
            f"The faces to learn from were drawn by {generator}.\n"
        )

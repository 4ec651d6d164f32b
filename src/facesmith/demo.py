"""The demo runs the whole pipeline without photos.

It draws faces with the bundled generator, trains a new generator on them, and draws faces with the new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from facesmith.errors import BadData, BadOption, OutputExists
from facesmith.explore.sample import sample
from facesmith.gan.recipe import DEFAULT_RECIPE
from facesmith.io.files import atomic_write, holds_files, remove_partial_files
from facesmith.io.progress import bar
from facesmith.model import load
from facesmith.modelfiles.run_folder import CURVES, PLAN
from facesmith.pictures.images import write_png
from facesmith.pictures.provenance import seed_metadata
from facesmith.training.plan import TrainOptions, read_plan
from facesmith.training.progress_film import progress_film
from facesmith.training.train import train
from facesmith.watermark.marking import DEFAULT_MARKING

TRAINING_FACES = 4000
FIRST_TRAINING_SEED = 1_000_000  # so that no training face is on the first contact sheet
SHEET_SEEDS = range(64)
MINUTES = 3.0
HYPERPARAMETERS = {"resolution": 64}  # learned in the time of the demo, unlike larger faces
DRAW_BATCH = 64
MARKER = "made-by-facesmith-demo.txt"
FACES_FOLDER, RUN_FOLDER = "training-faces", "run"


def demo(
    out: Path, *, minutes: float = MINUTES, force: bool = False, threads: int | None = None, console: Console
) -> Iterator[str]:
    """Draw faces with the bundled generator, train a new generator on them, and draw faces with the new one.

    An interrupted demo continues where it stopped.

    Yields:
        Lines that say which file shows what, and what to do next.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed during training; the run is saved.
        OutputExists: `out` contains something else than an earlier demo.
        BadData: `out` contains a demo of another length or another bundled generator.
    """
    if not 0 < minutes < float("inf"):
        raise BadOption(f"--minutes is {minutes:g}; it must be more than 0.")
    faces, run = out / FACES_FOLDER, out / RUN_FOLDER
    _claim_folder(out, load().hash, force)
    (bundled_sheet,) = sample(load, SHEET_SEEDS, out / "bundled.png", force=True, console=console)
    yield f"bundled generator  {bundled_sheet}"
    _draw_training_faces(faces, console)
    if (run / PLAN).exists() and not force and read_plan(run / PLAN).budget_request != {"minutes": minutes}:
        raise BadData(f"{out} contains a demo with other --minutes. Choose another --out, or start over with --force.")
    options = TrainOptions(
        DEFAULT_RECIPE, faces, run, HYPERPARAMETERS, minutes=minutes, save_every_kimg=1.0, force=force, threads=threads
    )
    report = train(options, console)
    if not report.finished:
        console.print(f"Stopped and saved. To continue, run {options.same_command}.")
        raise KeyboardInterrupt
    (new_sheet,) = sample(lambda: load(run), SHEET_SEEDS, out / "faces.png", force=True, console=console)
    film = progress_film(run, out / "progress.mp4", console)
    yield f"new generator      {new_sheet}"
    yield f"how it improved    {film}"
    yield f"training curves    {run / CURVES}"
    yield (
        f"The new generator was trained for {minutes:g} minutes on {TRAINING_FACES:,} faces that the bundled one drew. "
        "The bundled one was trained on photos for six hours on one core, at twice the size."
    )
    yield "Now with your own photos:"
    yield "  facesmith extract PHOTOS --out faces"
    yield "  facesmith train --data faces --out runs/first"
    yield "  facesmith sample --model runs/first --out mine.png"


def _draw_training_faces(folder: Path, console: Console) -> None:
    """Draw the training faces with the bundled generator, except those that an interrupted demo has drawn already."""
    folder.mkdir(exist_ok=True)
    missing = [i for i in range(TRAINING_FACES) if not (folder / f"{i:06d}.png").exists()]
    if not missing:
        return
    console.print(f"drawing {len(missing):,} training faces with the bundled generator ...")
    model = load()
    for start in bar(range(0, len(missing), DRAW_BATCH), -(-len(missing) // DRAW_BATCH), "drawing faces", console):
        numbers = missing[start : start + DRAW_BATCH]
        pictures = model.sample([FIRST_TRAINING_SEED + i for i in numbers], watermark=True)
        for i, picture in zip(numbers, pictures, strict=True):
            entries = seed_metadata([FIRST_TRAINING_SEED + i], psi=1.0)
            metadata = model.provenance(entries | DEFAULT_MARKING.metadata(model.resolution))
            write_png(folder / f"{i:06d}.png", picture, metadata)


def _claim_folder(out: Path, generator_hash: str, force: bool) -> None:
    """Mark a new or empty folder as the demo's, or check that an earlier demo marked it.

    Args:
        generator_hash: of the generator that draws the training faces.
        force: delete the training faces of an earlier demo. Folders without the mark are never touched.

    Raises:
        OutputExists: the folder contains something else.
        BadData: its training faces were drawn by another generator.
    """
    marker = out / MARKER
    remove_partial_files(out)
    if not marker.exists() and holds_files(out):
        raise OutputExists(f"{out} exists and was not made by the demo. Choose another --out.")
    if marker.exists() and not force and generator_hash not in marker.read_text(encoding="utf-8"):
        raise BadData(f"{out} contains faces of another generator. Choose another --out, or start over with --force.")
    for old in (out / FACES_FOLDER).glob("*.png") if force else ():
        old.unlink()
    with atomic_write(marker, "w") as stream:
        stream.write(
            "facesmith demo made this folder; facesmith demo --force starts over.\n"
            f"The training faces were drawn by the generator with sha256 {generator_hash}.\n"
        )

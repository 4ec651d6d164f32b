"""Read a run folder. What is missing or damaged is left out and listed; only a folder without a run is an error."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console

from facesmith.errors import BadData, BadPicture, FacesmithError
from facesmith.faces import Faces, open_faces
from facesmith.gan.recipe import Recipe, make_recipe
from facesmith.io.suggest_path import suggest_path
from facesmith.modelfiles.checkpoint import LoadedModel, load_model
from facesmith.modelfiles.run_folder import (
    LOG,
    PLAN,
    RECIPE_SHEETS,
    RECONSTRUCTION_PAIRS,
    RECONSTRUCTIONS,
    SHEETS,
    read_log,
    sheets,
)
from facesmith.pictures.images import Pixels, read_picture
from facesmith.training.discriminator_scores import Histogram, read_histogram
from facesmith.training.plan import Plan, read_plan

MAX_WIDTH_PX = 720
MAX_FRAMES = 96


@dataclass
class RunRecord:
    """The content of a run folder.

    Attributes:
        lines: of the log, in order.
        histograms: the discriminator's scores, each with the number of images seen.
        frames: the contact sheets of the fixed seeds, uint8 `[H, W, 3]`, each with the number of images seen. All have
            the same size.
        shown: pictures that the recipe wrote itself, each with the number of images seen.
        pairs: real faces above their reconstructions.
        reconstructions: sheets of reconstructions alone, each with the number of images seen.
        missing: for each part that can't be shown, a sentence that says why.
    """

    folder: Path
    plan: Plan | None = None
    recipe: Recipe | None = None
    model: LoadedModel | None = None
    faces: Faces | None = None
    lines: list[dict[str, Any]] = field(default_factory=list)
    histograms: list[tuple[int, Histogram]] = field(default_factory=list)
    frames: list[tuple[int, Pixels]] = field(default_factory=list)
    shown: list[tuple[int, Pixels]] = field(default_factory=list)
    pairs: Pixels | None = None
    reconstructions: list[tuple[int, Pixels]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def seen(self) -> int:
        """Real images shown until the last checkpoint."""
        return int(self.lines[-1]["seen"]) if self.lines else 0

    @property
    def has_discriminator(self) -> bool:
        """Whether the run trains a discriminator, by its recipe, or by its log if the recipe is unknown."""
        if self.recipe is not None:
            return "D" in self.recipe.players()
        return not self.lines or any(key.startswith(("D/", "scores")) for line in self.lines for key in line)


def read_plan_and_log(folder: Path) -> RunRecord:
    """Read only plan and log, which is fast enough to be repeated during training.

    Raises:
        BadData: the folder has no run.
    """
    if not (folder / PLAN).is_file():
        problem = "contains no run" if folder.is_dir() else "is not a folder" if folder.exists() else "does not exist"
        raise BadData(f"{folder} {problem}. Give a run folder that facesmith train wrote.{suggest_path(folder)}")
    run = RunRecord(folder)
    _read_plan(run)
    _read_log(run)
    return run


def read_run(folder: Path, console: Console, data: Path | None = None) -> RunRecord:
    """Read everything in a run folder, during training or afterwards.

    Args:
        data: where the faces are now; by default at the path in the plan.

    Raises:
        BadData: the folder has no run.
    """
    run = read_plan_and_log(folder)
    try:
        run.model = load_model(run.folder)
    except FacesmithError as error:
        run.missing.append(f"The model is not described: {error}")
    run.frames = _read_sheets(run, SHEETS)
    if not run.frames:
        run.missing.append("There are no generated faces yet. They are drawn at the first checkpoint.")
    run.shown = _read_sheets(run, RECIPE_SHEETS)
    run.reconstructions = _read_sheets(run, RECONSTRUCTIONS)
    if (folder / RECONSTRUCTION_PAIRS).exists():
        run.pairs = _read_picture(run, folder / RECONSTRUCTION_PAIRS)
    _open_faces(run, data, console)
    return run


def _read_plan(run: RunRecord) -> None:
    try:
        run.plan = read_plan(run.folder / PLAN)
        run.recipe = make_recipe(run.plan.recipe, run.plan.hyperparameters)
    except FacesmithError as error:
        run.missing.append(f"The recipe and its hyperparameters are not shown: {error}")


def _read_log(run: RunRecord) -> None:
    run.lines, damaged = read_log(run.folder / LOG)
    if not run.lines:
        run.missing.append(f"There are no curves yet: {LOG} is empty until the first checkpoint.")
    if damaged:
        run.missing.append(f"Damaged lines of {LOG} that are left out: {damaged}.")
    histograms = [(line["seen"], read_histogram(line)) for line in run.lines]
    run.histograms = [(seen, histogram) for seen, histogram in histograms if histogram is not None]


def _read_sheets(run: RunRecord, folder: str) -> list[tuple[int, Pixels]]:
    """Up to `MAX_FRAMES` contact sheets, evenly spaced, the newest among them; those of the newest's size."""
    paths = sheets(run.folder, folder)
    step = max(-(-len(paths) // MAX_FRAMES), 1)
    pictures = [(int(path.stem), _read_picture(run, path)) for path in paths[::-1][::step][::-1]]
    readable = [(seen, pixels) for seen, pixels in pictures if pixels is not None]
    return [(seen, pixels) for seen, pixels in readable if pixels.shape == readable[-1][1].shape]


def _read_picture(run: RunRecord, path: Path) -> Pixels | None:
    try:
        return limit_width(read_picture(path), MAX_WIDTH_PX)
    except BadPicture as reason:
        run.missing.append(f"{path.relative_to(run.folder)} is left out: {reason}.")
        return None


def _open_faces(run: RunRecord, data: Path | None, console: Console) -> None:
    """Open the faces at their new path `data`, or at the path in the plan. Then the plan has that path.

    Raises:
        FacesmithError: there are no faces at `data`.
    """
    if run.plan is None or run.recipe is None:
        return
    path = data or Path(run.plan.data)
    run.plan = replace(run.plan, data=str(path))
    try:
        faces = open_faces(path, run.recipe.resolution, run.recipe.channels, limit=run.plan.limit, console=console)
    except (FacesmithError, OSError) as error:
        if data is not None:
            raise
        moved = " If the faces have moved, pass their new path as --data."
        run.missing.append(f"The data is not described, because it can't be opened: {error}{moved}")
        return
    run.faces = faces if run.plan.hold_out else faces.without_held_out()
    if faces.fingerprint != run.plan.fingerprint:
        run.missing.append(f"The data at {path} has changed since the run started. The page shows it as it is now.")


def limit_width(pixels: Pixels, width_px: int) -> Pixels:
    """Shrink `[H, W, 3]` to at most `width_px` wide with a Lanczos filter, keeping its proportions."""
    height, width, _ = pixels.shape
    if width <= width_px:
        return pixels
    size = (width_px, max(1, round(height * width_px / width)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))

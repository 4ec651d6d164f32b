"""What a run folder holds. What is missing or damaged is left out and told of; only no run at all is an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from facesmith.errors import BadData, BadPicture, FacesmithError
from facesmith.faces import Faces, open_faces
from facesmith.gan.recipe import Recipe, make_recipe
from facesmith.io.images import Pixels, limit_width, read_picture
from facesmith.modelfiles.checkpoint import LoadedModel, load_model
from facesmith.modelfiles.run_folder import LOG, PLAN, RECONSTRUCTION_PAIRS, RECONSTRUCTIONS, SHEETS, read_log, sheets
from facesmith.training.discriminator_scores import Histogram, read_histogram
from facesmith.training.plan import Plan, read_plan

WIDEST_PX = 720
MOST_FRAMES = 96


@dataclass
class RunRecord:
    """All that a report tells of.

    Attributes:
        lines: of the log, in order.
        histograms: images seen, and the scores there.
        frames: images seen, and the sheet of the fixed seeds there, uint8 `[H, W, 3]`, all of one size.
        pairs: faces above their reconstructions, or None.
        rebuilt: images seen, and the reconstructions alone.
        missing: why something is not shown, a sentence each.
    """

    folder: Path
    plan: Plan | None = None
    recipe: Recipe | None = None
    model: LoadedModel | None = None
    faces: Faces | None = None
    lines: list[dict[str, Any]] = field(default_factory=list)
    histograms: list[tuple[int, Histogram]] = field(default_factory=list)
    frames: list[tuple[int, Pixels]] = field(default_factory=list)
    pairs: Pixels | None = None
    rebuilt: list[tuple[int, Pixels]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def seen(self) -> int:
        """Real faces shown up to the last save."""
        return int(self.lines[-1]["seen"]) if self.lines else 0

    @property
    def has_discriminator(self) -> bool:
        """Whether this is a game of two, as far as recipe or log tell."""
        if self.recipe is not None:
            return "D" in self.recipe.players()
        return not self.lines or any(name.startswith(("D/", "scores")) for line in self.lines for name in line)


def read_plan_and_log(folder: Path) -> RunRecord:
    """A run's plan and log alone: quick enough to be looked at again and again while it trains.

    Raises:
        BadData: the folder is no run.
    """
    if not (folder / PLAN).is_file():
        what = "holds no run" if folder.is_dir() else "is no folder"
        raise BadData(f"{folder} {what}. Give a run folder, which facesmith train has written.")
    run = RunRecord(folder)
    _read_plan(run)
    _read_lines(run)
    return run


def read_run(folder: Path, console: Console) -> RunRecord:
    """Read all of a run, while it trains or afterwards.

    Raises:
        BadData: the folder is no run.
    """
    run = read_plan_and_log(folder)
    _read_model(run)
    run.frames = _read_sheets(run, SHEETS)
    if not run.frames:
        run.missing.append("There are no sheets of generated faces yet: the first comes with the first save.")
    run.rebuilt = _read_sheets(run, RECONSTRUCTIONS)
    if (folder / RECONSTRUCTION_PAIRS).exists():
        run.pairs = _picture(run, folder / RECONSTRUCTION_PAIRS)
    _open_faces(run, console)
    return run


def _read_plan(run: RunRecord) -> None:
    try:
        run.plan = read_plan(run.folder / PLAN)
        run.recipe = make_recipe(run.plan.recipe, run.plan.hyperparameters)
    except FacesmithError as error:
        run.missing.append(f"The recipe and its values are not shown: {error}")


def _read_model(run: RunRecord) -> None:
    try:
        run.model = load_model(run.folder)
    except FacesmithError as error:
        run.missing.append(f"Nothing is told of the model: {error}")


def _read_lines(run: RunRecord) -> None:
    run.lines, damaged = read_log(run.folder / LOG)
    if not run.lines:
        run.missing.append(f"There are no curves: {LOG} holds no line yet. The first comes with the first save.")
    if damaged:
        run.missing.append(f"{damaged} lines of {LOG} are damaged and left out.")
    found = [(line["seen"], read_histogram(line)) for line in run.lines]
    run.histograms = [(seen, histogram) for seen, histogram in found if histogram is not None]


def _read_sheets(run: RunRecord, folder: str) -> list[tuple[int, Pixels]]:
    """The sheets of a folder, as many as a film needs, the newest among them; all of the newest's size."""
    paths = sheets(run.folder, folder)
    step = max(-(-len(paths) // MOST_FRAMES), 1)
    read = [(int(path.stem), _picture(run, path)) for path in reversed(paths[::-1][::step])]
    whole = [(seen, pixels) for seen, pixels in read if pixels is not None]
    return [(seen, pixels) for seen, pixels in whole if pixels.shape == whole[-1][1].shape]


def _picture(run: RunRecord, path: Path) -> Pixels | None:
    try:
        return limit_width(read_picture(path), WIDEST_PX)
    except BadPicture as reason:
        run.missing.append(f"{path.relative_to(run.folder)} is left out: {reason}.")
        return None


def _open_faces(run: RunRecord, console: Console) -> None:
    """The data that the run learns from, wherever its plan says that it lies."""
    if run.plan is None or run.recipe is None:
        return
    try:
        path = Path(run.plan.data)
        faces = open_faces(path, run.recipe.resolution, run.recipe.channels, limit=run.plan.limit, console=console)
    except (FacesmithError, OSError) as error:
        run.missing.append(f"The data is not described, since it can't be opened any more: {error}")
        return
    run.faces = faces
    if faces.fingerprint != run.plan.fingerprint:
        run.missing.append(f"The data at {run.plan.data} has changed since the run began; here it is as it is now.")

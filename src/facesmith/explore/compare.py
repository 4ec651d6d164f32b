"""The verb `compare`: faces of the same seeds, reconstructions of the same faces, and accuracies of several models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from torch import nn

from facesmith import __version__
from facesmith.errors import BadData, BadOption
from facesmith.faces import open_faces
from facesmith.io.memory import require_sheet_memory
from facesmith.io.outputs import Outputs
from facesmith.model import Model, load
from facesmith.modelfiles.locate import model_names
from facesmith.modelfiles.run_folder import LOG, LOSSES, read_log
from facesmith.pictures.captions import with_heading
from facesmith.pictures.charts import BLUE, GREEN, ORANGE, new_figure, save_png
from facesmith.pictures.fonts import drawable, font_file
from facesmith.pictures.images import SHEET_GAP_PX, Pixels, as_rgb, enlarge, grid, write_picture
from facesmith.pictures.provenance import seed_metadata
from facesmith.training.curves import CHANCE, KIMG_LABEL, STEP_SHARES, points
from facesmith.training.reconstructions import reconstruct
from facesmith.watermark.marking import DEFAULT_MARKING, Marking

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SAMPLES, RECONSTRUCTIONS, MONITOR, ACCURACIES = "samples.png", "reconstructions.png", "monitor.png", "accuracies.png"
FILES = (SAMPLES, RECONSTRUCTIONS, MONITOR, ACCURACIES)
MAX_MODELS, MAX_FACES = 16, 1000
MAX_ROW_FACES = 32  # unless the columns are given
GRID_MARGIN_PX = 8  # white below the faces of a model if they take several rows
MONITORED = ("D/accuracy_real", "D/accuracy_fake", "G/fooling_rate")
STEP_LOSSES = {"G/loss": ("gen", GREEN), "D/loss_fake": ("fake", ORANGE), "D/loss_real": ("real", BLUE)}
MAX_LOSS = 5.0  # the top of a panel, as in the text
Log = list[dict[str, object]]


@dataclass(frozen=True)
class CompareOptions:
    """The options of `facesmith compare`.

    Attributes:
        models: run folders or model files.
        titles: one for each model; empty for their names.
        data: faces to reconstruct, or None.
        faces: how many faces to reconstruct.
        marking: watermark and signed content credentials of pictures of generated faces.
        columns: in which the faces of a model are arranged; None for one row, if it has room for them.
        gap_px: white pixels between faces.
    """

    models: Sequence[Path]
    out: Path
    seeds: Sequence[int]
    titles: Sequence[str] = ()
    data: Path | None = None
    faces: int = 8
    force: bool = False
    marking: Marking = DEFAULT_MARKING
    columns: int | None = None
    gap_px: int = SHEET_GAP_PX


def compare(options: CompareOptions, console: Console) -> Iterator[Path]:
    """Write the pictures that compare the models, and yield their paths.

    Raises:
        BadOption: there are too few or too many models, titles, seeds or faces, or the pictures need too much memory.
        BadModel: a model is missing or damaged.
        BadData: the data has no held-out faces, or no model has an encoder.
    """
    _check(options)
    outputs = Outputs([options.out], replace(options, marking=replace(options.marking, sign=None)), folder=True)
    outputs.refuse_to_overwrite(options.force)
    models = [load(path) for path in options.models]
    if options.data is not None and all(model.E is None for model in models):
        raise BadData("None of the models has an encoder, so none can reconstruct faces. Leave out --data.")
    _check_memory(options, models)
    titles = options.titles or model_names(options.models)
    held_out = [] if options.data is None else _held_out_faces(options, models, console)
    with outputs.writing(remove=[options.out / name for name in FILES] if options.force else ()):
        yield _write_samples(options, models, titles)
        if held_out:
            yield _write_reconstructions(options, models, titles, held_out)
        named = list(zip(titles, options.models, strict=True))
        losses = [(title, columns) for title, path in named if (columns := _step_losses(path))]
        if losses:
            yield _write_monitor(options.out / MONITOR, losses)
        logs = [(title, log) for title, path in named if (log := _monitored(path))]
        if logs:
            yield _write_accuracies(options.out / ACCURACIES, logs)


def _check(options: CompareOptions) -> None:
    if not 1 <= len(options.models) <= MAX_MODELS:
        raise BadOption(f"Give 1 to {MAX_MODELS} models; these are {len(options.models)}.")
    if not 1 <= len(options.seeds) <= MAX_FACES:
        raise BadOption(f"--seeds names {len(options.seeds)} faces; expected 1 to {MAX_FACES}.")
    if not 1 <= options.faces <= MAX_FACES:
        raise BadOption(f"--faces is {options.faces}; expected 1 to {MAX_FACES}.")
    if options.titles and len(options.titles) != len(options.models):
        raise BadOption(
            f"--titles has {len(options.titles)} names for {len(options.models)} models. Give one for each."
        )


def _check_memory(options: CompareOptions, models: Sequence[Model]) -> None:
    """Raise BadOption if a picture would need too much memory."""
    side_px = max(model.resolution for model in models) + options.gap_px  # smaller faces are enlarged
    samples = len(models) * len(options.seeds)
    require_sheet_memory(samples, side_px, f"A picture of {samples} faces", "Name fewer --seeds, or fewer models.")
    if options.data is not None:
        count = (1 + sum(model.E is not None for model in models)) * options.faces
        require_sheet_memory(count, side_px, f"A picture of {count} faces", "Use fewer --faces, or fewer models.")


def _write_samples(options: CompareOptions, models: Sequence[Model], titles: Sequence[str]) -> Path:
    """Write the faces of each model, all of the same seeds."""
    marking = options.marking
    rows = [(title, marking.marked(model.sample(options.seeds))) for title, model in zip(titles, models, strict=True)]
    entries = {
        "Seeds": seed_metadata(options.seeds, 1.0)["Seeds"],
        "Models": json.dumps([model.hash for model in models]),
    }
    entries |= marking.metadata(min(model.resolution for model in models))
    about = {"Software": f"facesmith {__version__}", "Synthetic": "true"}
    return write_picture(options.out / SAMPLES, _headed_rows(options, rows), about | entries, options.marking.sign)


def _held_out_faces(options: CompareOptions, models: Sequence[Model], console: Console) -> list[Pixels | None]:
    """For each model: faces of the test split in its size, `[N, S, S, C]`; None if it has no encoder.

    Raises:
        BadData: there are none.
    """
    assert options.data is not None
    held_out: list[Pixels | None] = []
    for model in models:
        if model.E is None:
            held_out.append(None)
            continue
        data = open_faces(options.data, model.resolution, model.G.channels, console=console)
        faces = np.asarray(data.pixels[data.part("test")[: options.faces]])
        if not len(faces):
            raise BadData(f"{options.data} has no faces in its test split. Give more faces.")
        held_out.append(faces)
    return held_out


def _write_reconstructions(
    options: CompareOptions, models: Sequence[Model], titles: Sequence[str], held_out: Sequence[Pixels | None]
) -> Path:
    """Write held-out faces, and below them their reconstructions by each model that has an encoder."""
    able = [
        (title, model, faces, nn.ModuleDict({"G": model.G, "E": model.E}))
        for title, model, faces in zip(titles, models, held_out, strict=True)
        if faces is not None and model.E is not None
    ]
    rows: list[tuple[str, Pixels]] = [(faces_title(models), able[0][2])]
    rows += [(title, options.marking.marked(reconstruct(nets, faces))) for title, _, faces, nets in able]
    about = {"Software": f"facesmith {__version__}", "Synthetic": "in part"}
    description = "Faces above their reconstructions by " + ", ".join(title for title, *_ in able)
    entries = {"Description": description} | options.marking.metadata(min(model.resolution for _, model, *_ in able))
    return write_picture(
        options.out / RECONSTRUCTIONS, _headed_rows(options, rows), about | entries, options.marking.sign
    )


def faces_title(models: Sequence[Model]) -> str:
    """How the faces of the test split are titled: a model that was trained on all faces has seen them."""
    counts = [split.get("counts") for model in models if isinstance(split := model.header.get("split"), dict)]
    has_seen = any(isinstance(each, dict) and each.get("test") == 0 for each in counts)
    return "training faces" if has_seen else "held-out faces"


def _headed_rows(options: CompareOptions, rows: Sequence[tuple[str, Pixels]]) -> Pixels:
    """Faces `[N, H, W, C]` of each model, with its title on the left. Small ones are enlarged to the size of others."""
    largest = max(faces.shape[1] for _, faces in rows)
    pictures = []
    for title, faces in rows:
        enlarged = enlarge(as_rgb(faces), max(1, largest // faces.shape[1]))
        pictures.append(with_heading(grid(enlarged, options.columns or MAX_ROW_FACES, options.gap_px), title))
    width = max(picture.shape[1] for picture in pictures)
    below_px = SHEET_GAP_PX if all(len(picture) <= largest for picture in pictures) else GRID_MARGIN_PX
    padded = [
        np.pad(each, ((0, below_px), (0, width - each.shape[1]), (0, 0)), constant_values=255) for each in pictures
    ]
    return np.concatenate(padded)


def _monitored(path: Path) -> Log:
    """The log of a run with a discriminator; empty for a model file, or a run without one."""
    lines, _ = read_log(path / LOG) if path.is_dir() else ([], 0)
    return [line for line in lines if any(name in line for name in MONITORED)]


def _step_losses(path: Path) -> dict[str, list[float]]:
    """The losses of each step of a run, NaN where there is none; empty if one of them was never logged."""
    file = path / LOSSES
    if not file.is_file():
        return {}
    header, *lines = file.read_text("utf-8", "replace").splitlines() or [""]
    names = header.split(",")
    rows = [row for line in lines if len(row := line.split(",")) == len(names)]
    if not set(STEP_LOSSES) <= set(names):
        return {}
    columns = {name: [_number(row[names.index(name)]) for row in rows] for name in STEP_LOSSES}
    return columns if all(np.isfinite(column).any() for column in columns.values()) else {}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return nan


def _write_monitor(out: Path, losses: Sequence[tuple[str, dict[str, list[float]]]]) -> Path:
    """Write a panel for each run: generator loss, and discriminator loss on fakes and on real faces, at each step.

    The figure of "Generating Faces with Torch".
    """
    figure, panels = _panels(len(losses))
    for axes, (title, columns) in zip(panels, losses, strict=True):
        for name, (label, color) in STEP_LOSSES.items():
            axes.plot(columns[name], label=label, color=color, linewidth=1)
        axes.set(xlabel="step", ylim=(0, MAX_LOSS))
        _set_title(axes, title)
    return _save_panels(out, figure, panels)


def _panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    """A figure with panels side by side."""
    figure = new_figure(max(3.4 * count, 6.0), 3.6, left=0.08, right=0.98, bottom=0.27, top=0.9, wspace=0.08)
    panels: Sequence[Axes] = figure.subplots(1, count, sharey=True, squeeze=False)[0]
    return figure, panels


def _set_title(axes: Axes, title: str) -> None:
    text = drawable(title)
    axes.set_title(text, font=font_file(text), parse_math=False)


def _save_panels(out: Path, figure: Figure, panels: Sequence[Axes]) -> Path:
    """Write a figure with one legend for all panels."""
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncols=3, fontsize="small")
    out.parent.mkdir(parents=True, exist_ok=True)
    save_png(figure, out)
    return out


def _write_accuracies(out: Path, logs: Sequence[tuple[str, Log]]) -> Path:
    """Write a panel for each run: the discriminator's accuracy on real faces and on fakes, and the fooling rate."""
    figure, panels = _panels(len(logs))
    for axes, (title, lines) in zip(panels, logs, strict=True):
        for name in MONITORED:
            label, color = STEP_SHARES[name]
            axes.plot(*points(lines, name), label=label, color=color)
        axes.axhline(CHANCE[0], color="gray", linestyle=":", linewidth=1)
        axes.set(xlabel=KIMG_LABEL, ylim=(-0.02, 1.02))
        _set_title(axes, title)
    return _save_panels(out, figure, panels)

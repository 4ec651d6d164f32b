"""The verb `compare`: faces of the same seeds, reconstructions of the same faces, and accuracies of several models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from torch import nn

from facesmith import __version__
from facesmith.errors import BadData, BadOption
from facesmith.faces import open_faces
from facesmith.io.captions import with_heading
from facesmith.io.charts import new_figure, save_png
from facesmith.io.images import Pixels, as_rgb, enlarge, grid, write_png
from facesmith.io.outputs import Outputs
from facesmith.io.provenance import seed_metadata
from facesmith.model import Model, load
from facesmith.modelfiles.run_folder import LOG, read_log
from facesmith.training.curves import CHANCE, KIMG_LABEL, STEP_SHARES, points
from facesmith.training.reconstructions import reconstruct

SAMPLES, RECONSTRUCTIONS, MONITOR = "samples.png", "reconstructions.png", "monitor.png"
MAX_MODELS, MAX_FACES = 16, 32
MONITORED = ("D/accuracy_real", "D/accuracy_fake", "G/fooling_rate")
Log = list[dict[str, object]]


@dataclass(frozen=True)
class CompareOptions:
    """The options of `facesmith compare`.

    Attributes:
        models: run folders or model files.
        titles: one for each model; empty for their names.
        data: faces to reconstruct, or None.
        faces: how many faces to reconstruct.
    """

    models: Sequence[Path]
    out: Path
    seeds: Sequence[int]
    titles: Sequence[str] = ()
    data: Path | None = None
    faces: int = 8
    force: bool = False


def compare(options: CompareOptions, console: Console) -> Iterator[Path]:
    """Write the pictures that compare the models, and yield their paths.

    Raises:
        BadOption: there are too few or too many models, titles, seeds or faces.
        BadModel: a model is missing or damaged.
        BadData: the data has no held-out faces, or no model has an encoder.
    """
    _check(options)
    outputs = Outputs([options.out], options, folder=True)
    outputs.refuse_to_overwrite(options.force)
    models = [load(path) for path in options.models]
    if options.data is not None and all(model.E is None for model in models):
        raise BadData("None of the models has an encoder, so none can reconstruct faces. Leave out --data.")
    titles = options.titles or [path.resolve().name.removesuffix(".safetensors") for path in options.models]
    with outputs.writing():
        yield _write_samples(options.out / SAMPLES, models, titles, options.seeds)
        if options.data is not None:
            yield _write_reconstructions(options, models, titles, console)
        logs = [(title, log) for title, path in zip(titles, options.models, strict=True) if (log := _monitored(path))]
        if logs:
            yield _write_monitor(options.out / MONITOR, logs)


def _check(options: CompareOptions) -> None:
    if not 1 <= len(options.models) <= MAX_MODELS:
        raise BadOption(f"Give 1 to {MAX_MODELS} models; these are {len(options.models)}.")
    if not 1 <= len(options.seeds) <= MAX_FACES:
        raise BadOption(f"--seeds names {len(options.seeds)} faces; a row has room for 1 to {MAX_FACES}.")
    if options.titles and len(options.titles) != len(options.models):
        raise BadOption(
            f"--titles has {len(options.titles)} names for {len(options.models)} models. Give one for each."
        )


def _write_samples(out: Path, models: Sequence[Model], titles: Sequence[str], seeds: Sequence[int]) -> Path:
    """Write a row of faces for each model, all of the same seeds."""
    rows = [(title, model.sample(seeds)) for title, model in zip(titles, models, strict=True)]
    entries = {"Seeds": seed_metadata(seeds, 1.0)["Seeds"], "Models": json.dumps([model.hash for model in models])}
    about = {"Software": f"facesmith {__version__}", "Synthetic": "true"}
    return write_png(out, _headed_rows(rows), about | entries)


def _write_reconstructions(
    options: CompareOptions, models: Sequence[Model], titles: Sequence[str], console: Console
) -> Path:
    """Write held-out faces, and below them their reconstructions by each model that has an encoder."""
    assert options.data is not None
    able = [
        (title, model, nn.ModuleDict({"G": model.G, "E": model.E}))
        for title, model in zip(titles, models, strict=True)
        if model.E is not None
    ]
    rows: list[tuple[str, Pixels]] = []
    for title, model, nets in able:
        data = open_faces(options.data, model.resolution, model.G.channels, console=console)
        held_out = np.asarray(data.pixels[data.part("test")[: options.faces]])
        if not len(held_out):
            raise BadData(f"{options.data} has no faces in its test split. Give more faces.")
        if not rows:
            rows.append(("held-out faces", held_out))
        rows.append((title, reconstruct(nets, held_out)))
    about = {"Software": f"facesmith {__version__}", "Synthetic": "in part"}
    description = "Held-out faces above their reconstructions by " + ", ".join(title for title, *_ in able)
    return write_png(options.out / RECONSTRUCTIONS, _headed_rows(rows), about | {"Description": description})


def _headed_rows(rows: Sequence[tuple[str, Pixels]]) -> Pixels:
    """Rows of faces `[N, H, W, C]`, each with its title on the left. Small faces are enlarged to the size of others."""
    largest = max(faces.shape[1] for _, faces in rows)
    pictures = []
    for title, faces in rows:
        row = grid(enlarge(as_rgb(faces), max(1, largest // faces.shape[1])), len(faces))
        pictures.append(with_heading(row, title))
    width = max(picture.shape[1] for picture in pictures)
    padded = [np.pad(each, ((0, 2), (0, width - each.shape[1]), (0, 0)), constant_values=255) for each in pictures]
    return np.concatenate(padded)


def _monitored(path: Path) -> Log:
    """The log of a run with a discriminator; empty for a model file, or a run without one."""
    lines, _ = read_log(path / LOG) if path.is_dir() else ([], 0)
    return [line for line in lines if any(name in line for name in MONITORED)]


def _write_monitor(out: Path, logs: Sequence[tuple[str, Log]]) -> Path:
    """Write a panel for each run: the discriminator's accuracy on real faces and on fakes, and the fooling rate.

    The figure of "Generating Faces with Torch".
    """
    figure = new_figure(max(3.4 * len(logs), 6.0), 3.6, left=0.08, right=0.98, bottom=0.27, top=0.9, wspace=0.08)
    panels = figure.subplots(1, len(logs), sharey=True, squeeze=False)[0]
    for axes, (title, lines) in zip(panels, logs, strict=True):
        for name in MONITORED:
            label, color = STEP_SHARES[name]
            axes.plot(*points(lines, name), label=label, color=color)
        axes.axhline(CHANCE[0], color="gray", linestyle=":", linewidth=1)
        axes.set(title=title, xlabel=KIMG_LABEL, ylim=(-0.02, 1.02))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncols=3, fontsize="small")
    out.parent.mkdir(parents=True, exist_ok=True)
    save_png(figure, out)
    return out

"""Edited faces on a contact sheet, before, in between and after; or the transition as a film."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, cos, pi, sqrt
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from facesmith.attributes.conditioning import condition_labels
from facesmith.errors import BadOption
from facesmith.io.memory import require_sheet_memory
from facesmith.io.outputs import Outputs
from facesmith.io.progress import bar
from facesmith.latent import truncate
from facesmith.latent.arithmetic import (
    is_latent_file,
    latent_file_description,
    parse_face_names,
    resolve,
    without_folders,
)
from facesmith.latent.edits import apply_edits, check_edits
from facesmith.latent.synthesis import synthesize
from facesmith.model import Model, load, read_directions
from facesmith.modelfiles.sidecar import sidecar_path
from facesmith.pictures.captions import with_caption
from facesmith.pictures.images import Pixels, enlarge, grid, write_picture
from facesmith.pictures.provenance import condition_metadata
from facesmith.pictures.video import MAX_SIDE_PX, check_film, require_film_memory, write_film
from facesmith.watermark.marking import DEFAULT_MARKING, Marking

FACE_PX = 128  # up to which faces are enlarged by default
GAP_PX = 8
MAX_FACES = 256
MAX_STEPS = 32
MAX_SHEET_PX = 2**28
FILM_SECONDS, FPS = 4.0, 25  # there and back
Directions = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class EditOptions:
    """What to edit, and how to show it.

    Attributes:
        model: a run folder or model file; None for the bundled generator.
        faces: seeds and latent files, such as 0-15 or 3,me.latent.
        edits: strength by direction name.
        out: the contact sheet, a .png.
        steps: pictures from before (not counted) to after.
        film: also write the transition to this .mp4 or .gif.
        directions: a directions file; by default the one next to the model.
        psi: truncation before the edit, 0-1.
        scale: enlarge each pixel to scale x scale; by default faces have about 128 pixels.
        force: replace existing files.
        condition: of a conditional model: attributes of all faces before their edit, each 0 or 1.
        marking: watermark and signed content credentials.
    """

    model: Path | None
    faces: str
    edits: Mapping[str, float]
    out: Path
    steps: int = 3
    film: Path | None = None
    directions: Path | None = None
    psi: float = 1.0
    scale: int | None = None
    force: bool = False
    condition: Mapping[str, float] = field(default_factory=dict)
    marking: Marking = DEFAULT_MARKING


def edit(options: EditOptions, console: Console) -> Iterator[Path]:
    """Write a contact sheet of edited faces and, if requested, a film, and yield their paths.

    Truncation (psi) is applied before the edit, so an edit has the same strength at any psi.

    Raises:
        BadOption: a direction, face or attribute is unknown, or the sheet or film would be too large.
        BadModel: the directions belong to another model.
        OutputExists: the sheet or film exists, and `options.force` is not set.
    """
    if options.out.suffix.lower() != ".png":
        raise BadOption(f"--out {options.out}: the sheet must be a .png.")
    if not options.edits:
        raise BadOption("There is nothing to edit: add --edit, such as --edit smiling=1.")
    if options.film is not None:
        check_film(options.film, FPS, "--film")
    paths = [path for path in (options.out, options.film) if path is not None]
    request = replace(options, force=False, marking=replace(options.marking, sign=None))
    outputs = Outputs(paths, request, options=("--out", "--film")[: len(paths)])
    outputs.refuse_to_overwrite(options.force)
    names = face_names(options.faces)
    model = load(options.model)
    _check_size(model.G.resolution, len(names), options)
    file = options.directions or sidecar_path(model.path, "directions")
    directions = read_directions(file, model) if options.directions or file.exists() else {}
    check_edits(list(options.edits), directions)
    with torch.inference_mode():
        labels = condition_labels(model.conditions, options.condition)
        w = truncate(model.G, resolve(model.G, names, model.hash, labels), options.psi)
    metadata = model.provenance({
        "Faces": json.dumps(without_folders(names)),
        "Edits": json.dumps(dict(options.edits)),
        "Psi": repr(options.psi),
        **condition_metadata(options.condition),
        **latent_file_description(names),
        **options.marking.metadata(model.resolution),
    })  # fmt: skip
    with outputs.writing():
        yield write_picture(options.out, _sheet(model, w, names, directions, options), metadata, options.marking.sign)
        if options.film is not None:
            count = round(FILM_SECONDS * FPS)
            frames = bar(
                _frames(model, w, directions, options, count), count, f"drawing {options.film.name}, frames", console
            )
            yield write_film(options.film, frames, FPS, metadata, options.marking.sign)


def face_names(text: str) -> list[str]:
    """Return the face names in a list such as `0-15` or `3,me.latent`.

    Raises:
        BadOption: there are none, or too many for a sheet.
    """
    names = parse_face_names(text)
    if not 0 < len(names) <= MAX_FACES:
        raise BadOption(f"{text!r} names {len(names)} faces; a sheet shows 1 to {MAX_FACES}.")
    return names


def _check_size(resolution: int, faces: int, options: EditOptions) -> None:
    """Raise BadOption if the sheet or the film would be too large."""
    side = resolution * (options.scale or max(1, FACE_PX // resolution))
    if side**2 * faces * (options.steps + 1) > MAX_SHEET_PX:
        raise BadOption(
            f"The sheet would have more than {MAX_SHEET_PX / 1e6:.0f} million pixels. Lower --scale or --steps."
        )
    advice = "Lower --scale or --steps, or name fewer faces."
    require_sheet_memory(faces * (options.steps + 1), side, f"A sheet of {faces} faces", advice)
    if options.film is None:
        return
    width = side * ceil(sqrt(faces))
    if width > MAX_SIDE_PX:
        raise BadOption(f"The film would be more than {MAX_SIDE_PX} pixels wide. Lower --scale, or name fewer faces.")
    require_film_memory(options.film, round(FILM_SECONDS * FPS), width, width, "Lower --scale, or name fewer faces.")


def format_edits(edits: Mapping[str, float]) -> str:
    """Return edits as text, rounded to three digits: `smiling=0.333, male=-1`."""
    return ", ".join(f"{name}={strength:.3g}" for name, strength in edits.items())


def _partial_edits(options: EditOptions, share: float) -> dict[str, float]:
    return {name: share * strength for name, strength in options.edits.items()}


def _draw(model: Model, w: Tensor, directions: Directions, options: EditOptions, share: float) -> Pixels:
    """Return the faces with a share of their edit applied, `[N, H, W, C]`, enlarged."""
    faces = synthesize(model.G, apply_edits(w, directions, _partial_edits(options, share)))
    return enlarge(options.marking.marked(faces), options.scale or max(1, FACE_PX // model.G.resolution))


def _sheet(model: Model, w: Tensor, names: Sequence[str], directions: Directions, options: EditOptions) -> Pixels:
    """Return a row for each face: before, steps in between, after; several faces side by side if steps are few."""
    if not 1 <= options.steps <= MAX_STEPS:
        raise BadOption(f"--steps {options.steps}: expected 1 to {MAX_STEPS}.")
    shares = [i / options.steps for i in range(options.steps + 1)]
    stages = np.stack([_draw(model, w, directions, options, share) for share in shares], axis=1)  # [N, S, H, W, C]
    captions = [format_edits(_partial_edits(options, share)) for share in shares]
    rows = []
    for name, faces in zip(without_folders(names), stages, strict=True):
        cells = [with_caption(face, text) for face, text in zip(faces, [_caption(name), *captions[1:]], strict=True)]
        rows.append(grid(np.stack(cells), len(cells), GAP_PX // 2))
    return grid(np.stack(rows), max(1, round(sqrt(len(rows) / len(shares)))), 2 * GAP_PX)


def _caption(name: str) -> str:
    """Return a face's name for a caption, whose font has ASCII only."""
    return name.encode("ascii", "replace").decode() if is_latent_file(name) else f"face {name}"


def _frames(model: Model, w: Tensor, directions: Directions, options: EditOptions, count: int) -> Iterator[Pixels]:
    """Yield frames from before to after and back, slower at both ends."""
    for i in range(count):
        faces = _draw(model, w, directions, options, (1 - cos(2 * pi * i / count)) / 2)
        yield grid(faces, ceil(sqrt(len(faces))))

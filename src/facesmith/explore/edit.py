"""Edited faces: before, on the way and after, on a sheet; or the way as a film."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, cos, pi, sqrt
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from facesmith.attributes.conditioning import condition_labels
from facesmith.errors import BadOption
from facesmith.io.captions import with_caption
from facesmith.io.files import refuse_to_overwrite
from facesmith.io.images import Pixels, enlarge, grid, write_png
from facesmith.io.progress import bar
from facesmith.io.provenance import condition_metadata
from facesmith.io.video import MAX_SIDE_PX, check_film, write_film
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

FACE_PX = 128  # up to which faces are enlarged by default
GAP_PX = 8
MOST_FACES = 256
MOST_STEPS = 32
MOST_PX = 2**28  # of a sheet: 800 MB while it is drawn
SECONDS, FPS = 4.0, 25  # of a film: there and back
Directions = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class EditOptions:
    """What is wanted.

    Attributes:
        faces: seeds such as 0-15, or names that stand for latents, by commas.
        edits: strengths by the names of directions.
        out: the sheet, a .png.
        steps: pictures from before (not counted) to after.
        film: where to write the way as a film, too.
        directions: a file of directions; by default the one beside the model.
        scale: each pixel becomes a block of this many by as many.
        given: of a conditional model: attributes of all faces before their edit, each 0 or 1.
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


def edit(options: EditOptions, console: Console) -> Iterator[Path]:
    """Write a sheet of faces before, on the way and after their edit; where asked for, a film of the way, too.

    psi pulls the faces towards the average before they are edited, so the edit is as strong at any psi.

    Raises:
        BadOption: no such direction or face, the sheet or film can't be written like this, or the model can't be told
            what is given.
        BadModel: the directions were made for another model.
    """
    if options.out.suffix.lower() != ".png":
        raise BadOption(f"--out {options.out}: the sheet is written as .png.")
    if not options.edits:
        raise BadOption("There is nothing to edit: give --edit, such as --edit smiling=1.")
    if options.film is not None:
        check_film(options.film, FPS)
    for path in filter(None, (options.out, options.film)):
        refuse_to_overwrite(path, options.force)
    names = face_names(options.faces)
    model = load(options.model)
    _check_size(model.G.resolution, len(names), options)
    file = options.directions or sidecar_path(model.path, "directions")
    directions = read_directions(file, model) if options.directions or file.exists() else {}
    check_edits(list(options.edits), directions)
    with torch.inference_mode():
        labels = condition_labels(model.conditions, options.condition)
        w = resolve(model.G, names, model.hash, labels)
        w = truncate(model.G, w, options.psi)
    words = model.provenance({
        "Faces": json.dumps(without_folders(names)),
        "Edits": json.dumps(dict(options.edits)),
        "Psi": repr(options.psi),
        **condition_metadata(options.condition),
        **latent_file_description(names),
    })  # fmt: skip
    yield write_png(options.out, _sheet(model, w, names, directions, options), words)
    if options.film is not None:
        count = round(SECONDS * FPS)
        shown = bar(_frames(model, w, directions, options, count), count, f"drawing {options.film.name}", console)
        yield write_film(options.film, shown, FPS, words)


def face_names(text: str) -> list[str]:
    """Names of faces in a text such as 0-15 or 3,me.latent: seeds one by one, and latent files.

    Raises:
        BadOption: there are none, or too many.
    """
    names = parse_face_names(text)
    if not 0 < len(names) <= MOST_FACES:
        raise BadOption(f"{text!r} names {len(names)} faces; a sheet shows 1 to {MOST_FACES}.")
    return names


def _check_size(resolution: int, faces: int, options: EditOptions) -> None:
    """Raise BadOption where the sheet or the film would be larger than anything can show."""
    side = resolution * (options.scale or max(1, FACE_PX // resolution))
    if side**2 * faces * (options.steps + 1) > MOST_PX:
        raise BadOption(f"The sheet would have more than {MOST_PX / 1e6:.0f} million pixels. Lower --scale or --steps.")
    if options.film is not None and side * ceil(sqrt(faces)) > MAX_SIDE_PX:
        raise BadOption(f"The film would be more than {MAX_SIDE_PX} pixels wide. Lower --scale, or name fewer faces.")


def words_of(edits: Mapping[str, float]) -> str:
    """Edits as they are written, a third as 0.333."""
    return ", ".join(f"{name}={strength:.3g}" for name, strength in edits.items())


def _at(model: Model, w: Tensor, directions: Directions, options: EditOptions, share: float) -> Pixels:
    """The faces when a share of their edit is done, `[N, H, W, C]`, enlarged."""
    done = {name: share * strength for name, strength in options.edits.items()}
    faces = synthesize(model.G, apply_edits(w, directions, done))
    return enlarge(faces, options.scale or max(1, FACE_PX // model.G.resolution))


def _sheet(model: Model, w: Tensor, names: Sequence[str], directions: Directions, options: EditOptions) -> Pixels:
    """A row for each face: before, steps, after; several faces side by side where steps are few."""
    if not 1 <= options.steps <= MOST_STEPS:
        raise BadOption(f"--steps {options.steps}: 1 to {MOST_STEPS} pictures lead from before to after.")
    shares = [i / options.steps for i in range(options.steps + 1)]
    stages = np.stack([_at(model, w, directions, options, share) for share in shares], axis=1)  # [N, S, H, W, C]
    words = [words_of({name: share * strength for name, strength in options.edits.items()}) for share in shares]
    rows = []
    for name, faces in zip(without_folders(names), stages, strict=True):
        cells = [with_caption(face, text) for face, text in zip(faces, [_called(name), *words[1:]], strict=True)]
        rows.append(grid(np.stack(cells), len(cells), GAP_PX // 2))
    return grid(np.stack(rows), max(1, round(sqrt(len(rows) / len(shares)))), 2 * GAP_PX)


def _called(name: str) -> str:
    """A face's name as captions can show it: the font knows no more than ASCII."""
    return name.encode("ascii", "replace").decode() if is_latent_file(name) else f"face {name}"


def _frames(model: Model, w: Tensor, directions: Directions, options: EditOptions, count: int) -> Iterator[Pixels]:
    """From before to after and back, slower at both ends."""
    for i in range(count):
        faces = _at(model, w, directions, options, (1 - cos(2 * pi * i / count)) / 2)
        yield grid(faces, ceil(sqrt(len(faces))))

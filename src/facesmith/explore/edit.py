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
from facesmith.latent import around, truncate
from facesmith.latent.arithmetic import described, is_latent_file, parse_names, plain_names, resolve
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
class Asked:
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


def edit(asked: Asked, console: Console) -> Iterator[Path]:
    """Write a sheet of faces before, on the way and after their edit; where asked for, a film of the way, too.

    psi pulls the faces towards the average before they are edited, so the edit is as strong at any psi.

    Raises:
        BadOption: no such direction or face, the sheet or film can't be written like this, or the model can't be told
            what is given.
        BadModel: the directions were made for another model.
    """
    if asked.out.suffix.lower() != ".png":
        raise BadOption(f"--out {asked.out}: the sheet is written as .png.")
    if not asked.edits:
        raise BadOption("There is nothing to edit: give --edit, such as --edit smiling=1.")
    if asked.film is not None:
        check_film(asked.film, FPS)
    for path in filter(None, (asked.out, asked.film)):
        refuse_to_overwrite(path, asked.force)
    names = face_names(asked.faces)
    model = load(asked.model)
    _check_size(model.G.resolution, len(names), asked)
    file = asked.directions or sidecar_path(model.path, "directions")
    directions = read_directions(file, model) if asked.directions or file.exists() else {}
    check_edits(list(asked.edits), directions)
    with torch.inference_mode():
        labels = condition_labels(model.conditions, asked.condition)
        w = resolve(model.G, names, model.hash, labels)
        w = truncate(w, around(model.G, w, labels), asked.psi)
    words = model.provenance({
        "Faces": json.dumps(plain_names(names)),
        "Edits": json.dumps(dict(asked.edits)),
        "Psi": repr(asked.psi),
        **condition_metadata(asked.condition),
        **described(names),
    })  # fmt: skip
    yield write_png(asked.out, _sheet(model, w, names, directions, asked), words)
    if asked.film is not None:
        count = round(SECONDS * FPS)
        shown = bar(_frames(model, w, directions, asked, count), count, f"drawing {asked.film.name}", console)
        yield write_film(asked.film, shown, FPS, words)


def face_names(text: str) -> list[str]:
    """Names of faces in a text such as 0-15 or 3,me.latent: seeds one by one, and latent files.

    Raises:
        BadOption: there are none, or too many.
    """
    names = parse_names(text)
    if not 0 < len(names) <= MOST_FACES:
        raise BadOption(f"{text!r} names {len(names)} faces; a sheet shows 1 to {MOST_FACES}.")
    return names


def _check_size(resolution: int, faces: int, asked: Asked) -> None:
    """Raise BadOption where the sheet or the film would be larger than anything can show."""
    side = resolution * (asked.scale or max(1, FACE_PX // resolution))
    if side**2 * faces * (asked.steps + 1) > MOST_PX:
        raise BadOption(f"The sheet would have more than {MOST_PX / 1e6:.0f} million pixels. Lower --scale or --steps.")
    if asked.film is not None and side * ceil(sqrt(faces)) > MAX_SIDE_PX:
        raise BadOption(f"The film would be more than {MAX_SIDE_PX} pixels wide. Lower --scale, or name fewer faces.")


def words_of(edits: Mapping[str, float]) -> str:
    """Edits as they are written, a third as 0.333."""
    return ", ".join(f"{name}={strength:.3g}" for name, strength in edits.items())


def _at(model: Model, w: Tensor, directions: Directions, asked: Asked, share: float) -> Pixels:
    """The faces when a share of their edit is done, `[N, H, W, C]`, enlarged."""
    done = {name: share * strength for name, strength in asked.edits.items()}
    faces = synthesize(model.G, apply_edits(w, directions, done))
    return enlarge(faces, asked.scale or max(1, FACE_PX // model.G.resolution))


def _sheet(model: Model, w: Tensor, names: Sequence[str], directions: Directions, asked: Asked) -> Pixels:
    """A row for each face: before, steps, after; several faces side by side where steps are few."""
    if not 1 <= asked.steps <= MOST_STEPS:
        raise BadOption(f"--steps {asked.steps}: 1 to {MOST_STEPS} pictures lead from before to after.")
    shares = [i / asked.steps for i in range(asked.steps + 1)]
    stages = np.stack([_at(model, w, directions, asked, share) for share in shares], axis=1)  # [N, S, H, W, C]
    words = [words_of({name: share * strength for name, strength in asked.edits.items()}) for share in shares]
    rows = []
    for name, faces in zip(plain_names(names), stages, strict=True):
        cells = [with_caption(face, text) for face, text in zip(faces, [_called(name), *words[1:]], strict=True)]
        rows.append(grid(np.stack(cells), len(cells), GAP_PX // 2))
    return grid(np.stack(rows), max(1, round(sqrt(len(rows) / len(shares)))), 2 * GAP_PX)


def _called(name: str) -> str:
    """A face's name as captions can show it: the font knows no more than ASCII."""
    return name.encode("ascii", "replace").decode() if is_latent_file(name) else f"face {name}"


def _frames(model: Model, w: Tensor, directions: Directions, asked: Asked, count: int) -> Iterator[Pixels]:
    """From before to after and back, slower at both ends."""
    for i in range(count):
        faces = _at(model, w, directions, asked, (1 - cos(2 * pi * i / count)) / 2)
        yield grid(faces, ceil(sqrt(len(faces))))

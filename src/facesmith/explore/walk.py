"""A film through the latent space, or several side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from facesmith.attributes.conditioning import condition_labels
from facesmith.errors import BadOption
from facesmith.io.files import refuse_to_overwrite
from facesmith.io.images import Pixels, enlarge, grid
from facesmith.io.progress import bar
from facesmith.io.provenance import condition_metadata
from facesmith.io.seeds import BATCH_SIZE
from facesmith.io.video import MAX_SIDE_PX, check_film, write_film
from facesmith.latent.arithmetic import latent_file_description, resolve, without_folders
from facesmith.latent.interpolation import FEWEST, walk_latents, walk_positions
from facesmith.latent.synthesis import synthesize
from facesmith.model import Model, load

SECONDS_A_LEG = 2.0
MOST_FRAMES = 100_000
FACE_PX, SHEET_PX = 256, 1024  # up to which faces and films are enlarged by default


@dataclass(frozen=True)
class WalkOptions:
    """Which options a film goes.

    Attributes:
        seeds: of the faces it comes to, or paths of latent files; those of each film on a grid, row by row, one after
            the other.
        grid: columns and rows of films side by side.
        closed: whether it returns to its first face, so that it can be played for ever.
        straight: go straight also where latents lie near a sphere.
        seconds: of the whole film; by default two from face to face.
        psi: truncation.
        given: of a conditional model: attributes of all faces on the options, each 0 or 1.
    """

    seeds: Sequence[int | str]
    grid: tuple[int, int] = (1, 1)
    closed: bool = True
    straight: bool = False
    seconds: float | None = None
    fps: int = 25
    psi: float = 1.0
    condition: Mapping[str, float] = field(default_factory=dict)

    def frames(self) -> int:
        """How many pictures the film has.

        Raises:
            BadOption: none, or too many.
        """
        legs = self.each() - (0 if self.closed else 1)
        seconds = SECONDS_A_LEG * legs if self.seconds is None else self.seconds
        count = round(seconds * self.fps) if seconds * self.fps < 2 * MOST_FRAMES else 2 * MOST_FRAMES
        if not 0 < count <= MOST_FRAMES:
            raise BadOption(f"{seconds:g} seconds at {self.fps} frames a second: a film has 1 to {MOST_FRAMES} frames.")
        return count

    def each(self) -> int:
        """How many faces each of the films side by side comes to.

        Raises:
            BadOption: the seeds can't be dealt out evenly, or are too few.
        """
        films = self.grid[0] * self.grid[1]
        each, left = divmod(len(self.seeds), films)
        if left or each < FEWEST:
            raise BadOption(
                f"{len(self.seeds)} seeds for {films} walks: each needs {FEWEST} or more, and all the same number."
            )
        return each


def parse_grid(text: str) -> tuple[int, int]:
    """Columns and rows of a text such as 4x2.

    Raises:
        BadOption: the text is none.
    """
    found = re.fullmatch(r"([1-9][0-9]?)[x\N{MULTIPLICATION SIGN}]([1-9][0-9]?)", text.strip().lower())
    if found is None:
        raise BadOption(f"--grid {text!r} can't be read. Write columns x rows, such as 4x2.")
    return int(found[1]), int(found[2])


def walk(
    path: Path | None,
    options: WalkOptions,
    outs: Sequence[Path],
    *,
    scale: int | None = None,
    force: bool = False,
    console: Console,
) -> Iterator[Path]:
    """Write a film of the options through a model's faces, once for each name in `outs`.

    Args:
        scale: each pixel becomes a block of this many by as many; by default faces get about 256 pixels.

    Raises:
        BadOption: the options leads nowhere, the film can't be written like this, or the model can't be told what is given.
    """
    for out in outs:
        check_film(out, options.fps)
        refuse_to_overwrite(out, force)
    count = options.frames()
    model = load(path)
    scale = _scale(model.G.resolution, options.grid, scale)
    labels = condition_labels(model.conditions, options.condition)
    words = model.provenance({
        "Seeds": json.dumps(_told(options.seeds)),
        "Psi": repr(options.psi),
        **condition_metadata(options.condition),
        **latent_file_description(list(map(str, options.seeds))),
        "Walk": f"{'closed' if options.closed else 'open'}, {'spherical' if _on_sphere(model, options) else 'straight'}, "
        f"{options.grid[0]}x{options.grid[1]}",
    })  # fmt: skip
    for out in outs:
        shown = bar(_frames(model, options, count, scale, labels), count, f"drawing {out.name}", console)
        yield write_film(out, shown, options.fps, words)


def _told(names: Sequence[int | str]) -> list[int | str]:
    """Seeds as numbers, and latent files."""
    return [int(name) if name.isdecimal() else name for name in without_folders(list(map(str, names)))]


def _on_sphere(model: Model, options: WalkOptions) -> bool:
    return model.G.spherical and not options.straight


def _scale(resolution: int, grid: tuple[int, int], scale: int | None) -> int:
    largest = max(grid)
    if scale is None:
        scale = max(1, min(FACE_PX // resolution, SHEET_PX // (resolution * largest)))
    if resolution * scale * largest > MAX_SIDE_PX:
        raise BadOption(f"The film would be more than {MAX_SIDE_PX} pixels wide or high. Lower --scale or --grid.")
    return scale


@torch.inference_mode()
def _frames(
    model: Model, options: WalkOptions, count: int, scale: int, labels: Tensor | None = None
) -> Iterator[Pixels]:
    """The frames one after the other, drawn some at a time."""
    columns, rows = options.grid
    w = resolve(model.G, list(map(str, options.seeds)), model.hash, labels)
    walks = w.reshape(rows * columns, -1, *w.shape[1:])
    at = walk_positions(walks.shape[1], count, closed=options.closed)
    for start in range(0, count, BATCH_SIZE):
        some = at[start : start + BATCH_SIZE]
        faces = _faces(model, walks, some, options, labels)
        for tiles in faces.reshape(len(some), rows * columns, *faces.shape[1:]):
            yield grid(enlarge(tiles, scale), columns)


def _faces(model: Model, walks: Tensor, at: Tensor, options: WalkOptions, labels: Tensor | None) -> Pixels:
    """The faces of all walks `[K, N, ...]` at places `[M]`: `[M * K, H, W, C]`, those of one place together."""
    w = torch.stack([walk_latents(each.flatten(1), at, spherical=_on_sphere(model, options)) for each in walks], dim=1)
    w = w.reshape(-1, *walks.shape[2:])
    return synthesize(model.G, w, options.psi)

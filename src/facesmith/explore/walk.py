"""Films of walks through the latent space, one or several side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from facesmith.attributes.conditioning import condition_labels
from facesmith.errors import BadOption
from facesmith.explore.leave_out_distorted import undistorted
from facesmith.io.outputs import Outputs
from facesmith.io.progress import bar
from facesmith.io.seeds import BATCH_SIZE
from facesmith.latent.arithmetic import latent_file_description, resolve, without_folders
from facesmith.latent.interpolation import MIN_WALK_LATENTS, walk_latents, walk_positions
from facesmith.latent.synthesis import synthesize
from facesmith.model import Model, load
from facesmith.pictures.images import Pixels, enlarge, grid
from facesmith.pictures.provenance import QUALITY_METADATA, condition_metadata
from facesmith.pictures.video import MAX_SIDE_PX, check_film, require_film_memory, write_film
from facesmith.watermark.marking import DEFAULT_MARKING, Marking

SECONDS_PER_LEG = 2.0
MAX_FRAMES = 100_000
FACE_PX, FILM_PX = 256, 1024  # up to which faces, and whole films, are enlarged by default


@dataclass(frozen=True)
class WalkOptions:
    """A film of one or several walks.

    Attributes:
        faces: seeds or paths of latent files, in order; for several walks those of the first, then of the second, ...
        grid: columns and rows of walks side by side.
        closed: return to the first face, so that the film can be played in a loop.
        linear: interpolate along straight lines, even if latents lie near a sphere.
        seconds: length of the film; by default two seconds from face to face.
        psi: truncation, 0-1.
        condition: of a conditional model: attributes of all faces, each 0 or 1.
        marking: watermark and signed content credentials.
        quality: leave out the seeds whose faces look most distorted, about a tenth.
        n_faces: use the first n faces that are left; None for all.
    """

    faces: Sequence[int | str]
    grid: tuple[int, int] = (1, 1)
    closed: bool = True
    linear: bool = False
    seconds: float | None = None
    fps: int = 25
    psi: float = 1.0
    condition: Mapping[str, float] = field(default_factory=dict)
    marking: Marking = DEFAULT_MARKING
    quality: bool = False
    n_faces: int | None = None

    def frame_count(self) -> int:
        """Return how many frames the film has.

        Raises:
            BadOption: none, or too many.
        """
        legs = self.faces_per_walk() - (0 if self.closed else 1)
        seconds = SECONDS_PER_LEG * legs if self.seconds is None else self.seconds
        count = round(seconds * self.fps) if seconds * self.fps < 2 * MAX_FRAMES else 2 * MAX_FRAMES
        if not 0 < count <= MAX_FRAMES:
            raise BadOption(f"{seconds:g} seconds at {self.fps} frames a second: a film has 1 to {MAX_FRAMES} frames.")
        return count

    def faces_per_walk(self) -> int:
        """Return how many faces each walk visits.

        Raises:
            BadOption: the walks would have different numbers of faces, or fewer than two.
        """
        walks = self.grid[0] * self.grid[1]
        count, remainder = divmod(len(self.faces), walks)
        if remainder or count < MIN_WALK_LATENTS:
            raise BadOption(
                f"{len(self.faces)} faces for {walks} walks: each walk needs the same number, at least "
                f"{MIN_WALK_LATENTS}."
            )
        return count


def parse_grid(text: str) -> tuple[int, int]:
    """Return columns and rows of a text such as `4x2`.

    Raises:
        BadOption: the text has another form.
    """
    match = re.fullmatch(r"([1-9][0-9]?)[x\N{MULTIPLICATION SIGN}]([1-9][0-9]?)", text.strip().lower())
    if match is None:
        raise BadOption(f"--grid {text!r} can't be read. Write columns x rows, each from 1 to 99, such as 4x2.")
    return int(match[1]), int(match[2])


def walk(
    path: Path | None,
    options: WalkOptions,
    outs: Sequence[Path],
    *,
    scale: int | None = None,
    force: bool = False,
    console: Console,
) -> Iterator[Path]:
    """Write the film of a walk to each path in `outs` (.mp4 or .gif), and yield the paths.

    Args:
        path: a run folder or model file; None for the bundled generator.
        scale: enlarge each pixel to scale x scale; by default faces have about 256 pixels.

    Raises:
        BadOption: the faces or the film's size don't work, or the model does not support the condition.
        OutputExists: a film exists, and `force` is not set.
    """
    for out in outs:
        check_film(out, options.fps)
    outputs = Outputs(outs, (path, replace(options, marking=replace(options.marking, sign=None)), scale))
    outputs.refuse_to_overwrite(force)
    model = load(path)
    options = replace(options, faces=_chosen_faces(model, options, console))
    count = options.frame_count()
    scale = _film_scale(model.G.resolution, options.grid, scale)
    _check_memory(model, options, outs, count, scale)
    labels = condition_labels(model.conditions, options.condition)
    names = list(map(str, options.faces))
    kind = "spherical" if _is_spherical(model, options) else "straight"
    metadata = model.provenance({
        "Seeds": json.dumps([int(name) if name.isdecimal() else name for name in without_folders(names)]),
        "Psi": repr(options.psi),
        **condition_metadata(options.condition),
        **latent_file_description(names),
        **options.marking.metadata(model.resolution),
        **(QUALITY_METADATA if options.quality else {}),
        "Walk": f"{'closed' if options.closed else 'open'}, {kind}, {options.grid[0]}x{options.grid[1]}",
    })  # fmt: skip
    with outputs.writing():
        for out in outs:
            frames = bar(_frames(model, options, count, scale, labels), count, f"drawing {out.name}, frames", console)
            yield write_film(out, frames, options.fps, metadata, options.marking.sign)


def _chosen_faces(model: Model, options: WalkOptions, console: Console) -> Sequence[int | str]:
    """The faces that are visited."""
    faces = options.faces
    seeds = [int(face) for face in map(str, faces) if face.isdecimal()]
    if options.quality and seeds:
        kept = set(undistorted(model, seeds, options.condition, console))
        faces = [face for face in faces if not str(face).isdecimal() or int(face) in kept]
    return faces if options.n_faces is None else faces[: options.n_faces]


def _is_spherical(model: Model, options: WalkOptions) -> bool:
    return model.G.spherical and not options.linear


def _film_scale(resolution: int, grid: tuple[int, int], scale: int | None) -> int:
    largest = max(grid)
    if scale is None:
        scale = max(1, min(FACE_PX // resolution, FILM_PX // (resolution * largest)))
    if resolution * scale * largest > MAX_SIDE_PX:
        raise BadOption(f"The film would be more than {MAX_SIDE_PX} pixels wide or high. Lower --scale or --grid.")
    return scale


def _check_memory(model: Model, options: WalkOptions, outs: Sequence[Path], count: int, scale: int) -> None:
    width, height = (size * model.G.resolution * scale for size in options.grid)
    # A batch of frames is drawn together, and each is then enlarged and put into a grid.
    drawing_bytes = (2 * BATCH_SIZE // scale**2 + 12) * height * width * 3
    for out in outs:
        advice = "Make it shorter, or lower --scale, --grid or --fps."
        require_film_memory(out, count, height, width, advice, drawing_bytes=drawing_bytes)


@torch.inference_mode()
def _frames(
    model: Model, options: WalkOptions, count: int, scale: int, labels: Tensor | None = None
) -> Iterator[Pixels]:
    """Yield the frames one by one; they are drawn in batches."""
    columns, rows = options.grid
    w = resolve(model.G, list(map(str, options.faces)), model.hash, labels)
    walks = w.reshape(rows * columns, -1, *w.shape[1:])  # [N, ...] -> [walks, faces per walk, ...]
    positions = walk_positions(walks.shape[1], count, closed=options.closed)
    for start in range(0, count, BATCH_SIZE):
        batch = positions[start : start + BATCH_SIZE]
        faces = _draw_walks(model, walks, batch, options)
        for tiles in faces.reshape(len(batch), rows * columns, *faces.shape[1:]):
            yield grid(enlarge(tiles, scale), columns)


def _draw_walks(model: Model, walks: Tensor, positions: Tensor, options: WalkOptions) -> Pixels:
    """Return the faces of K walks `[K, N, ...]` at M positions, `[M * K, H, W, C]`, grouped by position."""
    spherical = _is_spherical(model, options)
    w = torch.stack([walk_latents(each.flatten(1), positions, spherical=spherical) for each in walks], dim=1)
    return options.marking.marked(synthesize(model.G, w.reshape(-1, *walks.shape[2:]), options.psi))

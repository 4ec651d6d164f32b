"""What to draw -> pixels and films. Pure functions of the model and what the address says.

The order is that of the command line. A face: its base, pulled towards the average face by psi, then edited, so an edit
is as strong at any psi (`edit`). Sums and walks: of faces with their edits; psi pulls what comes out (`mix`, `walk`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import torch
from torch import Tensor

from facesmith.errors import BadOption
from facesmith.gan.contracts import Generator
from facesmith.io.images import Pixels, as_rgb, enlarge, to_uint8
from facesmith.io.seeds import BATCH_SIZE
from facesmith.io.video import write_film
from facesmith.latent import latents, truncate
from facesmith.latent.arithmetic import combine
from facesmith.latent.edits import apply_edits
from facesmith.latent.interpolation import walk_latents, walk_positions
from facesmith.latent.synthesis import synthesize
from facesmith.model import Model
from facesmith.studio.query import Face, read_latent

MOST_FRAMES = 1200
FILM_PX = 256  # up to which the faces of films are enlarged


class Stopped(Exception):
    """Nobody waits for this any more."""


def latent(model: Model, face: Face, psi: float = 1.0) -> Tensor:
    """`w` of a face at this psi with its edits, `[1, w_dim]` or `[1, num_ws, w_dim]`.

    Raises:
        BadOption: the latent belongs to another model, or a direction is unknown.
    """
    G = model.G
    if face.seed is not None:
        w = latents(G, [face.seed])
    else:
        w = torch.from_numpy(read_latent(face.base, model.hash, G.w_dim, G.num_ws))[None].to(G.w_avg.device)
    w = truncate(G, w, psi)
    # Directions that can't be read are no reason not to draw faces without any.
    return apply_edits(w, model.directions, dict(face.edits)) if face.edits else w


def sum_of(model: Model, terms: Sequence[tuple[float, Face]], psi: float = 1.0, *, plain: bool = False) -> Tensor:
    """The latent `[1, w_dim]` (`[1, num_ws, w_dim]`) of a sum of faces, as `facesmith mix` takes it.

    Raises:
        BadOption: the terms cancel out.
    """
    w = stacked(model, [face for _, face in terms])
    total = combine(model.G, w, [coefficient for coefficient, _ in terms], plain=plain)
    return truncate(model.G, total, psi)


def stacked(model: Model, faces: Sequence[Face]) -> Tensor:
    """The latents of faces, `[N, w_dim]`, or `[N, num_ws, w_dim]` where one of them has one for each layer."""
    parts = [latent(model, face) for face in faces]
    if any(w.ndim > 2 for w in parts):
        parts = [w if w.ndim > 2 else w[:, None].expand(-1, model.G.num_ws, -1) for w in parts]
    return torch.cat(parts)


@torch.inference_mode()
def draw_alone(G: Generator, w: Tensor) -> Pixels:
    """The faces of few latents without filling up their batch: in a tenth of the time, for what is gone in a moment.

    Rounding may differ from `synthesis.synthesize`: by one level in some of 100,000 values.
    """
    return to_uint8(G.synthesis(w.to(G.w_avg.device))).cpu().numpy()


@dataclass(frozen=True)
class Walk:
    """A film through faces.

    Attributes:
        seconds: from face to face.
        scale: each pixel becomes a block of this many by as many; 0 enlarges faces to about 256 pixels.
    """

    faces: tuple[Face, ...]
    psi: float = 1.0
    closed: bool = True
    seconds: float = 2.0
    fps: int = 25
    scale: int = 0

    def frames(self) -> int:
        """How many pictures it has.

        Raises:
            BadOption: too many.
        """
        legs = len(self.faces) - (0 if self.closed else 1)
        count = round(legs * self.seconds * self.fps)
        if count > MOST_FRAMES:
            raise BadOption(
                f"This film has {count} pictures; {MOST_FRAMES} are the most. Take fewer faces or seconds, or make it "
                "with facesmith walk."
            )
        return max(1, count)


def film(model: Model, walk: Walk, suffix: str, stopped: Event) -> bytes:
    """A walk as the bytes of an .mp4 or .gif, with its provenance.

    Args:
        stopped: once set, nobody waits for the film any more.

    Raises:
        Stopped: it was set.
    """
    told = model.provenance({
        "Faces": json.dumps([str(face) for face in walk.faces]),
        "Psi": repr(walk.psi),
        "Walk": f"{'closed' if walk.closed else 'open'}, {'spherical' if model.G.spherical else 'straight'}, 1x1",
    })  # fmt: skip
    with TemporaryDirectory() as folder:
        path = write_film(Path(folder) / f"walk{suffix}", _frames(model, walk, stopped), walk.fps, told)
        return path.read_bytes()


@torch.inference_mode()
def _frames(model: Model, walk: Walk, stopped: Event) -> Iterator[Pixels]:
    w = stacked(model, walk.faces)
    flat, count = w.flatten(1), walk.frames()
    at = walk_positions(len(w), count, closed=walk.closed)
    scale = walk.scale or max(1, FILM_PX // model.G.resolution)
    for start in range(0, count, BATCH_SIZE):
        if stopped.is_set():
            raise Stopped
        between = walk_latents(flat, at[start : start + BATCH_SIZE], spherical=model.G.spherical)
        faces = synthesize(model.G, between.reshape(-1, *w.shape[1:]), walk.psi)
        yield from enlarge(as_rgb(faces), scale)

"""From faces, sums and walks to latents and films: pure functions of the model and the address.

The order of operations is that of the command line. A face: its base, truncated with psi, then edited, so that an edit
is equally strong at every psi (as in `facesmith edit`). Sums and walks: their faces are edited first; psi truncates the
result (as in `facesmith mix` and `facesmith walk`).
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
from facesmith.io.images import Pixels, as_rgb, enlarge
from facesmith.io.seeds import BATCH_SIZE
from facesmith.io.video import write_film
from facesmith.latent import latents, truncate
from facesmith.latent.arithmetic import combine
from facesmith.latent.edits import apply_edits
from facesmith.latent.interpolation import walk_latents, walk_positions
from facesmith.latent.synthesis import synthesize
from facesmith.model import Model
from facesmith.studio.face_text import Face, read_latent

MAX_FRAMES = 1200
FILM_PX = 256  # small faces are enlarged to about this size


class RenderCancelled(Exception):
    """The client has disconnected, so the film is not needed any more."""


def face_latent(model: Model, face: Face, psi: float = 1.0) -> Tensor:
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
    # The directions are read only if there are edits: a damaged file of directions must not affect other faces.
    return apply_edits(w, model.directions, dict(face.edits)) if face.edits else w


def sum_latent(model: Model, terms: Sequence[tuple[float, Face]], psi: float = 1.0, *, plain: bool = False) -> Tensor:
    """`w` of a sum of faces, as `facesmith mix` computes it, `[1, w_dim]` or `[1, num_ws, w_dim]`.

    Raises:
        BadOption: the terms cancel out.
    """
    w = stack_latents(model, [face for _, face in terms])
    total = combine(model.G, w, [coefficient for coefficient, _ in terms], plain=plain)
    return truncate(model.G, total, psi)


def stack_latents(model: Model, faces: Sequence[Face]) -> Tensor:
    """The latents of faces: `[N, num_ws, w_dim]` if one of them has a `w` for each layer, otherwise `[N, w_dim]`."""
    ws = [face_latent(model, face) for face in faces]
    if any(w.ndim > 2 for w in ws):
        ws = [w if w.ndim > 2 else w[:, None].expand(-1, model.G.num_ws, -1) for w in ws]
    return torch.cat(ws)


@dataclass(frozen=True)
class Walk:
    """A film through faces.

    Attributes:
        closed: return to the first face.
        seconds: from one face to the next.
        scale: enlarge each pixel to a square of this many pixels; 0 enlarges faces to about 256 pixels.
    """

    faces: tuple[Face, ...]
    psi: float = 1.0
    closed: bool = True
    seconds: float = 2.0
    fps: int = 25
    scale: int = 0

    def frame_count(self) -> int:
        """The number of frames.

        Raises:
            BadOption: too many.
        """
        legs = len(self.faces) - (0 if self.closed else 1)
        count = round(legs * self.seconds * self.fps)
        if count > MAX_FRAMES:
            raise BadOption(
                f"This film would have {count} frames; the limit is {MAX_FRAMES}. Choose fewer faces or seconds, or "
                "run facesmith walk."
            )
        return max(1, count)


def render_walk(model: Model, walk: Walk, suffix: str, cancelled: Event) -> bytes:
    """The content of a film as .mp4 or .gif, with its provenance.

    Args:
        cancelled: set it to stop the work.

    Raises:
        RenderCancelled: it was set.
    """
    provenance = model.provenance({
        "Faces": json.dumps([str(face) for face in walk.faces]),
        "Psi": repr(walk.psi),
        "Walk": f"{'closed' if walk.closed else 'open'}, {'spherical' if model.G.spherical else 'straight'}, 1x1",
    })  # fmt: skip
    with TemporaryDirectory() as folder:
        path = write_film(Path(folder) / f"walk{suffix}", _frames(model, walk, cancelled), walk.fps, provenance)
        return path.read_bytes()


@torch.inference_mode()
def _frames(model: Model, walk: Walk, cancelled: Event) -> Iterator[Pixels]:
    w = stack_latents(model, walk.faces)
    flat, count = w.flatten(1), walk.frame_count()
    positions = walk_positions(len(w), count, closed=walk.closed)
    scale = walk.scale or max(1, FILM_PX // model.G.resolution)
    for start in range(0, count, BATCH_SIZE):
        if cancelled.is_set():
            raise RenderCancelled
        interpolated = walk_latents(flat, positions[start : start + BATCH_SIZE], spherical=model.G.spherical)
        faces = synthesize(model.G, interpolated.reshape(-1, *w.shape[1:]), walk.psi)
        yield from enlarge(as_rgb(faces), scale)

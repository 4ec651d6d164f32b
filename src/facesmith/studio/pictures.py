"""What to draw -> pixels and films. Pure functions of the model and what the address says.

The order is that of the command line: latents of the bases, then edits, then psi, which pulls the whole towards the
average face.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facesmith.animation import write_film
from facesmith.contracts import Generator
from facesmith.errors import BadOption
from facesmith.images import Pixels, as_rgb, enlarge, to_uint8
from facesmith.latent import BATCH, latents, truncate
from facesmith.latent.arithmetic import combine
from facesmith.latent.walks import along, places
from facesmith.sample import Model
from facesmith.studio.address import Face, read_latent
from facesmith.synthesis import synthesize

MOST_FRAMES = 1200
FILM_PX = 256  # up to which the faces of films are enlarged
Directions = Mapping[str, NDArray[np.float32]]


def directions(model: Model) -> Directions:
    """The model's directions by name; none where it has no file of them."""
    held: Directions = getattr(model, "directions", {})
    return held


def latent(model: Model, face: Face) -> Tensor:
    """`w` of a face with its edits, `[1, w_dim]` or `[1, num_ws, w_dim]`.

    Raises:
        BadOption: the latent belongs to another model, or a direction is unknown.
    """
    G = model.G
    if face.seed is not None:
        w = latents(G, [face.seed])
    else:
        w = torch.from_numpy(read_latent(face.base, model.hash, G.w_dim, G.num_ws))[None].to(G.w_avg.device)
    known = directions(model)
    for name, strength in face.edits:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known) or 'none'}."
            raise BadOption(f"This model has no direction {name[:40]!r}: {hint}")
        w = w + strength * torch.from_numpy(np.asarray(known[name], np.float32)).to(w)
    return w


def sum_of(model: Model, terms: Sequence[tuple[float, Face]], *, plain: bool = False) -> Tensor:
    """The latent `[1, w_dim]` of a sum of faces, as `facesmith mix` takes it.

    Raises:
        BadOption: the terms cancel out, or a latent has one vector for each layer.
    """
    parts = [latent(model, face) for _, face in terms]
    if any(w.ndim != 2 for w in parts):
        raise BadOption("A face with a latent for each layer can't be added up.")
    return combine(model.G, torch.cat(parts), [coefficient for coefficient, _ in terms], plain=plain)


@torch.inference_mode()
def draw_alone(G: Generator, w: Tensor, psi: float) -> Pixels:
    """The faces of few latents without filling up their batch: in a tenth of the time, for what is gone in a moment.

    Rounding may differ from `synthesis.synthesize`: by one level in some of 100,000 values.
    """
    return to_uint8(G.synthesis(truncate(w.to(G.w_avg.device), G.w_avg, psi))).cpu().numpy()


@dataclass(frozen=True)
class Walk:
    """A film through faces.

    Attributes:
        seconds: from face to face.
    """

    faces: tuple[Face, ...]
    psi: float = 1.0
    closed: bool = True
    seconds: float = 2.0
    fps: int = 25

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


def film(model: Model, walk: Walk, suffix: str) -> bytes:
    """A walk as the bytes of an .mp4 or .gif, with its provenance."""
    told = model.provenance({
        "Faces": json.dumps([str(face) for face in walk.faces]),
        "Psi": repr(walk.psi),
        "Walk": f"{'closed' if walk.closed else 'open'}, {'spherical' if model.G.spherical else 'straight'}, 1x1",
    })  # fmt: skip
    with TemporaryDirectory() as folder:
        path = write_film(Path(folder) / f"walk{suffix}", _frames(model, walk), walk.fps, told)
        return path.read_bytes()


@torch.inference_mode()
def _frames(model: Model, walk: Walk) -> Iterator[Pixels]:
    w = torch.cat([latent(model, face) for face in walk.faces])
    flat, count = w.flatten(1), walk.frames()
    at = places(len(w), count, closed=walk.closed)
    scale = max(1, FILM_PX // model.G.resolution)
    for start in range(0, count, BATCH):
        between = along(flat, at[start : start + BATCH], spherical=model.G.spherical)
        faces = synthesize(model.G, between.reshape(-1, *w.shape[1:]), walk.psi)
        yield from enlarge(as_rgb(faces), scale)

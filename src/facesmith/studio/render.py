"""Compute the latents of faces and sums of faces, render walks, and make the metadata of pictures.

A face is truncated first and edited afterwards, so an edit has the same strength at every psi. In sums and walks, the
faces are edited first, and the result is truncated. `facesmith edit`, `mix` and `walk` do the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from facesmith.errors import BadOption
from facesmith.gan.contracts import Generator
from facesmith.io.seeds import BATCH_SIZE
from facesmith.latent import latents
from facesmith.latent.arithmetic import combine, mix_layers, parse_layers
from facesmith.latent.edits import apply_edits
from facesmith.latent.from_seeds import move_from_average
from facesmith.latent.interpolation import walk_latents, walk_positions
from facesmith.latent.synthesis import synthesize
from facesmith.model import Model
from facesmith.pictures.images import Pixels, as_rgb, enlarge
from facesmith.pictures.video import require_film_memory, write_film
from facesmith.studio.face_text import Face, read_latent
from facesmith.studio.job_queue import Job
from facesmith.studio.limits import MAX_FILM_FRAMES, MAX_PSI, MIN_PSI
from facesmith.studio.render_queue import RenderCancelled, RenderQueue
from facesmith.studio.unlabeled import directions_for
from facesmith.watermark.marking import Marking

FILM_PX = 256  # small faces are enlarged to about this size


def psi_range(G: Generator) -> tuple[float, float]:
    """Return the smallest and the largest psi that a model allows.

    Where latents can have any value, psi may be negative or above 1. Latents that are drawn from a limited range, such
    as uniform ones, would leave it.
    """
    return (MIN_PSI, MAX_PSI) if G.spherical or G.fits_prior or G.label_dim else (0.0, 1.0)


def change_variety(G: Generator, w: Tensor, psi: float) -> Tensor:
    """Truncate latents, or move them away from the average face.

    Args:
        w: `[N, w_dim]` or `[N, num_ws, w_dim]`.

    Raises:
        BadOption: the model does not allow this psi.
    """
    low, high = psi_range(G)
    if not low <= psi <= high:
        raise BadOption(f"psi is {psi:g}; this model allows {low:g} (the average face at 0) to {high:g}.")
    return move_from_average(G, w, psi)


def face_latent(model: Model, face: Face, psi: float = 1.0) -> Tensor:
    """Return the latent of an edited face at this psi, `[1, w_dim]` or `[1, num_ws, w_dim]`.

    Raises:
        BadOption: the latent belongs to another model, or a direction is unknown.
    """
    G = model.G
    if face.seed is not None:
        w = latents(G, [face.seed])
    else:
        w = torch.from_numpy(read_latent(face.base, model.hash, G.w_dim, G.num_ws))[None].to(G.w_avg.device)
    w = change_variety(G, w, psi)
    # The directions are read only for edits: a damaged directions file must not affect unedited faces.
    return apply_edits(w, directions_for(model, face), dict(face.edits)) if face.edits else w


def sum_latent(
    model: Model, terms: Sequence[tuple[float, Face]], psi: float = 1.0, *, plain: bool = False, layers: str = ""
) -> Tensor:
    """Return the latent of a sum of faces, as `facesmith mix` computes it, `[1, w_dim]` or `[1, num_ws, w_dim]`.

    Args:
        terms: pairs of coefficient and face.
        plain: do not rescale the sum; see `latent.arithmetic.combine`.
        layers: such as `0-1`: take these layers of the second face instead of a sum.

    Raises:
        BadOption: the terms cancel out, or the model has no such layers.
    """
    w, coefficients = stack_latents(model, [face for _, face in terms]), [coefficient for coefficient, _ in terms]
    if layers:
        total = mix_layers(model.G, w, coefficients, parse_layers(layers, model.G.num_ws))
    else:
        total = combine(model.G, w, coefficients, plain=plain)
    return change_variety(model.G, total, psi)


def stack_latents(model: Model, faces: Sequence[Face]) -> Tensor:
    """Return the latents of faces, edited but not truncated.

    The shape is `[N, num_ws, w_dim]` if any face has a `w` for each layer, otherwise `[N, w_dim]`.
    """
    ws = [face_latent(model, face) for face in faces]
    if any(w.ndim > 2 for w in ws):
        ws = [w if w.ndim > 2 else w[:, None].expand(-1, model.G.num_ws, -1) for w in ws]
    return torch.cat(ws)


def face_provenance(face: Face, psi: float) -> dict[str, str]:
    """Return the metadata of a face. That of an unedited seed is the same as in `facesmith sample`."""
    if face.seed is not None and not face.edits and 0 <= psi <= 1:
        return {"Seeds": f"[{face.seed}]", "Psi": repr(psi)}
    return {"Face": str(face), "Psi": repr(psi), **_resemblance_notice([face])}


def sum_provenance(text: str, faces: Iterable[Face], psi: float, *, plain: bool, layers: str = "") -> dict[str, str]:
    """Return the metadata of a sum of faces, which `text` describes."""
    rescaling = f"layers {layers}" if layers else "plain" if plain else "rescaled to the norm of its terms"
    return {"Terms": text, "Psi": repr(psi), "Sum": rescaling, **_resemblance_notice(faces)}


def _resemblance_notice(faces: Iterable[Face]) -> dict[str, str]:
    """Return a notice if a face starts from a latent, because the latent may come from a photo of a person."""
    if all(face.seed is not None for face in faces):
        return {}
    return {"Description": "A synthetic picture. It may have been made to resemble a person in a photo."}


@dataclass(frozen=True)
class Walk:
    """A film that moves from face to face.

    Attributes:
        closed: whether it returns to the first face.
        seconds: from one face to the next.
        scale: enlarge each pixel to a square with sides of this many pixels; 0 enlarges faces to about 256 pixels.
    """

    faces: tuple[Face, ...]
    psi: float = 1.0
    closed: bool = True
    seconds: float = 2.0
    fps: int = 25
    scale: int = 0

    def frame_count(self) -> int:
        """Return the number of frames.

        Raises:
            BadOption: there would be too many.
        """
        transitions = len(self.faces) if self.closed else len(self.faces) - 1
        count = round(transitions * self.seconds * self.fps)
        if count > MAX_FILM_FRAMES:
            raise BadOption(
                f"This film would have {count} frames; the limit is {MAX_FILM_FRAMES}. Choose fewer faces or seconds, "
                "or run facesmith walk."
            )
        return max(1, count)


def render_walk(model: Model, walk: Walk, suffix: str, job: Job[bytes], queue: RenderQueue, marking: Marking) -> bytes:
    """Return the content of a video file that shows the walk.

    Args:
        suffix: ".mp4" or ".gif".
        job: its progress is updated.
        queue: gives the turns to compute.
        marking: the marks of the film.

    Raises:
        RenderCancelled: the job was cancelled.
    """
    # The entry "Walk" has the form of `facesmith walk`: 1x1 is one face per frame.
    provenance = model.provenance({
        "Faces": json.dumps([str(face) for face in walk.faces]),
        "Psi": repr(walk.psi),
        "Walk": f"{'closed' if walk.closed else 'open'}, {'spherical' if model.G.spherical else 'straight'}, 1x1",
        **marking.metadata(model.resolution),
    })  # fmt: skip
    side_px = model.G.resolution * _scale(model, walk)
    advice = "Choose fewer faces, fewer seconds or a smaller scale."
    require_film_memory(Path(f"walk{suffix}"), walk.frame_count(), side_px, side_px, advice)
    with TemporaryDirectory() as folder:
        frames = _frames(model, walk, job, queue, marking)
        path = write_film(Path(folder) / f"walk{suffix}", frames, walk.fps, provenance, marking.sign)
        return path.read_bytes()


def _scale(model: Model, walk: Walk) -> int:
    return walk.scale or max(1, FILM_PX // model.G.resolution)


@torch.inference_mode()
def _frames(model: Model, walk: Walk, job: Job[bytes], queue: RenderQueue, marking: Marking) -> Iterator[Pixels]:
    """Yield the frames of a walk, `[H, W, 3]`."""
    w = stack_latents(model, walk.faces)
    flat, count = w.flatten(1), walk.frame_count()
    positions = walk_positions(len(w), count, closed=walk.closed)
    scale = _scale(model, walk)
    for start in range(0, count, BATCH_SIZE):
        if job.cancelled.is_set():
            raise RenderCancelled
        job.progress = start / count
        interpolated = walk_latents(flat, positions[start : start + BATCH_SIZE], spherical=model.G.spherical)
        with queue.background_turn():
            faces = synthesize(model.G, change_variety(model.G, interpolated.reshape(-1, *w.shape[1:]), walk.psi))
        yield from enlarge(as_rgb(marking.marked(faces)), scale)

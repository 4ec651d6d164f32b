"""A person's photo: the faces in it, the latent of one, and that one put back. Nothing of it is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console

from facesmith.errors import BadPicture
from facesmith.explore.reconstruction_error import psnr
from facesmith.inversion.face_template import by_size, find_faces, locate_face
from facesmith.inversion.paste import paste
from facesmith.io.images import Pixels, png_bytes, read_picture
from facesmith.model import Model
from facesmith.studio.query import write_latent
from facesmith.studio.security import MOST_PIXELS

MOST_FACES = 32
QUIET = Console(quiet=True)


def opened(raw: bytes) -> Pixels:
    """The photo `[H, W, 3]` that was sent.

    Raises:
        BadPicture: it is none, or too large.
    """
    try:
        return read_picture(raw, max_pixels=MOST_PIXELS)
    except BadPicture as reason:
        raise BadPicture(f"This photo can't be used: {reason}. Take a JPEG or PNG.") from None


def find(raw: bytes) -> dict[str, Any]:
    """Size of the photo, and its faces from the largest to the smallest, in its pixels."""
    photo = opened(raw)
    found = find_faces(photo, 1)
    return {
        "width": photo.shape[1],
        "height": photo.shape[0],
        "faces": [
            {
                "box": found.boxes[i].round(1).tolist(),
                "landmarks": found.landmarks[i].round(1).tolist(),
                "confidence": round(float(found.confidence[i]), 4),
            }
            for i in by_size(found)[:MOST_FACES]
        ],
    }


def invert(model: Model, raw: bytes, which: int, tell: Callable[[dict[str, Any]], None]) -> None:
    """Find the latent of a photo's face, and tell of each step as it is done.

    Args:
        which: of the faces; 1 is the largest.
        tell: called with plain values; it may raise to stop the work.

    Raises:
        BadPicture: no photo, or no face in it.
        BadModel: this model can't.
    """
    tell({"stage": "Looking for the face"})
    inverter, G = model.inverter, model.G
    located = locate_face(opened(raw), inverter.template, G.resolution, G.channels, which=which)
    faces = located.face[None]
    tell({"stage": "A first guess", "aligned": _as_url(located.face)})
    tell(
        {
            "guess": _code(model, inverter.invert(faces, optimize=False, console=QUIET).numpy()[0]),
            "stage": "Coming nearer",
        }
    )
    w = inverter.invert(
        faces, optimize=True, console=QUIET, on_step=lambda done, steps: tell({"done": done, "of": steps})
    ).numpy()
    rebuilt, average = model.synthesize(w), model.synthesize(G.w_avg[None].cpu().numpy())
    tell({
        "face": _code(model, w[0]),
        "psnr_db": round(float(psnr(faces, rebuilt)[0]), 1),
        "average_psnr_db": round(float(psnr(faces, average)[0]), 1),
    })  # fmt: skip


def put_back(model: Model, raw: bytes, which: int, face: Pixels, shown: dict[str, str]) -> bytes:
    """The photo with its face replaced by a drawn one `[S, S, C]`, as a PNG that says so.

    Raises:
        BadPicture: no photo, or no face in it.
    """
    photo, template = opened(raw), model.inverter.template
    located = locate_face(photo, template, model.G.resolution, model.G.channels, which=which)
    assert template is not None, "locate refuses without one"
    pasted = paste(photo, face, located.matrix, template.targets(face.shape[0]))
    told = model.provenance({
        "Synthetic": "in part", "Description": "A photo in which one face was replaced by a synthetic one.", **shown,
    })  # fmt: skip
    return png_bytes(pasted, told)


def _code(model: Model, w: np.ndarray) -> str:
    return write_latent(w.astype(np.float32), model.hash)


def _as_url(face: Pixels) -> str:
    import base64

    return "data:image/png;base64," + base64.b64encode(png_bytes(face)).decode()

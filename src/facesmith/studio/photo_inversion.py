"""A photo: the faces in it, the latent of one of them, and an edited face back in the photo. Nothing is stored."""

from __future__ import annotations

import base64
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
from facesmith.studio.face_text import write_latent
from facesmith.studio.security import MAX_PHOTO_PIXELS

MAX_DETECTIONS = 32
QUIET = Console(quiet=True)


def open_photo(content: bytes) -> Pixels:
    """The photo in an uploaded file, `[H, W, 3]`.

    Raises:
        BadPicture: it is not a photo, or too large.
    """
    try:
        return read_picture(content, max_pixels=MAX_PHOTO_PIXELS)
    except BadPicture as reason:
        raise BadPicture(f"This photo can't be used: {reason}. Use a JPEG or PNG.") from None


def detect(content: bytes) -> dict[str, Any]:
    """Size of the photo, and its faces from the largest to the smallest, in pixels of the photo."""
    photo = open_photo(content)
    detections = find_faces(photo, 1)
    faces = [
        {
            "box": detections.boxes[i].round(1).tolist(),
            "landmarks": detections.landmarks[i].round(1).tolist(),
            "confidence": round(float(detections.confidence[i]), 4),
        }
        for i in by_size(detections)[:MAX_DETECTIONS]
    ]
    return {"width": photo.shape[1], "height": photo.shape[0], "faces": faces}


def invert(model: Model, content: bytes, face_number: int, send: Callable[[dict[str, Any]], None]) -> None:
    """Find the latent of a face in a photo, and send the progress.

    Args:
        face_number: 1 is the largest face.
        send: called with a message of plain values; it may raise an exception to stop the work.

    Raises:
        BadPicture: not a photo, or no such face in it.
        BadModel: this model can't invert photos.
    """
    send({"stage": "Looking for the face"})
    inverter, G = model.inverter, model.G
    located = locate_face(open_photo(content), inverter.template, G.resolution, G.channels, which=face_number)
    faces = located.face[None]
    send({"stage": "First guess", "aligned": _data_url(located.face)})
    guess = inverter.invert(faces, optimize=False, console=QUIET).numpy()
    send({"stage": "Improving", "guess": _latent_text(model, guess[0])})

    def send_progress(step: int, steps: int) -> None:
        send({"done": step, "of": steps})

    w = inverter.invert(faces, optimize=True, console=QUIET, on_step=send_progress).numpy()
    reconstruction, average = model.synthesize(w), model.synthesize(G.w_avg[None].cpu().numpy())
    send({
        "face": _latent_text(model, w[0]),
        "psnr_db": round(float(psnr(faces, reconstruction)[0]), 1),
        "average_psnr_db": round(float(psnr(faces, average)[0]), 1),
    })  # fmt: skip


def paste_face(model: Model, content: bytes, face_number: int, face: Pixels, provenance: dict[str, str]) -> bytes:
    """The photo with one face replaced by a generated face `[S, S, C]`, as a PNG that says so.

    Raises:
        BadPicture: not a photo, or no such face in it.
    """
    photo, template = open_photo(content), model.inverter.template
    located = locate_face(photo, template, model.G.resolution, model.G.channels, which=face_number)
    assert template is not None, "locate_face refuses a model without a template"
    pasted = paste(photo, face, located.matrix, template.targets(face.shape[0]))
    return png_bytes(pasted, model.provenance({
        "Synthetic": "in part",
        "Description": "A photo in which one face was replaced by a synthetic one.",
        **provenance,
    }))  # fmt: skip


def _latent_text(model: Model, w: np.ndarray) -> str:
    return write_latent(w.astype(np.float32), model.hash)


def _data_url(face: Pixels) -> str:
    return "data:image/png;base64," + base64.b64encode(png_bytes(face)).decode()

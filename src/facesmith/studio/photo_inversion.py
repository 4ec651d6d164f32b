"""Find the faces in an uploaded photo, invert one, and paste a generated face into the photo. Nothing is stored."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console

from facesmith.errors import BadPicture
from facesmith.explore.reconstruction_error import psnr
from facesmith.inversion.face_template import by_size, find_faces, locate_face
from facesmith.inversion.paste import paste_into_original
from facesmith.io.file_kinds import HEAD_BYTES, kind_of_content
from facesmith.model import Model
from facesmith.pictures.images import Pixels, png_bytes
from facesmith.pictures.original_photo import OriginalPhoto, read_original
from facesmith.studio.face_text import write_latent
from facesmith.studio.job_queue import Job
from facesmith.studio.limits import HALVED_PHOTO_PIXELS, MAX_FACES_IN_PHOTO, MAX_PHOTO_PIXELS
from facesmith.studio.render_queue import RenderCancelled, RenderQueue
from facesmith.watermark.marking import Marking

QUIET = Console(quiet=True)


def open_photo(content: bytes) -> Pixels:
    """Return the photo in an uploaded file, `[H, W, 3]`. Very large photos are halved.

    Raises:
        BadPicture: it is not a photo, or too large.
    """
    return open_original(content).pixels


def open_original(content: bytes) -> OriginalPhoto:
    """Return a photo with its own colors. Very large photos are halved, in sRGB.

    Raises:
        BadPicture: it is not a photo, or too large.
    """
    advice = f"Use a JPEG or PNG of at most {MAX_PHOTO_PIXELS // 10**6} million pixels."
    kind = kind_of_content(content[:HEAD_BYTES])
    if kind.category in ("archive", "video"):
        raise BadPicture(f"This photo can't be used: not a picture but: {kind.name}. {advice}")
    try:
        photo = read_original(content, max_pixels=MAX_PHOTO_PIXELS)
    except BadPicture as error:
        raise BadPicture(f"This photo can't be used: {error}. {advice}") from None
    if photo.pixels.shape[0] * photo.pixels.shape[1] <= HALVED_PHOTO_PIXELS:
        return photo
    halved = np.asarray(Image.fromarray(photo.pixels).reduce(2))
    return OriginalPhoto(halved, halved)


def detect_faces(content: bytes) -> dict[str, Any]:
    """Return the size of a photo, its faces from the largest to the smallest, and the reason if there is none.

    Coordinates are pixels of the photo, as `open_photo` returns it.

    Raises:
        BadPicture: it is not a photo, or too large.
    """
    photo = open_photo(content)
    found = find_faces(photo, 1)
    detections = found.faces
    faces = [
        {
            "box": detections.boxes[i].round(1).tolist(),
            "landmarks": detections.landmarks[i].round(1).tolist(),
            "confidence": round(float(detections.confidence[i]), 4),
        }
        for i in by_size(detections)[:MAX_FACES_IN_PHOTO]
    ]
    return {"width": photo.shape[1], "height": photo.shape[0], "faces": faces, "reason": found.reason}


def invert_face(
    model: Model,
    content: bytes,
    face_number: int,
    job: Job[None],
    queue: RenderQueue,
    send: Callable[[dict[str, Any]], None],
) -> None:
    """Find the latent of a face in a photo, and send the progress and the result.

    Each message is a dict with some of these keys:
        stage: the current stage, as text for the user.
        aligned: the aligned face, as a data URL.
        guess: the latent that the encoder predicts, as text.
        step, steps, seconds_left: the progress of the optimization.
        face, psnr_db, average_psnr_db: the final latent, as text, and its PSNR; the PSNR of the average face.

    Args:
        content: the photo, as a file.
        face_number: 1 is the largest face.
        job: its progress is updated.
        queue: gives the turns to compute.
        send: called with each message (JSON-serializable). If it raises an exception, the work stops.

    Raises:
        BadPicture: it is not a photo, or it has no such face.
        BadModel: the model can't invert photos.
        RenderCancelled: the job was cancelled.
    """
    send({"stage": "Looking for the face"})
    inverter, G = model.inverter, model.G
    located = locate_face(open_photo(content), inverter.template, G.resolution, G.channels, which=face_number)
    faces = located.face[None]
    send({"stage": "First guess", "aligned": _data_url(located.face)})
    with queue.background_turn() as turn:
        guess = inverter.invert(faces, optimize=False, console=QUIET).numpy()
        send({"stage": "Improving", "guess": _latent_text(model, guess[0])})
        start = time.monotonic()

        def send_progress(step: int, steps: int) -> None:
            if job.cancelled.is_set():
                raise RenderCancelled
            job.progress = step / steps
            seconds = round((time.monotonic() - start) * (steps - step) / step) if step else None
            send({"step": step, "steps": steps, "seconds_left": seconds})
            turn.renew()

        w = inverter.invert(faces, optimize=True, console=QUIET, on_step=send_progress).numpy()
        turn.renew()
        reconstruction, average = model.synthesize(w), model.synthesize(G.w_avg[None].cpu().numpy())
    send({
        "face": _latent_text(model, w[0]),
        "psnr_db": round(float(psnr(faces, reconstruction)[0]), 1),
        "average_psnr_db": round(float(psnr(faces, average)[0]), 1),
    })  # fmt: skip


def paste_face(
    model: Model,
    content: bytes,
    face_number: int,
    face: Pixels,
    provenance: dict[str, str],
    marking: Marking,
) -> bytes:
    """Replace one face of a photo by a generated face. Return a PNG whose metadata marks it as partly synthetic.

    Args:
        content: the photo, as a file.
        face_number: 1 is the largest face.
        face: the generated face, `[S, S, C]`.
        provenance: the metadata of the generated face.
        marking: the marks of the face and the photo.

    Raises:
        BadPicture: it is not a photo, or it has no such face.
        BadModel: the model can't invert photos.
    """
    photo, template = open_original(content), model.inverter.template
    located = locate_face(photo.pixels, template, model.G.resolution, model.G.channels, which=face_number)
    assert template is not None, "locate_face refuses a model without a template"
    points = template.targets(face.shape[0])
    pasted = paste_into_original(photo, face, located.matrix, points, keys=marking.keys)
    metadata = model.provenance({
        **provenance,
        "Synthetic": "in part",
        "Description": "A photo in which one face was replaced by a synthetic one.",
        **marking.metadata(model.resolution),
    })  # fmt: skip
    return png_bytes(pasted, metadata, photo.profile, marking.sign)


def _latent_text(model: Model, w: np.ndarray) -> str:
    return write_latent(w.astype(np.float32), model.hash)


def _data_url(face: Pixels) -> str:
    return "data:image/png;base64," + base64.b64encode(png_bytes(face)).decode()

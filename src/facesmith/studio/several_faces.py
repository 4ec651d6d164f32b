"""Several faces in one file: a contact sheet, or a zip with a picture of each face and a table."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from facesmith.errors import BadOption
from facesmith.io.seeds import BATCH_SIZE
from facesmith.latent.synthesis import synthesize
from facesmith.model import Model
from facesmith.pictures.captions import with_caption
from facesmith.pictures.images import Pixels, grid, png_bytes, resize
from facesmith.studio.face_text import Face
from facesmith.studio.job_queue import Job
from facesmith.studio.render import face_latent, face_provenance
from facesmith.studio.render_queue import RenderCancelled, RenderQueue
from facesmith.watermark.marking import Marking

SHEET_FACE_PX = 128  # faces on a contact sheet are enlarged to about this size
MAX_SHEET_PIXELS = 2**26
GAP_PX = 8
COLUMNS = ("file", "face", "psi", "model")
MAX_NAME_LENGTH = 80


def enlargement(scale: int) -> dict[str, str]:
    """Return the metadata of a picture that was enlarged."""
    return {} if scale == 1 else {"Enlarged": f"{scale}x with a Lanczos filter"}


def contact_sheet(
    model: Model,
    faces: Sequence[Face],
    psi: float,
    scale: int,
    columns: int,
    job: Job[bytes],
    queue: RenderQueue,
    marking: Marking,
) -> bytes:
    """Return a PNG of all faces, each with its name below it.

    Args:
        scale: enlarge faces by this factor, in addition to what makes them about 128 pixels large.
        columns: 0 for a sheet that is about square.

    Raises:
        BadOption: the sheet would be too large.
        RenderCancelled: the job was cancelled.
    """
    side = scale * max(SHEET_FACE_PX, model.G.resolution)
    if len(faces) * side**2 > MAX_SHEET_PIXELS:
        raise BadOption(
            f"A sheet of {len(faces)} faces with {side} pixels each would be too large. Choose fewer faces or a lower "
            "scale, or download them as a zip."
        )
    pictures = [resize(picture, side) for picture in _render(model, faces, psi, job, queue, marking)]
    return _sheet(model, faces, pictures, psi, scale, columns, marking)


def faces_zip(
    model: Model,
    faces: Sequence[Face],
    psi: float,
    scale: int,
    job: Job[bytes],
    queue: RenderQueue,
    marking: Marking,
) -> bytes:
    """Return a zip with a PNG of each face, a contact sheet and a table, faces.csv. Each picture has its metadata.

    Raises:
        RenderCancelled: the job was cancelled.
    """
    content, table = io.BytesIO(), io.StringIO(newline="")
    rows = csv.writer(table)
    rows.writerow(COLUMNS)
    pictures = []
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:  # PNGs are compressed already
        rendered = _render(model, faces, psi, job, queue, marking)
        for number, (face, picture) in enumerate(zip(faces, rendered, strict=True), 1):
            pictures.append(resize(picture, SHEET_FACE_PX))
            name = f"{number:03d}-{file_name(face)}.png"
            how = face_provenance(face, _psi_of(face, psi)) | enlargement(scale)
            metadata = model.provenance(how | marking.metadata(model.resolution))
            enlarged = resize(picture, scale * picture.shape[0])
            archive.writestr(name, png_bytes(enlarged, metadata, sign=marking.sign))
            rows.writerow([name, str(face), repr(_psi_of(face, psi)), model.hash])
        archive.writestr("contact-sheet.png", _sheet(model, faces, pictures, psi, 1, 0, marking))
        archive.writestr("faces.csv", table.getvalue())
    return content.getvalue()


def file_name(face: Face) -> str:
    """Return a name for the file of a face, such as seed42-smiling+1.5."""
    base = "custom" if face.seed is None else f"seed{face.seed}"
    edits = "".join(f"-{name}{strength:+g}" for name, strength in face.edits)
    return re.sub(r"[^A-Za-z0-9_.+-]", "_", base + edits)[:MAX_NAME_LENGTH]


@torch.inference_mode()
def _render(
    model: Model, faces: Sequence[Face], psi: float, job: Job[bytes], queue: RenderQueue, marking: Marking
) -> Iterator[Pixels]:
    """Yield the picture of each face, `[H, W, C]`, marked, with the same pixels as one by one."""
    for start in range(0, len(faces), BATCH_SIZE):
        if job.cancelled.is_set():
            raise RenderCancelled
        job.progress = start / len(faces)
        with queue.background_turn():
            ws = [face_latent(model, face, _psi_of(face, psi)) for face in faces[start : start + BATCH_SIZE]]
            pictures = [picture for w in _equal_shapes(ws) for picture in marking.marked(synthesize(model.G, w))]
        yield from pictures


def _psi_of(face: Face, psi: float) -> float:
    """Return the psi of one face. A latent is drawn as it is, because truncation would change a face from a photo."""
    return 1.0 if face.seed is None else psi


def _equal_shapes(ws: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return latents as one stack, or one by one if only some of them have a `w` for each layer."""
    return [torch.cat(list(ws))] if len({w.ndim for w in ws}) == 1 else list(ws)


def _sheet(
    model: Model,
    faces: Sequence[Face],
    pictures: Sequence[Pixels],
    psi: float,
    scale: int,
    columns: int,
    marking: Marking,
) -> bytes:
    cells = [with_caption(picture, _caption(face)) for face, picture in zip(faces, pictures, strict=True)]
    metadata = {
        "Faces": json.dumps([str(face) for face in faces]),
        "Psi": repr(psi),
        **enlargement(scale),
        **marking.metadata(model.resolution),
    }
    sheet = grid(np.stack(cells), columns or None, GAP_PX)
    return png_bytes(sheet, model.provenance(metadata), sign=marking.sign)


def _caption(face: Face) -> str:
    """Return the name of a face in ASCII, because the font of captions has no other letters."""
    base = "custom face" if face.seed is None else f"seed {face.seed}"
    edits = "".join(f", {name} {strength:+g}" for name, strength in face.edits)
    return (base + edits).encode("ascii", "replace").decode()

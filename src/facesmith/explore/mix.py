"""Latent arithmetic as a figure: the terms with their signs, and the face that is their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from facesmith.attributes.conditioning import condition_labels
from facesmith.errors import BadOption
from facesmith.io.files import refuse_to_overwrite
from facesmith.io.memory import require_sheet_memory
from facesmith.latent.arithmetic import (
    Term,
    combine,
    is_latent_file,
    latent_file_description,
    mix_layers,
    parse_layers,
    parse_terms,
    resolve,
)
from facesmith.latent.synthesis import synthesize
from facesmith.model import load
from facesmith.pictures.captions import with_caption
from facesmith.pictures.images import enlarge, grid, write_picture
from facesmith.pictures.provenance import condition_metadata
from facesmith.watermark.marking import DEFAULT_MARKING, Marking

FACE_PX = 128  # up to which faces are enlarged by default
COLUMNS = 8
GAP_PX = 8


def mix(
    path: Path | None,
    text: str,
    out: Path,
    *,
    psi: float = 1.0,
    plain: bool = False,
    layers: str | None = None,
    condition: Mapping[str, float] | None = None,
    scale: int | None = None,
    marking: Marking = DEFAULT_MARKING,
    force: bool = False,
) -> Path:
    """Draw a sum of faces and its terms on one sheet, and return the path.

    Args:
        path: a run folder or model file; None for the bundled generator.
        text: the sum, such as 29 - 3 + me.latent.
        out: a .png.
        psi: truncation, 0-1.
        plain: don't rescale the sum (see `latent.arithmetic.combine`).
        layers: instead of a sum, draw the first face with these layers of the second, such as 0-1.
        condition: of a conditional model: attributes of all faces, each 0 or 1.
        scale: enlarge each pixel to scale x scale; by default faces have about 128 pixels.
        marking: watermark and signed content credentials.

    Raises:
        BadOption: the text is not a sum, its terms cancel, or the model does not have such layers or attributes.
        BadModel: a latent file is damaged or belongs to another model.
        OutputExists: `out` exists, and `force` is not set.
    """
    if out.suffix.lower() != ".png":
        raise BadOption(f"--out {out}: the sheet must be a .png.")
    terms = parse_terms(text)
    refuse_to_overwrite(out, force)
    model = load(path)
    scale = scale or max(1, FACE_PX // model.G.resolution)
    side_px = model.G.resolution * scale
    require_sheet_memory(
        len(terms) + 1, side_px, f"A sheet of {len(terms)} terms", "Lower --scale, or use fewer terms."
    )
    names, coefficients = [term.name for term in terms], [term.coefficient for term in terms]
    with torch.inference_mode():
        w = resolve(model.G, names, model.hash, condition_labels(model.conditions, condition))
        total = (
            combine(model.G, w, coefficients, plain=plain)
            if layers is None
            else mix_layers(model.G, w, coefficients, parse_layers(layers, model.G.num_ws))
        )
        faces = np.concatenate([synthesize(model.G, each, psi) for each in (w, total)])
    faces = enlarge(marking.marked(faces), scale)
    signs = [_sign(term, first=term is terms[0]) for term in terms]
    result = "plain sum" if plain else "sum" if layers is None else f"layers {layers} of the second"
    cells = map(with_caption, faces, [*map(_caption, terms), result], [*signs, "="])
    metadata = model.provenance({
        "Terms": _text_without_folders(text, terms),
        "Psi": repr(psi),
        "Sum": f"layers {layers}" if layers is not None else "plain" if plain else "rescaled to the norm of its terms",
        **condition_metadata(condition),
        **latent_file_description(names),
        **marking.metadata(model.resolution),
    })  # fmt: skip
    return write_picture(out, grid(np.stack(list(cells)), COLUMNS, GAP_PX), metadata, marking.sign)


def _text_without_folders(text: str, terms: Sequence[Term]) -> str:
    """Return the sum with latent files reduced to their file names: metadata must not reveal private folders."""
    for term in terms:
        if is_latent_file(term.name):
            text = text.replace(term.name, Path(term.name).name)
    return text


def _sign(term: Term, *, first: bool) -> str:
    return "-" if term.coefficient < 0 else "" if first else "+"


def _caption(term: Term) -> str:
    size = abs(term.coefficient)
    name = Path(term.name).name if is_latent_file(term.name) else f"seed {term.name}"
    caption = name if size == 1 else f"{size:g} * {name}"
    return caption.encode("ascii", "replace").decode()  # the captions' font has ASCII only

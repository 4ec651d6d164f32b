"""Latent arithmetic as a figure: the terms with their signs, and the face that is their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from facesmith.attributes.conditioning import condition_labels
from facesmith.errors import BadOption
from facesmith.io.captions import with_caption
from facesmith.io.files import refuse_to_overwrite
from facesmith.io.images import enlarge, grid, write_png
from facesmith.io.provenance import condition_metadata
from facesmith.latent import truncate
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
    force: bool = False,
) -> Path:
    """Draw a sum of faces such as 29 - 3 + me.latent, with its terms beside it, on one sheet.

    Args:
        plain: leave the sum's length as it is; by default it gets that of its terms (`latent.arithmetic.combine`).
        layers: rather than the sum of two faces, the first with these layers of the second, such as 0-1.
        given: of a conditional model: attributes of all faces, each 0 or 1.
        scale: each pixel becomes a block of this many by as many; by default faces get about 128 pixels.

    Raises:
        BadOption: the text is no sum, its terms cancel out, the generator has no such layers, or can't be told what is
            given.
        BadModel: a latent file is damaged, or of another model.
    """
    if out.suffix.lower() != ".png":
        raise BadOption(f"--out {out}: the sheet is written as .png.")
    terms = parse_terms(text)
    refuse_to_overwrite(out, force)
    model = load(path)
    with torch.inference_mode():
        labels = condition_labels(model.conditions, condition)
        w = resolve(model.G, [term.name for term in terms], model.hash, labels)
        coefficients = [term.coefficient for term in terms]
        total = (
            combine(model.G, w, coefficients, plain=plain)
            if layers is None
            else mix_layers(model.G, w, coefficients, parse_layers(layers, model.G.num_ws))
        )
        pulled = [truncate(model.G, each, psi) for each in (w, total)]
        faces = np.concatenate([synthesize(model.G, each) for each in pulled])
    faces = enlarge(faces, scale or max(1, FACE_PX // model.G.resolution))
    signs = [_sign(term, first=term is terms[0]) for term in terms]
    words = [_words(term) for term in terms]
    kind = "plain sum" if plain else "sum" if layers is None else f"layers {layers} of the second"
    cells = map(with_caption, faces, [*words, kind], [*signs, "="])
    how = f"layers {layers}" if layers is not None else "plain" if plain else "with its terms' length"
    shown = model.provenance({
        "Terms": _told(text, terms),
        "Psi": repr(psi),
        "Sum": how,
        **condition_metadata(condition),
        **latent_file_description([term.name for term in terms]),
    })  # fmt: skip
    return write_png(out, grid(np.stack(list(cells)), COLUMNS, GAP_PX), shown)


def _told(text: str, terms: Sequence[Term]) -> str:
    """The sum as it was written, without the folders that latent files lie in: those are nobody's business."""
    for term in terms:
        if is_latent_file(term.name):
            text = text.replace(term.name, Path(term.name).name)
    return text


def _sign(term: Term, *, first: bool) -> str:
    return "-" if term.coefficient < 0 else "" if first else "+"


def _words(term: Term) -> str:
    size = abs(term.coefficient)
    name = Path(term.name).name if is_latent_file(term.name) else f"seed {term.name}"
    words = name if size == 1 else f"{size:g} * {name}"
    return words.encode("ascii", "replace").decode()

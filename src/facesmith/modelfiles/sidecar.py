"""Small files that belong to one model: directions, an inversion encoder, latents.

Each is safetensors with one JSON entry as its header, as model files are, and carries the sha256 of the model that it
was made for: what means a smile to one generator means nothing to another. Nothing in it is executed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from facesmith.errors import BadModel
from facesmith.io.files import atomic_write
from facesmith.modelfiles.run_folder import MODEL

SIDECAR_FORMAT = 1
HEADER_KEY = "facesmith"  # the whole header is one entry, since safetensors keeps several in no fixed order
RESERVED_ENTRIES = ("format", "kind", "model")  # the header's entries that this module fills
HOW_TO_MAKE = {
    "directions": "Make them: facesmith directions --model MODEL --data LABELLED",
    "inversion": "Make it again for this model.",
    "latent": "Make it again with this model: facesmith invert --model MODEL PHOTO",
}


def sidecar_path(model_file: Path, kind: str) -> Path:
    """Where a model file's sidecar of that kind lies: beside it.

    `model.safetensors` has `directions.safetensors`; any other, such as `best.safetensors`, has its own name in
    front (`best.directions.safetensors`), so that models of one folder keep theirs apart.
    """
    name = f"{kind}.safetensors" if model_file.name == MODEL else f"{model_file.stem}.{kind}.safetensors"
    return model_file.with_name(name)


def save_sidecar(
    path: Path, kind: str, tensors: Mapping[str, Tensor], header: Mapping[str, Any], model_hash: str
) -> None:
    """Write tensors and plain values that belong to the model of that sha256; the same ones give the same bytes.

    Args:
        kind: what it is, in a word; `load_sidecar` accepts no other.
        header: plain values; JSON keeps them.
    """
    assert not set(RESERVED_ENTRIES) & set(header), "these entries are written here"
    told = json.dumps(
        {**header, "format": SIDECAR_FORMAT, "kind": kind, "model": model_hash}, sort_keys=True, allow_nan=False
    )
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    with atomic_write(path, durable=True) as stream:
        stream.write(save(plain, {HEADER_KEY: told}))


def load_sidecar(path: Path, kind: str, model_hash: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the header that `save_sidecar` wrote for this model.

    What the tensors and the header's further entries have to be, their reader checks.

    Raises:
        BadModel: missing, damaged, of another kind or a later format, or made for another model.
    """
    if not path.is_file():
        raise BadModel(f"{path} does not exist; expected a file of kind {kind!r}.")
    try:
        with safe_open(path, "pt", device="cpu") as opened:
            header = _header(path, opened.metadata())
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BadModel(f"{path} can't be read as safetensors ({error}). Is it whole?") from None
    if header["kind"] != kind:
        raise BadModel(f"{path} is of kind {str(header['kind'])[:40]!r}; expected {kind!r}.")
    if header["format"] != SIDECAR_FORMAT:
        raise BadModel(
            f"{path} has format {header['format']!r}; this version reads {SIDECAR_FORMAT}. Update facesmith."
        )
    if header["model"] != model_hash:
        raise BadModel(
            f"{path} was made for another model (hash {header['model'][:12]}) than this one ({model_hash[:12]}). "
            + HOW_TO_MAKE.get(kind, "")
        )
    if not all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point()):
        raise BadModel(f"{path} holds numbers that are not finite.")
    return tensors, header


def _header(path: Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        header = json.loads((metadata or {})[HEADER_KEY])
        # bool counts as int in Python, but is no format.
        if not (isinstance(header["kind"], str) and isinstance(header["model"], str) and type(header["format"]) is int):
            raise TypeError
    except (KeyError, ValueError, TypeError, RecursionError):
        raise BadModel(f"{path} is no file that facesmith wrote beside a model: its header is damaged.") from None
    return dict(header)

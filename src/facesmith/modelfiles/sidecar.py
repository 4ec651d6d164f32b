"""Small files that belong to one model: directions, an inversion encoder, latents.

Like a model file, each is safetensors with a JSON header. The header contains the sha256 of the model, because a
latent or direction of one generator has no meaning for another. Nothing in the file is executed.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from facesmith.errors import BadModel
from facesmith.io.file_kinds import HEAD_BYTES, kind_of_content
from facesmith.io.files import atomic_write, open_regular_file, refuse_lfs_pointer
from facesmith.io.json_files import as_schema, parse_json
from facesmith.io.messages import one_line, shorten
from facesmith.modelfiles.run_folder import MODEL

SIDECAR_FORMAT = 1
GIVE_MODEL = "Give a model.safetensors that facesmith train wrote, or its run folder."
SAFETENSORS_LENGTH_BYTES = 8  # the length of the JSON that follows
HEADER_KEY = "facesmith"  # the whole header is one metadata entry, because safetensors writes several in no fixed order
RESERVED_ENTRIES = ("format", "kind", "model")  # header entries that `save_sidecar` fills
HOW_TO_MAKE = {
    "directions": "Make directions for this model: facesmith directions --model MODEL --data LABELED_FACES",
    "attributes": "Make one for this model: facesmith directions --model MODEL --data LABELED_FACES",
    "inversion": "Make one for this model: facesmith train-inverter --model MODEL --data FACES",
    "latent": "Make one for this model: facesmith invert --model MODEL PHOTO",
}


class SidecarHeader(TypedDict):
    """The entries that every sidecar's header has; each kind adds its own."""

    format: int
    kind: str
    model: str


def sidecar_path(model_file: Path, kind: str) -> Path:
    """The path of a model's sidecar, which is in the same folder.

    For `model.safetensors` it is `directions.safetensors`. For other names, such as `best.safetensors`, it is
    `best.directions.safetensors`, so that several models can share a folder.
    """
    name = f"{kind}.safetensors" if model_file.name == MODEL else f"{model_file.stem}.{kind}.safetensors"
    return model_file.with_name(name)


@contextmanager
def open_tensors(file: Path, framework: str = "pt", device: str = "cpu") -> Iterator[Any]:
    """Open a safetensors file, whatever its name: safetensors itself opens only names that are valid UTF-8.

    Tensors on the CPU are mapped to the file, so they change with it, and Windows can't replace it: clone them.

    Raises:
        BadModel: the file is damaged or can't be read.
    """
    try:
        with open_regular_file(file) as stream:
            is_utf8 = str(file).encode("utf-8", "replace") == os.fsencode(file)
            path = str(file) if is_utf8 else f"/dev/fd/{stream.fileno()}"
            with safe_open(path, framework, device=device) as opened:
                yield opened
    except (SafetensorError, OSError) as error:
        if isinstance(error, SafetensorError) and _is_pytorch_file(file):
            if _is_plain_zip(file):
                raise BadModel(
                    f"{file} is a zip, not a model. If a model.safetensors is in it, unpack the zip and give that file."
                ) from None
            raise BadModel(
                f"{file} is a PyTorch file, which may contain code, so it is not opened as a model. {GIVE_MODEL}"
            ) from None
        if isinstance(error, SafetensorError) and _head(file)[SAFETENSORS_LENGTH_BYTES:][:1] not in b"{":
            raise BadModel(
                f"{file} is not a safetensors file{_kind(file)}. "
                "Expected a file that Facesmith wrote, such as the model.safetensors in a run folder."
            ) from None
        raise BadModel(
            f"{file} can't be read as safetensors ({one_line(str(error), 200)}). Is the file complete?"
        ) from None


def _is_pytorch_file(file: Path) -> bool:
    """Whether a file starts as those of torch.save do: as a zip or as a pickle."""
    return _head(file).startswith((b"PK\3\4", b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5"))


def _is_plain_zip(file: Path) -> bool:
    """Whether a file is a zip that torch.save did not write. Those of torch.save have an entry data.pkl."""
    try:
        with zipfile.ZipFile(file) as archive:
            return not any(name.endswith("data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return False


def _kind(file: Path) -> str:
    kind = kind_of_content(_head(file)).name
    return f", but {kind}" if kind else ""


def _head(file: Path) -> bytes:
    with open(file, "rb") as stream:
        return stream.read(HEAD_BYTES)


def save_sidecar(
    path: Path, kind: str, tensors: Mapping[str, Tensor], header: Mapping[str, Any], model_hash: str
) -> None:
    """Write tensors and a header for the model with this sha256. Equal content gives equal bytes.

    Args:
        kind: the kind of file; `load_sidecar` checks it.
        header: values that JSON can store.
    """
    assert not set(RESERVED_ENTRIES) & set(header), "save_sidecar fills these entries"
    entries = {**header, "format": SIDECAR_FORMAT, "kind": kind, "model": model_hash}
    header_json = json.dumps(entries, sort_keys=True, allow_nan=False)
    on_cpu = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    with atomic_write(path, durable=True) as stream:
        stream.write(save(on_cpu, {HEADER_KEY: header_json}))


def load_sidecar(path: Path, kind: str, model_hash: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors (on the CPU) and the header that `save_sidecar` wrote for this model.

    The caller checks the tensors' shapes and the other header entries.

    Raises:
        BadModel: the file is missing, damaged, of another kind, of a later format or for another model.
    """
    if not path.is_file():
        problem = "is not a regular file" if path.exists() else "does not exist"
        raise BadModel(f"{path} {problem}; expected a file of kind {kind!r}.")
    refuse_lfs_pointer(path)
    with open_tensors(path) as opened:
        header = _header(path, opened.metadata())
        tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118
    if header["kind"] != kind:
        raise BadModel(f"{path} is of kind {str(header['kind'])[:40]!r}; expected {kind!r}.")
    if header["format"] != SIDECAR_FORMAT:
        found = shorten(repr(header["format"]), 40)
        raise BadModel(f"{path} has format {found}; this version reads {SIDECAR_FORMAT}. Update facesmith.")
    if header["model"] != model_hash:
        raise BadModel(
            f"{path} was made for another model (hash {header['model'][:12]}) than this one ({model_hash[:12]}). "
            + HOW_TO_MAKE.get(kind, "")
        )
    if not all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point()):
        raise BadModel(f"{path} contains numbers that are not finite.")
    return tensors, header


def _header(path: Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        header: dict[str, Any] = parse_json((metadata or {})[HEADER_KEY])
        as_schema(header, SidecarHeader)
    except KeyError:
        raise BadModel(f"{path} was not written by Facesmith: it has no header.") from None
    except ValueError as error:
        reason = one_line(str(error), 200)
        raise BadModel(f"{path} was not written by Facesmith, or its header is damaged: {reason}.") from None
    return header

"""The two files of a training run: `state.pt`, from which it resumes, and `model.safetensors`, the averaged networks.

Neither can run code. `state.pt` is read as tensors and plain values only. `model.safetensors` has a JSON header that
is checked against the recipe's networks before any tensor is used.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import torch
from msgspec import Meta
from safetensors.torch import save
from torch import nn

from facesmith.errors import BadModel, FacesmithError
from facesmith.gan.recipe import Recipe, make_recipe
from facesmith.io.files import atomic_write, refuse_lfs_pointer, sha256
from facesmith.io.json_files import as_schema, parse_json
from facesmith.io.memory import require_memory
from facesmith.io.messages import one_line, shorten
from facesmith.modelfiles.locate import model_file
from facesmith.modelfiles.run_folder import NETWORKS, SNAPSHOTS, ways_on
from facesmith.modelfiles.sidecar import GIVE_MODEL, HEADER_KEY, open_tensors

MODEL_FORMAT = 1
Count = Annotated[int, Meta(ge=0)]
ShortText = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
TensorSpec = tuple[tuple[int, ...], str]  # a tensor's shape and its dtype as safetensors names it
DTYPES = {torch.float32: "F32", torch.int64: "I64"}
MAX_READS = 3  # of a file that changes while it is read
READING_COPIES = 2.5  # of a file's tensors, while it is read and checked
# torch.load raises any of these on a damaged file.
LOAD_ERRORS = (
    *(OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    NotImplementedError,
)


class ModelHeader(TypedDict):
    """The header of a model file. Only a run adds the entries that are not required.

    Attributes:
        seen: real images shown.
        seed, mirror: of the training.
        fingerprint: a hash of the pixels of the faces.
        split: described by `split.describe`.
        alignment: a framing as plain values, or None if it is unknown.
        version: of Facesmith.
        finetuned_from: sha256 of the model that was fine-tuned.
    """

    format: int
    recipe: ShortText
    hyperparameters: dict[str, Any]
    seen: NotRequired[Count]
    seed: NotRequired[Count]
    mirror: NotRequired[bool]
    fingerprint: NotRequired[ShortText]
    split: NotRequired[dict[str, Any]]
    alignment: NotRequired[dict[str, Any] | None]
    version: NotRequired[ShortText]
    finetuned_from: NotRequired[ShortText]


@dataclass
class LoadedModel:
    """A model that was read from a file and checked.

    Attributes:
        nets: the averaged networks in evaluation mode; "G" is one of them.
        header: recipe, hyperparameters, images seen, data fingerprint and split, alignment.
        hash: sha256 of the file.
    """

    path: Path
    recipe: Recipe
    nets: nn.ModuleDict
    header: dict[str, Any]
    hash: str


def save_model(path: Path, nets: Mapping[str, nn.Module], header: Mapping[str, Any]) -> None:
    """Write networks with a header. The same training gives the same bytes, because nothing depends on the time."""
    tensors = {
        f"{name}.{key}": t.detach().cpu().contiguous()
        for name, net in nets.items()
        for key, t in sorted(net.state_dict().items())
    }
    assert all(t.dtype in DTYPES for t in tensors.values()), "load_model accepts these dtypes only"
    with atomic_write(path, durable=True) as stream:
        stream.write(save(tensors, {HEADER_KEY: json.dumps({"format": MODEL_FORMAT, **header}, sort_keys=True)}))


def read_header(path: Path | None) -> dict[str, Any]:
    """Read the header of a model (`locate.model_file`) without its tensors.

    Raises:
        BadModel: the file is missing, damaged, not ours or of a later format.
    """
    file = model_file(path)
    with open_tensors(file) as opened:
        return _header(file, opened.metadata())


def load_model(path: Path | None, device: str = "cpu") -> LoadedModel:
    """Read and check a model (`locate.model_file`). Nothing in the file is executed.

    Raises:
        BadModel: the file is missing, damaged, not ours, of a later format, or does not match its recipe.
    """
    return _load(model_file(path), device, of_training=False)


def load_networks(file: Path) -> LoadedModel:
    """Read and check all networks of a training, with their current weights, as `--snapshots` keeps them.

    Raises:
        BadModel: as `load_model`.
    """
    return _load(file, "cpu", of_training=True)


def _load(file: Path, device: str, *, of_training: bool) -> LoadedModel:
    """Read the averaged networks of a model file, or all networks of a training; again if the file changes meanwhile.

    So the hash is that of the bytes with the weights.
    """
    _require_memory(file)
    for _ in range(MAX_READS):
        before = _file_version(file)
        loaded = _read(file, device, of_training=of_training)
        if _file_version(file) == before:
            return loaded
    raise BadModel(f"{file} changed each time it was read. Try again when no other program writes to it.")


def _file_version(file: Path) -> tuple[int, int, int]:
    """Values that differ after a file is replaced or changed."""
    status = file.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _read(file: Path, device: str, *, of_training: bool) -> LoadedModel:
    with open_tensors(file, device=device) as opened:
        header = _header(file, opened.metadata())
        slices = {key: opened.get_slice(key) for key in opened.keys()}  # noqa: SIM118
        specs = {key: (tuple(part.get_shape()), part.get_dtype()) for key, part in slices.items()}
        recipe, nets = _empty_networks(file, header, specs, of_training=of_training)
        tensors = {key: opened.get_tensor(key).clone() for key in specs}
    if not all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point()):
        raise BadModel(f"{file} contains weights that are not finite, so it can't draw faces.")
    try:
        nets.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise BadModel(f"{file} does not fit its recipe {recipe.name} ({str(error)[:200]}).") from None
    # The same memory format as in training: another one rounds differently, which changes pixels slightly.
    nets.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return LoadedModel(file, recipe, nets, header, sha256(file))


def _header(file: Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        header: dict[str, Any] = parse_json((metadata or {})[HEADER_KEY])
        as_schema(header, ModelHeader)
    except KeyError:
        raise BadModel(f"{file} is not a Facesmith model: it has no header. {GIVE_MODEL}") from None
    except ValueError as error:
        reason = one_line(str(error), 200)
        raise BadModel(f"{file} is not a Facesmith model, or its header is damaged: {reason}.") from None
    if header["format"] != MODEL_FORMAT:
        raise BadModel(f"{file} has format {header['format']}; this version reads {MODEL_FORMAT}. Update facesmith.")
    return header


def _empty_networks(
    file: Path, header: Mapping[str, Any], specs: Mapping[str, TensorSpec], *, of_training: bool
) -> tuple[Recipe, nn.ModuleDict]:
    """Build the recipe's averaged networks, or all of them, on the meta device; compare them with the file's tensors.

    The meta device allocates nothing, so a forged header can't make us allocate more memory than the file needs.
    """
    try:
        recipe = make_recipe(header["recipe"], header["hyperparameters"])
    except FacesmithError as error:
        raise BadModel(f"{file} has a recipe that this version can't build: {error}") from None
    with torch.device("meta"):
        networks = recipe.networks()
    nets = nn.ModuleDict(networks if of_training else {name: networks[name] for name in recipe.averaged})
    expected = {key: (tuple(t.shape), DTYPES.get(t.dtype, "")) for key, t in nets.state_dict().items()}
    if expected != dict(specs):
        if file.parent.name == NETWORKS and (model := file.parent.parent / SNAPSHOTS / file.name).is_file():
            raise BadModel(f"{file} contains the networks of a training run, not a model. Give the model: {model}")
        name, _ = sorted(set(expected.items()) ^ set(specs.items()))[0]
        raise BadModel(
            f"{file} does not fit its recipe {recipe.name}: {shorten(name)} differs ({len(specs)} tensors found)."
        )
    return recipe, nets


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values. The previous file stays in place until the new one is complete."""
    with atomic_write(path, durable=True) as stream:
        try:
            torch.save(dict(state), stream)
        except RuntimeError as error:  # torch.save fails once more while it closes a file that can't be written
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_state(path: Path) -> dict[str, Any]:
    """Read a file that `save_state` wrote. Only tensors and plain values are accepted.

    Raises:
        BadModel: the file is damaged or contains anything else.
    """
    if path.exists() and not path.is_file():
        raise BadModel(f"{path} is not a file. Remove it. {ways_on(path.parent)}")
    try:
        refuse_lfs_pointer(path, is_model=False)
        _check_archive(path)
        _require_memory(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except LOAD_ERRORS:
        raise BadModel(f"{path} is damaged, or contains more than tensors and values. {ways_on(path.parent)}") from None
    if not isinstance(state, dict) or state.get("format") != MODEL_FORMAT:
        raise BadModel(f"{path} is not a state of this version. Start over with --force, or update facesmith.")
    return state


def _require_memory(file: Path) -> None:
    """Raise BadOption if reading a file of tensors needs more memory than is free."""
    require_memory(READING_COPIES * file.stat().st_size, f"Opening {file}", "Free some memory.")


def _check_archive(path: Path) -> None:
    """Raise ValueError if a zip that torch.load reads would need more memory than the file's size.

    torch.save never compresses, so a compressed entry, or the same bytes in several entries, is an attack.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("compressed entries")
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise ValueError("entries larger than the file")

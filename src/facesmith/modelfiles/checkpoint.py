"""The two files of a training: `state.pt`, all that resuming needs, and `model.safetensors`, the averaged networks.

Neither can run code: the first is read as tensors and plain values only, the second is safetensors, whose header is
checked against the recipe's own networks before any of it is used.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from facesmith.errors import BadModel, FacesmithError
from facesmith.gan.recipe import Recipe, make_recipe
from facesmith.io.files import atomic_write, sha256
from facesmith.modelfiles.locate import model_file
from facesmith.modelfiles.run_folder import MODEL as MODEL
from facesmith.modelfiles.sidecar import HEADER_KEY

MODEL_FORMAT = 1
Form = tuple[tuple[int, ...], str]  # a tensor's shape and its type in safetensors' words
DTYPES = {torch.float32: "F32", torch.int64: "I64"}


@dataclass
class LoadedModel:
    """A model file, opened and checked.

    Attributes:
        nets: the averaged networks in evaluation mode, "G" among them.
        header: recipe, values, images seen, data fingerprint and split, alignment.
        hash: sha256 of the file.
    """

    path: Path
    recipe: Recipe
    nets: nn.ModuleDict
    header: dict[str, Any]
    hash: str


def save_model(path: Path, nets: Mapping[str, nn.Module], header: Mapping[str, Any]) -> None:
    """Write networks with their header; the same training gives the same bytes (no time stands in it)."""
    tensors = {f"{name}.{key}": t.detach().cpu().contiguous() for name, net in nets.items() for key, t in _tensors(net)}
    assert all(t.dtype in DTYPES for t in tensors.values()), "a model file holds these types only"
    with atomic_write(path, durable=True) as stream:
        stream.write(save(tensors, {HEADER_KEY: json.dumps({"format": MODEL_FORMAT, **header}, sort_keys=True)}))


def _tensors(net: nn.Module) -> list[tuple[str, Tensor]]:
    return sorted(net.state_dict().items())


def read_header(path: Path | None) -> dict[str, Any]:
    """What the model that a path stands for tells of itself; no tensor is read.

    Raises:
        BadModel: none there, damaged, not one of ours, or of a later format.
    """
    file = model_file(path)
    try:
        with safe_open(file, "pt") as opened:
            return _header(file, opened.metadata())
    except (SafetensorError, OSError) as error:
        raise _unreadable(file, error) from None


def load_model(path: Path | None, device: str = "cpu") -> LoadedModel:
    """Open what a path stands for (`locate.model_file`); nothing in it is executed.

    Raises:
        BadModel: none there, damaged, not one of ours, of a later format, or its tensors are not those of its recipe.
    """
    file = model_file(path)
    try:
        with safe_open(file, "pt", device=device) as opened:
            header = _header(file, opened.metadata())
            slices = {key: opened.get_slice(key) for key in opened.keys()}  # noqa: SIM118
            forms = {key: (tuple(part.get_shape()), part.get_dtype()) for key, part in slices.items()}
            recipe, nets = _empty_networks(file, header, forms)
            tensors = {key: opened.get_tensor(key) for key in forms}
    except (SafetensorError, OSError) as error:
        raise _unreadable(file, error) from None
    if not all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point()):
        raise BadModel(f"{file} holds numbers that are not finite; it can't draw faces.")
    try:
        nets.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise BadModel(f"{file} does not fit its recipe {recipe.name} ({str(error)[:200]}).") from None
    # In the memory order of training: another one rounds otherwise, and draws slightly other pictures.
    nets.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return LoadedModel(file, recipe, nets, header, sha256(file))


def _unreadable(file: Path, error: Exception) -> BadModel:
    return BadModel(f"{file} can't be read as safetensors ({error}). Is it whole?")


def _header(file: Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    try:
        header = json.loads((metadata or {})[HEADER_KEY])
        if not (isinstance(header["recipe"], str) and isinstance(header["hyperparameters"], dict)):
            raise TypeError
    except (KeyError, ValueError, TypeError, RecursionError):
        raise BadModel(f"{file} is no Facesmith model: its header is missing or damaged.") from None
    if header.get("format") != MODEL_FORMAT:
        raise BadModel(
            f"{file} has format {header.get('format')!r}; this version reads {MODEL_FORMAT}. Update facesmith."
        )
    return dict(header)


def _empty_networks(file: Path, header: Mapping[str, Any], forms: Mapping[str, Form]) -> tuple[Recipe, nn.ModuleDict]:
    """The recipe's averaged networks without memory, so that a header can't claim more than its file holds."""
    try:
        recipe = make_recipe(header["recipe"], header["hyperparameters"])
    except FacesmithError as error:
        raise BadModel(f"{file} names a recipe that this version can't build: {error}") from None
    with torch.device("meta"):
        networks = recipe.networks()
    nets = nn.ModuleDict({name: networks[name] for name in recipe.averaged})
    expected = {key: (tuple(t.shape), DTYPES.get(t.dtype, "")) for key, t in nets.state_dict().items()}
    if expected != dict(forms):
        wrong = sorted(set(expected.items()) ^ set(forms.items()))[0]
        raise BadModel(
            f"{file} does not fit its recipe {recipe.name}: {wrong[0]} differs ({len(forms)} tensors found)."
        )
    return recipe, nets


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values, so that the file is whole or is the one before."""
    with atomic_write(path, durable=True) as stream:
        torch.save(dict(state), stream)


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote; only tensors and plain values are accepted.

    Raises:
        BadModel: damaged, or it holds anything else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        pickle.UnpicklingError,
    ):
        raise BadModel(f"{path} is damaged, or holds more than numbers. Start over with --force.") from None
    if not isinstance(state, dict) or state.get("format") != MODEL_FORMAT:
        raise BadModel(f"{path} is no training state of this version. Start over with --force, or update facesmith.")
    return state

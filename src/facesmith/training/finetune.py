"""Where a training begins that does not begin from nothing: the networks of a model, and a run's critic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facesmith.errors import BadData, BadModel, BadOption
from facesmith.gan.recipe import Recipe
from facesmith.modelfiles.checkpoint import LoadedModel, load_model, load_state
from facesmith.modelfiles.run_folder import MODEL, STATE
from facesmith.modelfiles.sidecar import load_sidecar, save_sidecar, sidecar_path
from facesmith.training.trainer import TrainState, set_label_shares

# Of the budget, in which the generator's learning rate rises from 0 where the critic begins from nothing: what a new
# critic says at first would undo what the generator knows.
WARMUP = 0.05
FEW_FACES = 1000  # to train on; with fewer a model goes on by its recipe's values for few faces
DISCRIMINATOR = (
    "discriminator"  # the sidecar of a model file that has left its run, with the networks that only training needs
)


@dataclass(frozen=True)
class Start:
    """A model to begin from.

    Attributes:
        weights: by network: those of the model, and all others of its run or beside it.
    """

    model: LoadedModel
    weights: dict[str, dict[str, Tensor]]

    @property
    def warmup(self) -> float:
        """As in `TrainState`: none where all networks that learn come along."""
        learning = {net for player in self.model.recipe.players().values() for net in player.nets}
        return 0.0 if learning <= set(self.weights) else WARMUP


def open_start(path: Path, recipe: str | None) -> Start:
    """Open a model file with the critic beside it, or a run folder: its model, and all other networks as trained last.

    Args:
        recipe: the name asked for, or None for the model's own.

    Raises:
        BadModel: it is none of ours, or damaged.
        BadOption: it was trained by another recipe.
    """
    model = load_model(path)
    if recipe is not None and recipe != model.recipe.name:
        raise BadOption(
            f"--from {path} was trained by {model.recipe.name}, not {recipe}: their networks differ. "
            f"Leave the recipe out, or ask for {model.recipe.name}."
        )
    weights = {name: net.state_dict() for name, net in model.nets.items()}
    for key, tensor in _others(model).items():
        net, _, rest = key.partition(".")
        weights.setdefault(net, {})[rest] = tensor
    return Start(model, weights)


def save_discriminator(run: Path, model_file: Path) -> Path:
    """Put the networks of a run that its model doesn't hold beside a copy of the model, to begin from.

    Raises:
        BadModel: the copy is of another model than the run's.
    """
    model, copy = load_model(run), load_model(model_file)
    if model.hash != copy.hash:
        raise BadModel(f"{model_file} is another model (hash {copy.hash[:12]}) than that of {run} ({model.hash[:12]}).")
    path = sidecar_path(model_file, DISCRIMINATOR)
    save_sidecar(path, DISCRIMINATOR, _others(model), {}, copy.hash)
    return path


def _others(model: LoadedModel) -> dict[str, Tensor]:
    """What a training's networks hold beyond its model, named as in its state; nothing where it is lost."""
    state = model.path.parent / STATE  # where it is the model of a run
    if model.path.name == MODEL and state.is_file():
        nets = load_state(state)["nets"]
    elif (beside := sidecar_path(model.path, DISCRIMINATOR)).is_file():
        nets, _ = load_sidecar(beside, DISCRIMINATOR, model.hash)
    else:
        return {}
    return {key: tensor for key, tensor in nets.items() if key.partition(".")[0] not in model.nets}


def for_few_faces(recipe: Recipe, faces: int, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a model's recipe had better have to go on with so many faces; none where they are many.

    Values that were asked for stand, and those of a model that was not trained by the recipe's own.

    Args:
        asked: values asked for.
    """
    if faces >= FEW_FACES:
        return {}
    usual, own = type(recipe)().hyperparameters(), recipe.hyperparameters()
    return {name: held for name, held in recipe.few_faces.items() if name not in asked and own[name] == usual[name]}


def check_fits(start: Start, recipe: Recipe) -> None:
    """Raise BadData where the recipe's values make networks of another shape."""
    with torch.device("meta"):
        networks = recipe.networks()
    for name, weights in start.weights.items():
        wanted = {key: tensor.shape for key, tensor in networks[name].state_dict().items()} if name in networks else {}
        found = {key: tensor.shape for key, tensor in weights.items()}
        if found != wanted:
            raise BadData(
                f"The values asked for make a network {name} of another shape than that of {start.model.path}. "
                "Leave out the values that alter its shape."
            )


def begin(state: TrainState, start: Start) -> None:
    """Put a start that fits into a training that has not begun; in place."""
    for name, weights in start.weights.items():
        state.nets[name].load_state_dict(weights)
        if name in state.averages:
            state.averages[name].load_state_dict(weights)
    set_label_shares(state)  # of the faces that it is to learn now

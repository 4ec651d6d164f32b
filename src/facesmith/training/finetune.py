"""Fine-tuning: start a run from the networks of a model instead of random weights."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facesmith.errors import BadData, BadModel, BadOption, FacesmithError
from facesmith.gan.recipe import Recipe, make_recipe
from facesmith.modelfiles.checkpoint import LoadedModel, load_model, load_networks, load_state, read_header
from facesmith.modelfiles.locate import BUNDLED, bundled_model, models_near
from facesmith.modelfiles.run_folder import MODEL, NETWORKS, SNAPSHOTS, STATE
from facesmith.modelfiles.sidecar import load_sidecar, save_sidecar, sidecar_path
from facesmith.training.state import TrainState, set_label_shares

# Fraction of the budget over which the generator's learning rate is warmed up if the discriminator starts from scratch.
# An untrained discriminator would otherwise destroy what the generator has learned.
WARMUP = 0.05
DISCRIMINATOR = "discriminator"  # the sidecar with the networks that only training needs


@dataclass(frozen=True)
class PretrainedModel:
    """A model to fine-tune.

    Attributes:
        weights: state dicts by network, the discriminator included if its run or its sidecar has it.
    """

    model: LoadedModel
    weights: dict[str, dict[str, Tensor]]

    @property
    def warmup(self) -> float:
        """Fraction of the budget for the warm-up of G: 0 if the discriminator has weights, too, else WARMUP."""
        trained = {net for player in self.model.recipe.players().values() for net in player.nets}
        return 0.0 if trained <= set(self.weights) else WARMUP

    def plan_entry(self, path: Path | None) -> dict[str, Any]:
        """The entry `finetuned_from` of a plan."""
        return {"model": str(path), "hash": self.model.hash, "warmup": self.warmup}


def open_pretrained(path: Path, recipe: str | None) -> PretrainedModel:
    """Open a run folder, or a model file with its discriminator sidecar.

    Args:
        recipe: the requested recipe, or None for that of the model.

    Raises:
        BadModel: the model is damaged or not one of Facesmith's.
        BadOption: it was trained by another recipe.
    """
    model = load_model(path)
    if recipe is not None and recipe != model.recipe.name:
        raise BadOption(
            f"--from {path} was trained by {model.recipe.name}, not {recipe}, so their networks differ. "
            f"Leave out the recipe, or request {model.recipe.name}.{_fitting_model(path, recipe)}"
        )
    weights = {name: net.state_dict() for name, net in model.nets.items()}
    for key, tensor in _other_networks(model).items():
        net, _, rest = key.partition(".")
        weights.setdefault(net, {})[rest] = tensor
    return PretrainedModel(model, weights)


def save_discriminator(run: Path, model_file: Path) -> Path:
    """Save the discriminator of a run as a sidecar of a copy of its model, so that the copy can be fine-tuned.

    Raises:
        BadModel: the copy is another model than the run's.
    """
    model, copy = load_model(run), load_model(model_file)
    if model.hash != copy.hash:
        raise BadModel(
            f"{model_file} (hash {copy.hash[:12]}) is not the model of {run} (hash {model.hash[:12]}). "
            "Copy the run's model first."
        )
    path = sidecar_path(model_file, DISCRIMINATOR)
    save_sidecar(path, DISCRIMINATOR, _other_networks(model), {}, copy.hash)
    return path


def check_same_shapes(pretrained: PretrainedModel, recipe: Recipe) -> None:
    """Raise BadData if the recipe's hyperparameters give networks of other shapes than the model's."""
    with torch.device("meta"):
        networks = recipe.networks()
    for name, weights in pretrained.weights.items():
        network = networks[name].state_dict() if name in networks else {}
        expected = {key: tensor.shape for key, tensor in network.items()}
        if {key: tensor.shape for key, tensor in weights.items()} != expected:
            raise BadData(
                f"With these hyperparameters network {name} has other shapes than in {pretrained.model.path}. "
                "Leave out the hyperparameters that change its size."
                f"{_fitting_model(pretrained.model.path.parent, recipe.name, recipe)}"
            )


def _fitting_model(path: Path, name: str, recipe: Recipe | None = None) -> str:
    """A sentence that names a model beside this one that can be fine-tuned instead; empty if there is none.

    Args:
        name: of its recipe.
        recipe: its networks must have the shapes of this recipe's.
    """
    for file in [*models_near(path), *models_near(path.parent), bundled_model()]:
        with suppress(FacesmithError, OSError):
            header = read_header(file)
            if header["recipe"] != name:
                continue
            own = make_recipe(name, header["hyperparameters"])
            if recipe is None or shapes(own) == shapes(recipe):
                where = BUNDLED if file == bundled_model() else file.parent
                return f" This model fits: --from {where}."
    return ""


def shapes(recipe: Recipe) -> dict[str, Any]:
    """The shapes of all weights of a recipe's networks, which are not allocated."""
    with torch.device("meta"):
        networks = recipe.networks()
    return {f"{net}.{key}": t.shape for net, network in networks.items() for key, t in network.state_dict().items()}


def load_pretrained(state: TrainState, pretrained: PretrainedModel) -> None:
    """Load the model's weights into a run at step 0; in place."""
    for name, weights in pretrained.weights.items():
        state.nets[name].load_state_dict(weights)
        if name in state.averages:
            state.averages[name].load_state_dict(weights)
    set_label_shares(state)  # those of the new faces


def _other_networks(model: LoadedModel) -> dict[str, Tensor]:
    """The tensors of the networks that a model file lacks; empty if there are none.

    For a run they are in `state.pt`, for a snapshot in the file of its name in `networks`, otherwise in the sidecar.
    """
    state, of_snapshot = model.path.parent / STATE, model.path.parent.parent / NETWORKS / model.path.name
    if model.path.name == MODEL and state.is_file():
        networks = load_state(state)["nets"]
    elif model.path.parent.name == SNAPSHOTS and of_snapshot.is_file():
        loaded = load_networks(of_snapshot)
        networks = loaded.nets.state_dict() if loaded.header == model.header else {}
    elif (beside := sidecar_path(model.path, DISCRIMINATOR)).is_file():
        networks, _ = load_sidecar(beside, DISCRIMINATOR, model.hash)
    else:
        return {}
    return {key: tensor for key, tensor in networks.items() if key.partition(".")[0] not in model.nets}

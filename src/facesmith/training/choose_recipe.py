"""Which recipe a run uses: the requested one, that of a model to fine-tune, or the one of the run to resume."""

from __future__ import annotations

from pathlib import Path

from facesmith.attributes.dataset_labels import expand_classes
from facesmith.gan.recipe import DEFAULT_RECIPE, Recipe, condition_of, make_recipe
from facesmith.modelfiles.checkpoint import read_header
from facesmith.modelfiles.hub import is_address
from facesmith.modelfiles.locate import BUNDLED
from facesmith.modelfiles.run_folder import STATE
from facesmith.training.finetune import PretrainedModel, check_same_shapes, open_pretrained
from facesmith.training.plan import Plan, TrainOptions, stored_plan


def recipe_name(recipe: str | None, finetune_from: Path | None, out: Path, *, force: bool = False) -> str:
    """The name of the recipe that the options select; the command line needs it to parse `--set`.

    Args:
        out: the run folder. A run that it contains keeps its recipe, and no longer needs the pretrained model.

    Raises:
        BadModel: there is no such model, or the run's plan is damaged.
    """
    if recipe is not None:
        return recipe
    stored = stored_plan(out, force)
    if stored is not None and (finetune_from is None or stored.finetuned_from):
        return stored.recipe
    return DEFAULT_RECIPE if finetune_from is None else str(read_header(finetune_from)["recipe"])


def choose_recipe(options: TrainOptions, stored: Plan | None) -> tuple[Recipe, PretrainedModel | None]:
    """The recipe of a run, and the pretrained model whose weights it starts from, if any.

    Args:
        stored: the plan in the run folder; None for a new run.

    Raises:
        FacesmithError: the recipe, its hyperparameters or the model can't be used.
    """
    requested = dict(options.hyperparameters)
    if options.finetune_from is None:
        return make_recipe(options.recipe or DEFAULT_RECIPE, requested), None
    pretrained = None
    if not _has_weights_of_its_own(options, stored):
        pretrained = open_pretrained(options.finetune_from, options.recipe)
    if stored is not None and stored.finetuned_from and options.recipe in (None, stored.recipe):
        return make_recipe(stored.recipe, stored.hyperparameters | requested), pretrained
    if pretrained is None:  # another recipe than the stored one was requested; make_plan will refuse it
        return make_recipe(options.recipe or DEFAULT_RECIPE, requested), None
    if "condition" in requested:  # a column of classes stands for those that the model has
        requested["condition"] = expand_classes(requested["condition"], condition_of(pretrained.model.recipe))
    recipe = make_recipe(pretrained.model.recipe.name, pretrained.model.recipe.hyperparameters() | requested)
    check_same_shapes(pretrained, recipe)
    return recipe, pretrained


def _has_weights_of_its_own(options: TrainOptions, stored: Plan | None) -> bool:
    """Whether the run folder contains a state of this fine-tuning, so that the pretrained model may be gone.

    A run that was moved to another machine may name it by another path, at which there is nothing.
    """
    path = options.finetune_from
    if path is None or stored is None or not stored.finetuned_from or not (options.out / STATE).exists():
        return False
    return stored.finetuned_from.get("model") == str(path) or not (path.exists() or path == BUNDLED or is_address(path))

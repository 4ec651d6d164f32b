"""What a new run does by default, given the size and number of its faces: the resolution, and what to start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

from facesmith.detection.align import DEFAULT_FRAME, frame_from_header
from facesmith.errors import BadModel
from facesmith.gan.recipe import DEFAULT_RECIPE, Recipe, default_hyperparameters, find_recipe, make_recipe
from facesmith.modelfiles.checkpoint import read_header
from facesmith.modelfiles.locate import BUNDLED
from facesmith.training.finetune import PretrainedModel, shapes
from facesmith.training.plan import Plan, TrainOptions

FINETUNED_BY_DEFAULT = 7000  # with fewer faces, a run starts from the bundled generator
GENTLE = 1000  # with fewer training faces, fine-tuning uses the recipe's gentler hyperparameters
VERY_FEW = 200  # a recipe shows each of them hundreds of times in the default budget
SIMILAR_FRAME = 1.2  # largest ratio of the frames of two sets of faces, for which fine-tuning is worthwhile
FITTING_SHARE = 0.9  # of the faces must have at least a resolution, for it to be chosen


def complete_options(
    options: TrainOptions, stored: Plan | None, sides: Sequence[int], face_count: int, frame: float | None = None
) -> tuple[TrainOptions, str]:
    """The options, with the resolution that fits the faces, or with the bundled generator to start from.

    Nothing that was requested changes. A run that exists keeps what it began with.

    Args:
        sides: the smaller side of some of the faces, in pixels of their files.
        face_count: number of faces, with those for validation and test.
        frame: side of the faces in eye distances, if `facesmith extract` made them.

    Returns:
        a line for the user, too; empty if there is nothing to say.
    """
    if options.finetune_from is not None or options.as_in_text:
        return options, ""
    starts_from_bundled, line = _starts_from_bundled(options, stored, sides, face_count, frame)
    if starts_from_bundled:
        return replace(options, finetune_from=BUNDLED), line
    name = options.recipe or DEFAULT_RECIPE
    resolutions = find_recipe(name).resolutions
    if not resolutions or "resolution" in options.hyperparameters:
        return options, line
    fitting = [side for side in resolutions if _share_of_at_least(side, sides) >= FITTING_SHARE]
    resolution = max(fitting, default=min(resolutions))
    if stored is not None and stored.recipe == name:
        resolution = stored.hyperparameters.get("resolution", resolution)
    return replace(options, hyperparameters={**options.hyperparameters, "resolution": resolution}), line


def _starts_from_bundled(
    options: TrainOptions, stored: Plan | None, sides: Sequence[int], face_count: int, frame: float | None
) -> tuple[bool, str]:
    """Whether a run starts from the bundled generator although nobody requested it, and a line that says why."""
    if options.recipe is not None or options.from_scratch:
        return False, ""
    if stored is not None:
        return bool(stored.finetuned_from) and stored.finetuned_from["model"] == str(BUNDLED), ""
    if face_count >= FINETUNED_BY_DEFAULT:
        return False, ""
    try:
        bundled = read_header(BUNDLED)
    except BadModel:  # this installation has none
        return False, ""
    own = make_recipe(bundled["recipe"], bundled["hyperparameters"])
    few = f"{face_count} faces are fewer than {FINETUNED_BY_DEFAULT:,}"
    if shapes(make_recipe(own.name, own.hyperparameters() | dict(options.hyperparameters))) != shapes(own):
        return False, (
            f"{few}, but the requested hyperparameters do not fit the bundled generator, so training starts from "
            "scratch."
        )
    if _share_of_at_least(own.resolution, sides) < FITTING_SHARE:
        return False, (
            f"{few}, but smaller than {own.resolution}x{own.resolution} pixels, so training starts from scratch. To "
            f"fine-tune the bundled generator: facesmith extract PHOTOS --size {own.resolution}"
        )
    if frame is not None and not _are_similar(frame, DEFAULT_FRAME):
        return False, (
            f"{few}, but they have frame {frame:g} and the bundled generator {DEFAULT_FRAME:g}, so training starts "
            f"from scratch. To fine-tune it: facesmith extract PHOTOS --frame {DEFAULT_FRAME:g}"
        )
    return True, f"{few}, so this run fine-tunes the bundled generator. To train without it: --from-scratch"


def _share_of_at_least(side: int, sides: Sequence[int]) -> float:
    return sum(each >= side for each in sides) / len(sides) if sides else 0.0


def _are_similar(frame: float, other: float) -> bool:
    return 1 / SIMILAR_FRAME <= frame / other <= SIMILAR_FRAME


def _frame_of(pretrained: PretrainedModel, options: TrainOptions) -> float | None:
    """The frame of the faces that a model learned from; None if its header does not say."""
    if options.finetune_from == BUNDLED:
        return DEFAULT_FRAME
    return frame_from_header(pretrained.model.header.get("alignment"))


def adapt_to_few_faces(
    recipe: Recipe,
    pretrained: PretrainedModel,
    options: TrainOptions,
    face_count: int,
    frame: float | None,
    console: Console,
) -> Recipe:
    """The recipe for fine-tuning on this many training faces; prints what is used and what is changed.

    Args:
        frame: side of the faces in eye distances, if `facesmith extract` made them.
    """
    if "D" in pretrained.model.recipe.networks():
        which = "with its discriminator"
        if pretrained.warmup:
            which = "with a new discriminator; the generator's learning rate is warmed up"
        console.print(f"fine-tuning {options.finetune_from} {which}")
    model_frame = _frame_of(pretrained, options)
    if frame is not None and model_frame is not None and not _are_similar(frame, model_frame):
        console.print(
            f"notice: the faces have frame {frame:g} and those of the model {model_frame:g}, so fine-tuning gains "
            f"little. Better: facesmith extract PHOTOS --frame {model_frame:g}",
        )
    changes = _gentler_hyperparameters(recipe, face_count, options.hyperparameters)
    if not changes:
        return recipe
    settings = " ".join(f"{name}={number:g}" for name, number in changes.items())
    console.print(f"only {face_count} training faces; hyperparameters changed to limit overfitting: {settings}")
    return make_recipe(recipe.name, recipe.hyperparameters() | changes)


def few_faces_notice(face_count: int, *, fine_tuned: bool) -> str:
    """What training on this many faces leads to; empty if there are enough."""
    if face_count >= (VERY_FEW if fine_tuned else GENTLE):
        return ""
    search = "facesmith evaluate searches for copies."
    if fine_tuned:
        return (
            f"only {face_count} training faces: the model soon draws faces that resemble them closely. "
            f"Prefer a small budget (--minutes). {search}"
        )
    will = "will memorize them" if face_count < VERY_FEW else "is likely to memorize many of them"
    return (
        f"only {face_count} training faces: a model that is trained from scratch {will} and draw copies. "
        f"Give more faces, or fine-tune a model (--from). {search}"
    )


def _gentler_hyperparameters(recipe: Recipe, face_count: int, requested: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters to change when a model is fine-tuned on few faces; none if there are enough.

    Args:
        face_count: number of faces in the training split.
        requested: hyperparameters that the user set; these are left alone, as are those in which the model differs
            from the recipe's defaults.
    """
    if face_count >= GENTLE:
        return {}
    defaults, own = default_hyperparameters(recipe), recipe.hyperparameters()
    return {
        name: gentle
        for name, gentle in recipe.few_faces.items()
        if name not in requested and own[name] == defaults[name]
    }

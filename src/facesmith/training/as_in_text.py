"""`--as-in-text`: train as the tutorial does that a recipe reproduces."""

from __future__ import annotations

from dataclasses import replace

from facesmith.errors import BadOption
from facesmith.gan.recipe import DEFAULT_RECIPE, find_recipe, recipes
from facesmith.gan.text import PRECISION, Text
from facesmith.training.plan import TrainOptions, budget_request


def with_text(options: TrainOptions) -> TrainOptions:
    """The options, with those of the recipe's text if `as_in_text` is set.

    Requested hyperparameters, budgets, intervals and precisions take precedence over those of the text.

    Raises:
        BadOption: the recipe reproduces no text, or the run fine-tunes a model.
    """
    if not options.as_in_text:
        return options
    if options.finetune_from is not None:
        raise BadOption("--as-in-text trains from scratch, as all texts do. Leave it out, or leave out --from.")
    text = text_of(options.recipe or DEFAULT_RECIPE)
    return replace(
        options,
        hyperparameters={**text.hyperparameters, **options.hyperparameters},
        epochs=text.epochs if not budget_request(options) else options.epochs,
        mirror=False,
        average=False,
        hold_out=text.hold_out,
        images_every=options.images_every or text.images_every,
        precision=PRECISION if options.precision == "auto" else options.precision,
        keep_epochs=options.keep_epochs or text.keep_epochs,
    )


def text_of(recipe: str) -> Text:
    """The text that a recipe reproduces.

    Raises:
        BadOption: it reproduces none.
    """
    text = find_recipe(recipe).text
    if text is None:
        known = ", ".join(name for name, cls in recipes().items() if cls.text is not None)
        raise BadOption(f"Recipe {recipe} reproduces no tutorial, so it has no --as-in-text. Recipes that do: {known}.")
    return text


def save_interval(options: TrainOptions, epoch_images: int) -> int | None:
    """Images from one checkpoint to the next, as requested or as in the text; None if neither says."""
    if options.save_every_kimg:
        return max(1, round(options.save_every_kimg * 1000))
    if options.as_in_text and (epochs := text_of(options.recipe or DEFAULT_RECIPE).save_epochs):
        return round(epochs * epoch_images)
    return None

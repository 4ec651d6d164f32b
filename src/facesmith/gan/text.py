"""A tutorial that a recipe reproduces: what its code does differently from the recipe's defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

PRECISION = "float32"  # of all texts
NOT_AVAILABLE = "not available"
SAME = "the same function"
OPEN = "the text does not say"


@dataclass(frozen=True)
class Difference:
    """Something that the text does, or leaves open, and that the recipe does differently by default.

    Attributes:
        text: what the text does.
        here: what the recipe does.
        how: how to get the text's: an option, `NOT_AVAILABLE`, `SAME`, or `OPEN`.
    """

    text: str
    here: str
    how: str


@dataclass(frozen=True, kw_only=True)
class Text:
    """What `facesmith train --as-in-text` sets for a recipe.

    For every recipe, it also turns mirroring and averaging off and, unless a precision is requested, trains in float32.

    Attributes:
        title: of the tutorial.
        hyperparameters: those whose defaults differ from the text.
        epochs: the length of its training, as `Recipe.epoch_images` counts; None if the text gives none.
        hold_out: whether some faces stay out of training. It is True where the text shows faces that its model
            reconstructs, and where it does not say which ones.
        save_epochs: epochs from one checkpoint to the next; None for the usual interval.
        keep_epochs: the text keeps its networks after epochs 1, 1 + `keep_epochs`, ...; None if it keeps none.
        images_every: steps from one image in TensorBoard to the next; None if it draws none.
        differences: of this text alone. Those of all texts, such as mirroring, are not among them.
    """

    title: str
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    epochs: float | None = None
    hold_out: bool = False
    save_epochs: float | None = None
    keep_epochs: int | None = None
    images_every: int | None = None
    differences: tuple[Difference, ...] = ()

    def options(self) -> str:
        """The options of `facesmith train` that do the same as `--as-in-text`, but for the printed lines."""
        settings = [f"--set {name}={_plain(value)}" for name, value in self.hyperparameters.items()]
        numbers = {"epochs": self.epochs, "keep-epochs": self.keep_epochs, "images-every": self.images_every}
        numbered = [f"--{name} {number:g}" for name, number in numbers.items() if number is not None]
        hold_out = [] if self.hold_out else ["--no-hold-out"]
        return " ".join([*numbered, *settings, "--no-mirror", "--no-average", *hold_out, f"--precision {PRECISION}"])

    def described(self) -> Iterator[str]:
        """Lines for `facesmith recipes NAME`."""
        yield f'As in the text "{self.title}", by --as-in-text:'
        yield f"  {self.options()}"
        if self.save_epochs is not None:
            yield f"  a checkpoint every {self.save_epochs:g} epochs"
        yield "Differences from the text, and how to get what it does:"
        for difference in self.differences:
            yield f"  text  {difference.text}"
            yield f"  here  {difference.here}"
            yield f"  how   {difference.how}"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

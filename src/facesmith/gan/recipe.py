"""Recipes: the code that defines the networks, players, objective, turns and knobs of a run.

Most recipes reproduce a paper or a published tutorial. Every model file contains the name and the hyperparameters of
its recipe, which are plain values. Each file in `recipes/` adds one recipe; `recipes()` imports all of them. This is
the only registry of the package.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from facesmith.errors import BadOption
from facesmith.gan.contracts import Knobs, Objective, Player, Turn
from facesmith.gan.recipe_options import did_you_mean, option, options_of
from facesmith.gan.text import Text
from facesmith.io.attribute_options import condition_name
from facesmith.io.messages import shorten

DEFAULT_RECIPE = "quick"
LARGE = 128  # height and width in pixels from which `Recipe.large_images` applies
MAX_CONDITIONS = 12  # a model stores the frequency of each combination: 2 ** 12 numbers
CONSOLE_STEPS = 16  # whose terms `Recipe.console_lines` gets
R = TypeVar("R", bound="Recipe")


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """Hyperparameters, and the networks, players, objective, turns and knobs that follow from them.

    Attributes:
        name: set by the decorator `recipe`.
        source: the paper or tutorial that it reproduces.
        averaged: networks whose weights are averaged (EMA). The averages are what is saved and sampled.
        few_faces: hyperparameters for fine-tuning on a few hundred images, on which the defaults would overfit.
        resolutions: those that the recipe is tuned for. If none is requested, the largest that the faces have is used.
            Empty if the resolution does not depend on the faces.
        large_images: defaults for images of at least `LARGE` pixels that differ from those of smaller ones.
        text: the tutorial that it reproduces, if any.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    averaged: ClassVar[tuple[str, ...]] = ("G",)
    few_faces: ClassVar[Mapping[str, Any]] = {}
    resolutions: ClassVar[tuple[int, ...]] = ()
    large_images: ClassVar[Mapping[str, Any]] = {}
    text: ClassVar[Text | None] = None

    resolution: int = option(64, "height and width of the images in pixels", at_least=8, at_most=1024)
    channels: int = option(3, "3 for color, 1 for gray", at_least=1, at_most=3)
    batch_size: int = option(64, "images per batch", at_least=1, at_most=4096)

    def __post_init__(self) -> None:
        for name, declared in options_of(type(self)).items():
            declared.check(getattr(self, name))
        if self.channels == 2:
            raise BadOption(f"{self.name}: channels=2. Use 3 for color or 1 for gray.")

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """New, initialized networks by name. "G" is a `contracts.Generator`."""

    def parameter_counts(self) -> dict[str, int]:
        """The number of parameters of each network. Nothing is allocated."""
        with torch.device("meta"):
            networks = self.networks()
        return {name: sum(parameter.numel() for parameter in net.parameters()) for name, net in networks.items()}

    @abstractmethod
    def players(self) -> dict[str, Player]:
        """The players by name, each with the networks that it trains."""

    @abstractmethod
    def objective(self) -> Objective:
        """What the players minimize."""

    @abstractmethod
    def turns(self, step: int) -> tuple[Turn, ...]:
        """The turns of a step, counted from 0. Pretraining must end: some step has a turn of the phase "train"."""

    @abstractmethod
    def knobs(self, progress: float) -> Knobs:
        """The scheduled values at a progress of 0 to 1, the fraction of the budget that is used."""

    def representative_steps(self) -> Mapping[int, float]:
        """Representative steps for measuring the speed: step number -> fraction of all steps that cost the same.

        A recipe with an extra loss term in some steps returns one step with the term and one without it. A step number
        during pretraining stands for the first step after it.
        """
        return {0: 1.0}

    def epoch_images(self, face_count: int) -> int:
        """The number of real images that an epoch shows; by default each of the `face_count` training faces once."""
        return face_count

    def console_lines(
        self, step: int, recent: Sequence[Mapping[str, Tensor]], face_count: int, epochs: float
    ) -> Iterator[str]:
        """What the text of the recipe prints after a step, in its own words; by default nothing.

        Args:
            step: the step that has been done, counted from 0.
            recent: the scalar terms of the latest steps, at most `CONSOLE_STEPS`; the last ones are those of `step`.
            face_count: number of training faces.
            epochs: the budget.
        """
        yield from ()

    def hyperparameters(self) -> dict[str, Any]:
        """The hyperparameters as plain values, from which `make_recipe` builds an equal recipe."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Conditional(Recipe):
    """A recipe that can be conditional. `condition` names the attributes; labels have the same order."""

    condition: tuple[str, ...] = option((), "attributes to condition on, columns of the faces' label table")

    def __post_init__(self) -> None:
        super().__post_init__()
        names = self.condition
        if len(set(names)) < len(names) or not all(re.fullmatch(r"[^\sA-Z=,]+(=[^\sA-Z=,]+)?", name) for name in names):
            raise BadOption(
                f"{self.name}: condition={','.join(names)!r} is not a list of distinct attribute names in lower case."
            )
        if len(names) > MAX_CONDITIONS:
            raise BadOption(
                f"{self.name}: {len(names)} attributes to condition on; at most {MAX_CONDITIONS} work. Name "
                f"fewer, such as --condition {','.join(names[:2])}"
            )


def condition_of(recipe: Recipe) -> tuple[str, ...]:
    """The attributes that a recipe conditions on; empty if there are none."""
    return recipe.condition if isinstance(recipe, Conditional) else ()


def parse_condition(name: str, text: str) -> tuple[str, ...]:
    """Parse a text such as `smiling,male` into attribute names.

    Raises:
        BadOption: recipe `name` can't be conditional.
    """
    if not issubclass(find_recipe(name), Conditional):
        conditional = ", ".join(other for other, cls in recipes().items() if issubclass(cls, Conditional))
        raise BadOption(f"Recipe {name} takes no --condition. Recipes that do: {conditional}.")
    return tuple(condition_name(part) for part in text.split(",") if part.strip())


def periodic_steps(period: int) -> Mapping[int, float]:
    """`representative_steps` for an extra loss term in every n-th step, starting with step 0."""
    return {0: 1 / period, 1: 1 - 1 / period} if period > 1 else {0: 1.0}


def require_power_of_two(recipe: Recipe) -> None:
    """Raise BadOption unless the resolution is a power of two."""
    if recipe.resolution & (recipe.resolution - 1):
        raise BadOption(f"{recipe.name}: resolution={recipe.resolution} is not a power of two. Try 32, 64 or 128.")


_RECIPES: dict[str, type[Recipe]] = {}


def recipe(name: str) -> Callable[[type[R]], type[R]]:
    """Class decorator that registers a recipe under a name."""

    def register(cls: type[R]) -> type[R]:
        if name in _RECIPES:
            raise AssertionError(f"two recipes are called {name}")
        cls.name = name
        _RECIPES[name] = cls
        return cls

    return register


def recipes() -> Mapping[str, type[Recipe]]:
    """All recipes by name, sorted."""
    package = importlib.import_module("facesmith.recipes")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return types.MappingProxyType(dict(sorted(_RECIPES.items())))


def find_recipe(name: str) -> type[Recipe]:
    """The recipe of that name.

    Raises:
        BadOption: there is no such recipe.
    """
    known = recipes()
    if name not in known:
        raise BadOption(f"There is no recipe {shorten(repr(name))}{did_you_mean(name, known)} See: facesmith recipes")
    return known[name]


def make_recipe(name: str, values: Mapping[str, Any]) -> Recipe:
    """The recipe of that name, with these hyperparameters instead of its defaults for their resolution.

    Raises:
        BadOption: the recipe or a hyperparameter does not exist, or a value has the wrong type or is out of range.
    """
    cls = find_recipe(name)
    options = options_of(cls)
    for key in values:
        if key not in options:
            known = ", ".join(sorted(options))
            raise BadOption(
                f"Recipe {name} has no hyperparameter {shorten(repr(key))}{did_you_mean(key, options)} It has: {known}."
            )
    # JSON has no tuples; they come back as lists.
    plain: dict[str, Any] = {
        key: tuple(value) if options[key].is_tuple and isinstance(value, list) else value
        for key, value in values.items()
    }
    resolution = plain.get("resolution", options["resolution"].default)
    is_large = isinstance(resolution, int) and resolution >= LARGE
    return cls(**{**(cls.large_images if is_large else {}), **plain})


def default_hyperparameters(recipe: Recipe) -> dict[str, Any]:
    """The hyperparameters of the recipe's class if only the resolution is requested."""
    return make_recipe(recipe.name, {"resolution": recipe.resolution}).hyperparameters()


def parse_settings(name: str, settings: Iterable[str]) -> dict[str, Any]:
    """Hyperparameters from texts of the form name=value, each converted to its type.

    Unknown names are left to `make_recipe`.

    Raises:
        BadOption: a text has another form, or a value has the wrong type.
    """
    options = options_of(find_recipe(name))
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = (part.strip() for part in setting.partition("="))
        if not equals:
            raise BadOption(f"--set {setting!r} is not of the form name=value, such as --set batch_size=32.")
        values[key] = options[key].parse(text) if key in options else text
    return values

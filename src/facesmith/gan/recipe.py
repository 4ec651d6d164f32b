"""A recipe: all that makes one training what it is, as plain values that travel in every model file.

One file in `recipes/` adds a recipe; the folder is imported whole when one is asked for. This is the only registry.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

from torch import nn

from facesmith.errors import BadOption
from facesmith.gan.contracts import Knobs, Objective, Player, Turn
from facesmith.io.attribute_options import direction_name

DEFAULT_RECIPE = "quick64"  # where none is asked for
MAX_CONDITIONS = 12  # a generator keeps how often each combination of them occurs: 4,096 numbers
Number = int | float
R = TypeVar("R", bound="Recipe")


def option(default: Any, help: str, *, at_least: Number | None = None, at_most: Number | None = None) -> Any:
    """A recipe's value with what a person should know of it, and its bounds (of every part of a tuple)."""
    return field(default=default, metadata={"help": help, "at_least": at_least, "at_most": at_most})


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """Plain values, and the networks, players, objective and schedule that follow from them."""

    name: ClassVar[str]
    source: ClassVar[str]
    averaged: ClassVar[tuple[str, ...]] = ("G",)
    few_faces: ClassVar[Mapping[str, Any]] = {}  # what values are worth where a model goes on with a few hundred faces

    resolution: int = option(64, "side of the pictures in pixels", at_least=8, at_most=1024)
    channels: int = option(3, "3 for colour, 1 for grey", at_least=1, at_most=3)
    batch_size: int = option(64, "faces in a batch", at_least=1, at_most=4096)

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self))
        for each in fields(self):
            _check(type(self).name, each.name, getattr(self, each.name), kinds[each.name], each.metadata)
        if self.channels == 2:
            raise BadOption(f"{self.name}: channels is 2; use 3 for colour or 1 for grey.")

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """New, initialised networks by name; "G" is a `contracts.Generator`."""

    @abstractmethod
    def players(self) -> dict[str, Player]:
        """Who trains which of the networks."""

    @abstractmethod
    def objective(self) -> Objective:
        """What the players minimise."""

    @abstractmethod
    def turns(self, step: int) -> tuple[Turn, ...]:
        """The turns of a step, counted from 0. At least one turn of the phase "train" must come in the end."""

    @abstractmethod
    def knobs(self, progress: float) -> Knobs:
        """All that is scheduled, at a progress of 0 to 1 of the budget."""

    def representative_steps(self) -> Mapping[int, float]:
        """Steps that cost what all steps cost, each with the share of all that are like it.

        A recipe in which something is added every few steps names one step with it and one without, so that a forecast
        measures both. Steps of a pretraining stand for the first that follow it.
        """
        return {0: 1.0}

    def hyperparameters(self) -> dict[str, Any]:
        """Plain values from which `make_recipe` builds the same recipe again; JSON keeps them."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Conditional(Recipe):
    """A recipe whose generator can be told attributes of a face, one label each, in this order."""

    condition: tuple[str, ...] = option((), "attributes that the generator is told, columns of the faces' metadata.csv")

    def __post_init__(self) -> None:
        super().__post_init__()
        names = self.condition
        if len(set(names)) < len(names) or not all(re.fullmatch(r"[^\sA-Z=,]+", each) for each in names):
            raise BadOption(
                f"{self.name}: condition={','.join(names)!r} is no list of attributes in lower case, each of them once."
            )
        if len(names) > MAX_CONDITIONS:
            raise BadOption(f"{self.name}: {len(names)} attributes as a condition; {MAX_CONDITIONS} are the most.")


def condition_of(recipe: Recipe) -> tuple[str, ...]:
    """The attributes that a recipe's generator is told; none where it can't be told any, or is not."""
    return recipe.condition if isinstance(recipe, Conditional) else ()


def parse_condition(name: str, text: str) -> tuple[str, ...]:
    """The attributes of a text such as smiling,male, for the recipe of that name.

    Raises:
        BadOption: it can't be told any.
    """
    if not issubclass(find_recipe(name), Conditional):
        able = ", ".join(each for each, cls in recipes().items() if issubclass(cls, Conditional))
        raise BadOption(f"Recipe {name} takes no --condition. Recipes that do: {able}.")
    return tuple(direction_name(part) for part in text.split(",") if part.strip())


def periodic_steps(steps: int) -> Mapping[int, float]:
    """The rhythm of a recipe in which something is added to every so-manieth step, from the first on."""
    return {0: 1 / steps, 1: 1 - 1 / steps} if steps > 1 else {0: 1.0}


def require_power_of_two(recipe: Recipe) -> None:
    """Raise BadOption where the resolution is none."""
    if recipe.resolution & (recipe.resolution - 1):
        raise BadOption(f"{recipe.name}: resolution={recipe.resolution} is no power of two, such as 32, 64 or 128.")


def require_multiple_of_eight(recipe: Recipe) -> None:
    """Raise BadOption where the resolution is none."""
    if recipe.resolution % 8:
        raise BadOption(f"{recipe.name}: resolution={recipe.resolution} is no multiple of 8, such as 32, 64 or 96.")


_RECIPES: dict[str, type[Recipe]] = {}


def recipe(name: str) -> Callable[[type[R]], type[R]]:
    """Register a recipe under its name."""

    def register(cls: type[R]) -> type[R]:
        if name in _RECIPES:
            raise AssertionError(f"two recipes are called {name}")
        cls.name = name
        _RECIPES[name] = cls
        return cls

    return register


def recipes() -> Mapping[str, type[Recipe]]:
    """All recipes by name, in the order of their names."""
    folder = importlib.import_module("facesmith.recipes")
    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"facesmith.recipes.{module.name}")
    return types.MappingProxyType(dict(sorted(_RECIPES.items())))


def find_recipe(name: str) -> type[Recipe]:
    """The recipe of that name.

    Raises:
        BadOption: there is none; the message names the nearest.
    """
    known = recipes()
    if name not in known:
        raise BadOption(f"There is no recipe {name!r}{_nearest(name, known)} See: facesmith recipes")
    return known[name]


def make_recipe(name: str, values: Mapping[str, Any]) -> Recipe:
    """A recipe with these values in place of its defaults.

    Raises:
        BadOption: no such recipe or value, or a value of the wrong kind or out of bounds.
    """
    cls = find_recipe(name)
    known = {each.name for each in fields(cls)}
    for key in values:
        if key not in known:
            raise BadOption(
                f"Recipe {name} has no value {key!r}{_nearest(key, known)} It has: {', '.join(sorted(known))}."
            )
    kinds = get_type_hints(cls)
    # JSON knows no tuples; they come back as lists.
    plain: dict[str, Any] = {
        key: tuple(held) if get_origin(kinds[key]) is tuple and isinstance(held, list) else held
        for key, held in values.items()
    }
    return cls(**plain)


def parse_settings(name: str, settings: Iterable[str]) -> dict[str, Any]:
    """Values of `name=value` texts, each read as its field's kind.

    Raises:
        BadOption: a text is no assignment, or its value can't be read as what the field holds.
    """
    kinds = get_type_hints(find_recipe(name))
    values: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise BadOption(f"--set {setting!r} is not of the form name=value, such as --set batch_size=32.")
        values[key.strip()] = (
            _parse(name, key.strip(), text.strip(), kinds[key.strip()]) if key.strip() in kinds else text
        )
    return values


def _parse(name: str, key: str, text: str, kind: Any) -> Any:
    try:
        if get_origin(kind) is tuple:
            return tuple(get_args(kind)[0](part) for part in text.strip("()[]").split(",") if part.strip())
        if kind is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
        return kind(text) if kind in (int, float) else text
    except (ValueError, KeyError):
        raise BadOption(f"{name}: {key}={text} can't be read as {_kind_name(kind)}.") from None


def _check(name: str, key: str, held: Any, kind: Any, bounds: Mapping[str, Any]) -> None:
    parts = held if get_origin(kind) is tuple and isinstance(held, tuple) else (held,)
    part_kind = get_args(kind)[0] if get_origin(kind) is tuple else kind
    for part in parts:
        if not _is_of(part, part_kind):
            raise BadOption(f"{name}: {key}={held!r} is not {_kind_name(kind)}.")
        low, high = bounds.get("at_least"), bounds.get("at_most")
        if (low is not None and part < low) or (high is not None and part > high):
            raise BadOption(f"{name}: {key}={held!r} lies outside {low} to {high}.")


def _is_of(part: Any, kind: Any) -> bool:
    if get_origin(kind) is typing.Literal:
        return part in get_args(kind)
    if kind is float:  # a NaN is no number to train with
        return isinstance(part, int | float) and not isinstance(part, bool) and part == part
    return type(part) is kind


def _kind_name(kind: Any) -> str:
    if get_origin(kind) is typing.Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        return f"a list such as 64,32 of {get_args(kind)[0].__name__}"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}.get(kind, str(kind))


def _nearest(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else "."

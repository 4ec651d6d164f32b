"""The options of a recipe, its hyperparameters: declared, checked and parsed from text.

An option is a dataclass field of a recipe, declared by `option()`. Its type is int, float, bool, str, a `Literal` of
strings, or a tuple of one of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin, get_type_hints

from facesmith.errors import BadOption
from facesmith.io.messages import shorten

BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def option(default: Any, help: str, *, at_least: float | None = None, at_most: float | None = None) -> Any:
    """Declare an option. The limits hold for a number, or for every number of a tuple."""
    return field(default=default, metadata={"help": help, "at_least": at_least, "at_most": at_most})


@dataclass(frozen=True)
class Option:
    """A declared option with its type, read from a recipe class by `options_of`."""

    recipe: str
    name: str
    type: Any
    default: Any
    help: str
    at_least: float | None
    at_most: float | None

    @property
    def is_tuple(self) -> bool:
        return get_origin(self.type) is tuple

    @property
    def item_type(self) -> Any:
        """The type of a tuple's items; else the type itself."""
        return get_args(self.type)[0] if self.is_tuple else self.type

    def check(self, value: Any) -> None:
        """Raise BadOption if the value has the wrong type or lies outside the limits."""
        items = value if self.is_tuple else (value,)
        if not (isinstance(items, tuple) and all(_has_type(item, self.item_type) for item in items)):
            raise BadOption(f"{self.recipe}: {self.name}={shorten(repr(value))} is not {self._expected()}.")
        for item in items:
            too_low = self.at_least is not None and item < self.at_least
            too_high = self.at_most is not None and item > self.at_most
            if too_low or too_high:
                limits = f"at least {self.at_least}" if self.at_most is None else f"{self.at_least} to {self.at_most}"
                raise BadOption(
                    f"{self.recipe}: {self.name}={shorten(repr(value))} is out of range. Expected {limits}."
                )

    def parse(self, text: str) -> Any:
        """Convert a text to the option's type; raise BadOption if that fails."""
        try:
            if self.is_tuple:
                return tuple(self.item_type(item) for item in text.strip("()[]").split(",") if item.strip())
            if self.type is bool:
                return BOOLEANS[text.lower()]
            return self.type(text) if self.type in (int, float) else text
        except (ValueError, KeyError):
            raise BadOption(f"{self.recipe}: {self.name}={shorten(text)} is not {self._expected()}.") from None

    def _expected(self) -> str:
        if self.is_tuple:
            return f"a list such as 64,32 of {self.item_type.__name__}"
        if get_origin(self.type) is Literal:
            return "one of " + ", ".join(get_args(self.type))
        return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[self.type]


def options_of(recipe: Any) -> dict[str, Option]:
    """All options of a recipe class, by name, in the order of their declaration."""
    types = get_type_hints(recipe)
    return {
        field.name: Option(recipe.name, field.name, types[field.name], field.default, **field.metadata)
        for field in fields(recipe)
    }


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: a question with the closest known name, if there is one."""
    closest = get_close_matches(name, list(known), n=1)
    return f"; did you mean {closest[0]!r}?" if closest else "."


def _has_type(item: Any, item_type: Any) -> bool:
    if get_origin(item_type) is Literal:
        return item in get_args(item_type)
    if item_type is float:  # whole numbers are numbers; NaN isn't
        return isinstance(item, int | float) and not isinstance(item, bool) and item == item
    return type(item) is item_type

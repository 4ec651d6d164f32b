"""Arguments of functions for programs, checked against their type hints: a wrong type is one clear error."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, wraps
from numbers import Real
from operator import index
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from facesmith.errors import BadOption
from facesmith.io.messages import SEVERAL_PATHS, shorten

SOURCES = frozenset({"photos", "data"})  # arguments that also accept a text file of paths

P = ParamSpec("P")
R = TypeVar("R")
NAMES = {
    Path: "a path",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    NoneType: "None",
}


def checked_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which raises BadOption for an argument of another type than its hint says.

    Numbers of NumPy become Python's, because they can't be stored as JSON. Arrays and other classes are not checked.
    """
    signature = inspect.signature(function)

    @cache
    def hints() -> dict[str, Any]:  # resolved at the first call, because classes may be defined later
        return get_type_hints(function)

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if isinstance(value, np.generic):
                bound.arguments[name] = value = value.item()
            hint = hints().get(name, Any)
            if not _fits(value, hint):
                shown = shorten(repr(value), 40)
                advice = f" {SEVERAL_PATHS}." if name in SOURCES and isinstance(value, (list, tuple, set)) else ""
                raise BadOption(f"{name.rstrip('_')} is {shown}; expected {' or '.join(_expected(hint))}.{advice}")
        return function(*bound.args, **bound.kwargs)

    return checked


def _fits(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if origin is Literal:
        return isinstance(value, str)  # the function names the valid ones
    if hint in (str, NoneType):
        return isinstance(value, hint)
    if hint is Path:
        return isinstance(value, PathLike)
    if hint is bool:
        return isinstance(value, bool)
    if hint is float:
        return isinstance(value, Real)
    if hint is int:
        return not isinstance(value, bool) and _is_whole(value)
    if origin is Mapping:
        return isinstance(value, Mapping)
    if origin is Sequence:
        return isinstance(value, Iterable) and not isinstance(value, (str, bytes)) and _all_fit(value, hint)
    return True


def _all_fit(values: Iterable[object], hint: Any) -> bool:
    (each,) = get_args(hint)
    return not isinstance(values, Sequence) or all(_fits(value, each) for value in values)


def _is_whole(value: object) -> bool:
    try:
        index(value)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def _expected(hint: Any) -> list[str]:
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        expected = [text for each in get_args(hint) for text in _expected(each)]
        return [text for text in expected if not (text == "a text" and "a path" in expected)]
    if origin is Literal:
        return [" or ".join(map(repr, get_args(hint)))]
    if origin is Mapping:
        return ["a dict"]
    if origin is Sequence:
        return ["a list"]
    return [NAMES.get(hint, getattr(hint, "__name__", str(hint)))]

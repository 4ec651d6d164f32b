"""Columns of texts -> attributes: yes and no, one per class, or numbers.

One rule for all tables; docs/reference/label-tables.md describes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import Literal
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from facesmith.io.attribute_options import attribute_name, direction_name
from facesmith.labels.table_text import readable

MAX_CLASSES = 64
MAX_FLOAT = float(np.finfo(np.float32).max)
MAX_CLASS_CHARS = 60
MAX_RARE_CLASSES = 10  # more texts, with fewer than two pictures each on average, are names or notes
MAX_NAMED = 5
UNKNOWN_WORDS = frozenset({"", "nan", "na", "n/a", "#n/a", "null", "nil", "?", "unknown", "inf", "-inf"})
WORDS = {"true": 1.0, "yes": 1.0, "y": 1.0, "false": 0.0, "no": 0.0, "n": 0.0}
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")

Convention = Literal["", "signed", "codes"]
Kind = Literal["yes or no", "signed", "number", "classes"]


@dataclass
class Attributes:
    """Attributes by name, float32 `[N]` each, NaN if unknown.

    Attributes:
        values: 0 and 1, or numbers.
        left_out: columns that are not attributes, with the reason.
        notices: rules that were applied, for the user.
    """

    values: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    _taken: set[str] = field(default_factory=set, repr=False)  # names as directions have them


def attributes_of(columns: Mapping[str, Sequence[str]], convention: Convention = "") -> Attributes:
    """The attributes in columns of texts.

    Args:
        convention: of the table: "signed" if the sign of all its numbers means yes or no (LFW), "codes" if its whole
            numbers are classes (StyleGAN). By default the numbers decide.
    """
    result, signed = Attributes(), list[str]()
    for column, cells in columns.items():
        texts, index = _distinct(cells)
        kind, values = _numbers(texts, convention)
        name = attribute_name(readable(column))
        if kind == "classes":
            _add_classes(result, name, texts, values, index)
            continue
        if np.isnan(values).all():
            result.left_out[name] = "unknown for all"
            continue
        if kind == "signed":
            signed.append(name)
        _add(result, name, np.array(values, np.float64)[index])
    if signed:
        result.notices.append(f"numbers of both signs in {_listed(signed)}: positive is yes, negative is no")
    return result


def _distinct(cells: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The different texts, and the index of each cell's text."""
    numbers: dict[str, int] = {}
    index = np.fromiter((numbers.setdefault(cell, len(numbers)) for cell in cells), np.int64, len(cells))
    return list(numbers), index


def _numbers(texts: Sequence[str], convention: Convention) -> tuple[Kind, list[float]]:
    """The kind of a column with these different texts, and their numbers. Texts that are not numbers have NaN."""
    lowered = _without_thousands_marks(_without_percent_signs([text.strip().lower() for text in texts]))
    if not all(word in UNKNOWN_WORDS or word in WORDS or NUMBER.fullmatch(word) for word in lowered):
        return "classes", [nan] * len(texts)
    values = [WORDS.get(word, nan) if word in WORDS or word in UNKNOWN_WORDS else _number(word) for word in lowered]
    known = {value for value in values if isfinite(value)}
    if known <= {0.0, 1.0}:
        return "yes or no", values
    if known <= {-1.0, 0.0, 1.0}:
        return "yes or no", [_sign(value) for value in values]
    whole = all(value.is_integer() for value in known)
    if convention == "signed" or (not whole and min(known) < 0 < max(known)):
        return "signed", [_sign(value) for value in values]
    if whole and (convention == "codes" or _are_codes(known)):
        return "classes", values
    return "number", values


def _without_percent_signs(words: list[str]) -> list[str]:
    """The words without percent signs, if all that are known have one."""
    has_signs = all(word.endswith("%") for word in words if word not in UNKNOWN_WORDS)
    return [word.removesuffix("%").rstrip() for word in words] if has_signs else words


def _without_thousands_marks(words: list[str]) -> list[str]:
    """The words without marks as in 1,234,567 or 1.234.567, if the column certainly has them. 1,234 may be 1.234."""
    for mark, decimal in ((",", "."), (".", ",")):
        grouped = re.compile(rf"[+-]?[0-9]{{1,3}}(?:\{mark}[0-9]{{3}})+(?:\{decimal}[0-9]*)?")
        marked = [word for word in words if mark in word]
        certain = any(word.count(mark) > 1 or decimal in word for word in marked)
        if certain and all(map(grouped.fullmatch, marked)):
            return [word.replace(mark, "") for word in words]
    return words


def _number(word: str) -> float:
    """The number in a word, with a decimal point or comma. NaN if it is beyond float32."""
    value = float(word.replace(",", "."))
    return value if abs(value) <= MAX_FLOAT else nan


def _sign(value: float) -> float:
    """1 for a positive number, 0 for a negative one, NaN (unknown) for 0."""
    return nan if value == 0 or value != value else float(value > 0)


def _are_codes(values: set[float]) -> bool:
    """Whether whole numbers look like codes of classes: from 0 or 1, and at least half of those in between occur."""
    return min(values) in (0, 1) and len(values) <= MAX_CLASSES and max(values) < 2 * len(values)


def _add_classes(
    result: Attributes, column: str, texts: Sequence[str], numbers: Sequence[float], index: NDArray[np.int64]
) -> None:
    """Add one attribute of 0 and 1 for each class, such as `age_group=30-39`."""
    names = [_class_name(text, number) for text, number in zip(texts, numbers, strict=True)]
    classes = sorted({name for name in names if name}, key=_natural_order)
    result.notices += _class_notices(column, texts, names)
    if len(classes) > MAX_CLASSES:
        result.left_out[column] = f"{len(classes)} different texts, more than {MAX_CLASSES} classes"
    elif len(classes) > MAX_RARE_CLASSES and _have_few_pictures(texts, names, index, len(classes)):
        result.left_out[column] = (
            f"{len(classes)} different texts, fewer than two pictures for each, as of names or notes"
        )
    elif any(len(name) > MAX_CLASS_CHARS for name in classes):
        result.left_out[column] = f"texts of more than {MAX_CLASS_CHARS} characters"
    elif len(classes) < 2:
        result.left_out[column] = (
            f"{classes[0]} is its only value" if classes else "its values have no letters or digits"
        )
    else:
        for name in classes:
            values = np.array([nan if not each else float(each == name) for each in names])
            _add(result, f"{column}={name}", values[index])


def _have_few_pictures(texts: Sequence[str], names: Sequence[str], index: NDArray[np.int64], n_classes: int) -> bool:
    """Whether the texts of a column have fewer than two pictures each on average, as names and notes do."""
    counts = np.bincount(index, minlength=len(texts))
    n_pictures = int(counts[[bool(name) for name in names]].sum())
    return n_pictures < 2 * n_classes and not any(NUMBER.fullmatch(text.strip()) for text in texts)


def _class_name(text: str, number: float) -> str:
    """The name of a class; empty if unknown. Whole numbers lose the `.0` that other programs append."""
    if text.strip().lower() in UNKNOWN_WORDS:
        return ""
    return f"{number:.0f}" if isfinite(number) else attribute_name(readable(text))


def _class_notices(column: str, texts: Sequence[str], names: Sequence[str]) -> list[str]:
    """Notices about texts that become one class, although they differ in more than capitals, and about texts lost."""
    notices = []
    spellings: dict[str, dict[str, str]] = {}  # by class name, then by spelling without capitals: the first text
    for text, name in zip(texts, names, strict=True):
        spelling = "_".join(normalize("NFC", text).lower().replace("_", " ").split())
        if spelling not in UNKNOWN_WORDS and not NUMBER.fullmatch(spelling):
            spellings.setdefault(name, {}).setdefault(spelling, repr(readable(text)))
    if nameless := list(spellings.pop("", {}).values()):
        notices.append(f"{column}: values without letters or digits count as unknown: {_listed(nameless)}")
    for name, same in spellings.items():
        if len(same) > 1:
            notices.append(f"{column}: these values count as one class, {name}: {_listed(list(same.values()))}")
    return notices


def _natural_order(name: str) -> tuple[float, str]:
    """A key that sorts names by the number that they begin with."""
    number = re.match(r"[0-9]{1,15}", name)
    return (float(number[0]) if number else float("inf")), name


def _add(result: Attributes, name: str, values: NDArray[np.float64]) -> None:
    """Add an attribute, unless another has the same name, also as the name of a direction."""
    if direction_name(name) in result._taken:
        result.left_out[f"{name} (again)"] = "an earlier column has this name"
        return
    result._taken.add(direction_name(name))
    result.values[name] = values.astype(np.float32)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more

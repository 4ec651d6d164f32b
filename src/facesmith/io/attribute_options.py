"""Parse attribute values from the command line, such as smiling=1,male=0. Doesn't import torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from unicodedata import normalize

from facesmith.errors import BadOption

CONDITION_SYNTAX = (
    "Write an attribute and 1 (yes) or 0 (no), such as smiling=1 or smiling=1,male=0, or a class, such as label=2."
)
NAME_BREAKS = re.compile(r"[^\w+\-.<>%&/]+")  # what names of attributes can't contain on the command line


def parse_condition_values(texts: Sequence[str]) -> dict[str, float]:
    """Parse texts such as smiling=1,male=0 into values by attribute name. A class, such as label=2, has the value 1.

    Whether the model has these attributes is checked later.

    Raises:
        BadOption: a text can't be read, or an attribute occurs twice.
    """
    condition: dict[str, float] = {}
    for part in (part for text in texts for part in text.split(",")):
        left, _, value = (each.strip() for each in part.rpartition("="))
        is_value = value in ("0", "1")
        name = condition_name(left if is_value else part)
        if not all(name.split("=")) or name.count("=") > 1 or not (is_value or "=" in name):
            raise BadOption(f"--condition {part.strip()!r} can't be read. {CONDITION_SYNTAX}")
        if name in condition:
            raise BadOption(f"--condition names {name!r} twice. {CONDITION_SYNTAX}")
        condition[name] = float(value) if is_value else 1.0
    return condition


def attribute_name(text: str) -> str:
    """The name of a column or class as the command line writes it: lower case, `_` for blanks and commas."""
    return NAME_BREAKS.sub("_", normalize("NFC", text).strip().lower()).strip("_")


def condition_name(text: str) -> str:
    """The name of an attribute, or of a class such as `age_group=30-39`, from the command line."""
    return "=".join(map(attribute_name, text.split("=")))


def direction_name(column: str) -> str:
    """The name of a label column as `--edit` writes it: lower case, underscores for blanks and equals signs."""
    return column.strip().lower().replace(" ", "_").replace("=", "_")

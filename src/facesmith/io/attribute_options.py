"""Parse attribute values from the command line, such as smiling=1,male=0. Doesn't import torch."""

from __future__ import annotations

from collections.abc import Sequence

from facesmith.errors import BadOption

CONDITION_SYNTAX = "Write an attribute and 1 (yes) or 0 (no), such as smiling=1 or smiling=1,male=0."


def parse_condition_values(texts: Sequence[str]) -> dict[str, float]:
    """Parse texts such as smiling=1,male=0 into values by attribute name.

    Whether the model has these attributes is checked later.

    Raises:
        BadOption: a text can't be read, or an attribute occurs twice.
    """
    condition: dict[str, float] = {}
    for part in (part for text in texts for part in text.split(",")):
        name, equals, value = part.partition("=")
        name = name.strip().lower().replace(" ", "_")
        if not (name and equals and value.strip() in ("0", "1")):
            raise BadOption(f"--condition {part.strip()!r} can't be read. {CONDITION_SYNTAX}")
        if name in condition:
            raise BadOption(f"--condition names {name!r} twice. {CONDITION_SYNTAX}")
        condition[name] = float(value)
    return condition


def direction_name(column: str) -> str:
    """The name of a label column as `--edit` writes it: lower case, underscores for blanks and equals signs."""
    return column.strip().lower().replace(" ", "_").replace("=", "_")

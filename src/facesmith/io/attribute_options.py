"""What a person asks of a conditional model, as text: smiling=1,male=0. Loads no torch."""

from __future__ import annotations

from collections.abc import Sequence

from facesmith.errors import BadOption

CONDITION_SYNTAX = "Write an attribute and 1 (yes) or 0 (no), such as smiling=1 or smiling=1,male=0."


def parse_condition_values(texts: Sequence[str]) -> dict[str, float]:
    """What texts such as smiling=1,male=0 ask for, by name; whether a model knows the names is not looked at.

    Raises:
        BadOption: one can't be read, or names an attribute a second time.
    """
    condition: dict[str, float] = {}
    for part in (part for text in texts for part in text.split(",")):
        name, equals, answer = part.partition("=")
        name = name.strip().lower().replace(" ", "_")
        if not (name and equals and answer.strip() in ("0", "1")):
            raise BadOption(f"--condition {part.strip()!r} can't be read. {CONDITION_SYNTAX}")
        if name in condition:
            raise BadOption(f"--condition names {name!r} twice. {CONDITION_SYNTAX}")
        condition[name] = float(answer)
    return condition


def direction_name(column: str) -> str:
    """A column's name as edits write it: lower case, without blanks or signs of equality."""
    return column.strip().lower().replace(" ", "_").replace("=", "_")

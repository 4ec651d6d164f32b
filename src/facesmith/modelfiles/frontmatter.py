"""The fields at the head of a model card, in the form of the Hugging Face Hub: YAML between two lines of ---."""

from __future__ import annotations

import json
import re
from pathlib import Path

CARD = "README.md"  # what the Hub shows of a model; it stands beside the model file
HASH = "model_sha256"
MOST_BYTES = 2**20


def line(name: str, value: str, indent: int = 0) -> str:
    """A field with a text, quoted as JSON, which is YAML, too."""
    return f"{' ' * indent}{name}: {json.dumps(value, ensure_ascii=False)}"


def fields(file: Path) -> dict[str, str]:
    """Every `name: text` at the head of a card, at whatever depth; empty where there is no card, or no head."""
    try:
        if file.stat().st_size > MOST_BYTES:
            return {}
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    head = re.match(r"---\r?\n(.*?\n)---\s*(?:\n|$)", text, re.DOTALL)
    if head is None:
        return {}
    found = re.findall(r"^[ \t]*(?:- )?([\w-]+):[ \t]+(\S.*?)[ \t\r]*$", head[1], re.MULTILINE)
    return {name: _plain(value) for name, value in reversed(found)}


def stated_license(model_file: Path, model_hash: str) -> str | None:
    """The licence that the card beside a model file states, if it is this model's card and states one."""
    told = fields(model_file.with_name(CARD))
    stated = told.get("license_name") or told.get("license")
    return stated if told.get(HASH) == model_hash and stated != "unknown" else None


def _plain(value: str) -> str:
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            return value
    return value.strip("'")

"""The front matter of a model card: YAML between two lines of ---, as the Hugging Face Hub reads it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from facesmith.errors import BadData
from facesmith.io.messages import encodable

CARD = "README.md"  # the Hub shows this file as the model's page; it is beside the model file
OWN_FIELDS = "facesmith"  # the field that contains Facesmith's own
HASH = "model_sha256"
DATA = "data"  # a description of the training faces
MAX_BYTES = 2**20


def front_matter(fields: Mapping[str, Any]) -> str:
    """Fields as front matter, in their order."""
    text = yaml.safe_dump(dict(fields), sort_keys=False, allow_unicode=True, width=sys.maxsize)
    return f"---\n{text}---\n"


class _TextLoader(yaml.BaseLoader):
    """Makes text, lists and mappings only: "no" stays "no", and no tag has any effect. UTF-8 can store all text."""

    def construct_scalar(self, node: yaml.ScalarNode) -> str:
        return encodable(super().construct_scalar(node))


def read_front_matter(card: Path) -> dict[str, Any]:
    """The fields of a card, with all values as text; empty if there is no card, or no front matter in it.

    Raises:
        BadData: the front matter is not YAML.
    """
    try:
        if not card.is_file() or card.stat().st_size > MAX_BYTES:  # a named pipe would never end
            return {}
        text = card.read_text(encoding="utf-8-sig", errors="replace")  # programs for Windows write a mark
    except OSError:
        return {}
    match = re.match(r"---\r?\n(.*?\n)---\s*(?:\n|$)", text, re.DOTALL)
    if match is None:
        return {}
    try:
        fields = yaml.load(match[1], Loader=_TextLoader)
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())[:150]
        raise BadData(
            f"{card}: the front matter is not valid YAML ({reason}). Correct it, or rename the file."
        ) from None
    return fields if isinstance(fields, dict) else {}


def stated_hash(card: Path) -> str | None:
    """The sha256 of the model that a card was written for, if it says so.

    Raises:
        BadData: the front matter is not YAML.
    """
    own = read_front_matter(card).get(OWN_FIELDS)
    return _text(own.get(HASH)) if isinstance(own, dict) else None


def stated_license(model_file: Path, model_hash: str) -> str | None:
    """The license that the card beside a model file states, if the card was written for this model.

    Raises:
        BadData: the front matter is not YAML.
    """
    card = model_file.with_name(CARD)
    if stated_hash(card) != model_hash:
        return None
    fields = read_front_matter(card)
    license = _text(fields.get("license_name")) or _text(fields.get("license"))
    return None if license == "unknown" else license


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None

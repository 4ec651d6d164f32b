"""The fields at a card's head that the Hub reads.

Source: huggingface.co/docs/hub/model-cards and its model card specification, modelcard.md.
"""

from __future__ import annotations

import re
from typing import Any

from facesmith.card.facts import Facts
from facesmith.modelfiles.frontmatter import HASH, line

TASK = "unconditional-image-generation"
IDENTIFIER = r"[a-z0-9][a-z0-9.-]*"  # how the Hub writes licences that it knows


def head(facts: Facts) -> list[str]:
    """YAML lines."""
    model, options = facts.model, facts.options
    lines = [*_licence(options.license), line("library_name", "facesmith"), line("pipeline_tag", TASK), "tags:"]
    lines += [f"- {tag}" for tag in ("facesmith", "faces", "image-generation", model.recipe.name)]
    if options.data:
        lines += ["datasets:", f"- {_quoted(options.data)}"]
    if facts.judged:
        lines += ["metrics:", *(f"- {_quoted(name)}" for name in facts.judged["metrics"])]
        lines += _results(facts, facts.judged)
    lines += ["facesmith:", line(HASH, model.hash, 2), line("recipe", model.recipe.name, 2)]
    lines += [line("data_fingerprint", str(model.header["fingerprint"]), 2)] if model.header.get("fingerprint") else []
    lines += [f"  images_seen: {model.header['seen']}"] if type(model.header.get("seen")) is int else []
    return lines


def _licence(text: str | None) -> list[str]:
    if text is None:
        return [line("license", "unknown")]
    if re.fullmatch(IDENTIFIER, text):
        return [line("license", text)]
    return [line("license", "other"), line("license_name", text)]


def _results(facts: Facts, judged: dict[str, Any]) -> list[str]:
    lines = ["model-index:", f"- name: {_quoted(facts.name)}", "  results:", "  - task:", f"      type: {TASK}"]
    data = facts.options.data or "unknown"
    lines += ["    dataset:", line("name", data, 6), line("type", data, 6), line("split", "test", 6), "    metrics:"]
    for name, score in judged["metrics"].items():
        lines += [line("type", name, 4).replace("    type", "    - type"), line("name", name, 6)]
        lines += [f"      value: {score['value']!r}"]
    return lines


def _quoted(text: str) -> str:
    return line("x", text).removeprefix("x: ")

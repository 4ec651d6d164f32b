"""A recipe's docstring as parts of a page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

KEY = re.compile(r"^([A-Z][\w ]{1,20}):\s{1,10}(\S.*)$")


@dataclass
class Part:
    """What stands under one heading: paragraphs, pairs of key and text, and a list."""

    title: str = ""
    lines: list[str] = field(default_factory=list)
    rows: list[tuple[str, str]] = field(default_factory=list)
    bullets: list[str] = field(default_factory=list)


def paragraphs(docstring: str) -> list[Part]:
    """The parts of a docstring: its first paragraph, then what follows. A text above a list heads a new part.

    Lines such as `Paper:  text` begin pairs, such as `- text` items; other lines go on with what stands above them.
    """
    title, _, rest = docstring.strip().partition("\n\n")
    parts = [Part(lines=[" ".join(title.split())] if title else [])]
    for block in re.split(r"\n\s*\n", rest.strip()) if rest else ():
        texts = _joined(block)
        for text, following in zip(texts, [*texts[1:], ""], strict=True):
            key = KEY.match(text)
            if text.startswith("- "):
                parts[-1].bullets.append(text[2:])
            elif text.endswith(":") and following.startswith("- "):
                parts.append(Part(text[:-1]))
            elif key:
                parts[-1].rows.append((key[1], key[2]))
            else:
                parts[-1].lines.append(text)
    return parts


def _joined(block: str) -> list[str]:
    """The texts of a block, each put together from its lines."""
    texts: list[str] = []
    for line in block.splitlines():
        begins = line.startswith("- ") or KEY.match(line) or not texts
        after_list = bool(texts) and texts[-1].startswith("- ") and not line.startswith(" ")
        if begins or after_list:
            texts.append(" ".join(line.split()))
        else:
            texts[-1] += " " + " ".join(line.split())
    return texts

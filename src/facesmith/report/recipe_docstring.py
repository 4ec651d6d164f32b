"""A recipe's docstring as parts of a page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

KEY = re.compile(r"^([A-Z][\w ]{1,20}):\s{1,10}(\S.*)$")


@dataclass
class DocstringPart:
    """The content under one heading: paragraphs, pairs of key and text, and a list."""

    title: str = ""
    lines: list[str] = field(default_factory=list)
    rows: list[tuple[str, str]] = field(default_factory=list)
    bullets: list[str] = field(default_factory=list)


def split_docstring(docstring: str) -> list[DocstringPart]:
    """Split a docstring into parts; the first has no title, and a line that ends in ":" above a list starts another.

    Lines such as `Paper:  text` start a pair, lines such as `- text` a list item. Other lines continue the one above.
    """
    title, _, rest = docstring.strip().partition("\n\n")
    parts = [DocstringPart(lines=[" ".join(title.split())] if title else [])]
    for block in re.split(r"\n\s*\n", rest.strip()) if rest else ():
        texts = _join_lines(block)
        for text, following in zip(texts, [*texts[1:], ""], strict=True):
            key = KEY.match(text)
            if text.startswith("- "):
                parts[-1].bullets.append(text[2:])
            elif text.endswith(":") and following.startswith("- "):
                parts.append(DocstringPart(text[:-1]))
            elif key:
                parts[-1].rows.append((key[1], key[2]))
            else:
                parts[-1].lines.append(text)
    return parts


def _join_lines(block: str) -> list[str]:
    """The paragraphs, pairs and list items of a block, each in one line."""
    texts: list[str] = []
    for line in block.splitlines():
        starts_text = line.startswith("- ") or KEY.match(line) or not texts
        ends_list = bool(texts) and texts[-1].startswith("- ") and not line.startswith(" ")
        if starts_text or ends_list:
            texts.append(" ".join(line.split()))
        else:
            texts[-1] += " " + " ".join(line.split())
    return texts

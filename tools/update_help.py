"""Put each command's current --help into the page that tells of it; a test fails where one is stale.

Run: python tools/update_help.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"(<!-- help: facesmith ?(?P<verb>[a-z-]*) -->\n```text\n).*?(```\n)", re.DOTALL)


def help_of(verb: str) -> str:
    """What `facesmith VERB --help` prints, 100 columns wide and without colour."""
    plain = {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "facesmith", *([verb] if verb else []), "--help"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **plain})
    return "\n".join(line.rstrip() for line in run.stdout.strip().splitlines()) + "\n"


def renewed(page: str) -> str:
    """A page's text with every help block as it is now."""
    return BLOCK.sub(lambda block: block[1] + help_of(block["verb"]) + block[3], page)


if __name__ == "__main__":
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        path.write_text(renewed(text), encoding="utf-8")

"""Put the current --help of each command into its page of the reference; a test fails where one is outdated.

Run: python tools/update_help.py
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"(<!-- help: facesmith ?(?P<command>[a-z-]*) -->\n```text\n).*?(```\n)", re.DOTALL)
# One process prints all help texts as JSON, because starting Python for each takes longer than the texts.
PRINT_ALL = """
import json
from typer.main import get_command
from typer.testing import CliRunner
from facesmith.cli import app

commands = {"": ["--help"], **{name: [name, "--help"] for name in get_command(app).commands}}
texts = {name: CliRunner().invoke(app, words, prog_name="facesmith").stdout for name, words in commands.items()}
print(json.dumps(texts))
"""


@cache
def help_texts() -> dict[str, str]:
    """What `facesmith COMMAND --help` prints, 100 columns wide and without color, by command ("" for `facesmith`)."""
    plain = {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", PRINT_ALL]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **plain})
    texts = json.loads(run.stdout)
    return {name: "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n" for name, text in texts.items()}


def updated(page: str) -> str:
    """A page's text with current help blocks."""
    return BLOCK.sub(lambda block: block[1] + help_texts()[block["command"]] + block[3], page)


if __name__ == "__main__":
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        path.write_text(updated(text), encoding="utf-8")

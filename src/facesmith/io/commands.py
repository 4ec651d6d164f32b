"""Commands to paste into a shell, quoted as the shells of this system read them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

ON_WINDOWS = os.name == "nt"
PLAIN = re.compile(r"[\w./\\:=+-]+")  # neither cmd nor PowerShell gives these characters a meaning
MAX_WIDTH = 76


def quoted(argument: str | Path) -> str:
    """An argument as it is typed in a shell."""
    if not ON_WINDOWS:
        return shlex.quote(str(argument))
    text = subprocess.list2cmdline([str(argument)])
    return text if text.startswith('"') or PLAIN.fullmatch(text) else f'"{text}"'


def wrapped(parts: Sequence[str]) -> str:
    """The parts of one command, as lines that end in a backslash; on Windows as one line."""
    if ON_WINDOWS:
        return " ".join(parts)
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) > MAX_WIDTH:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {part}"
    return "\n".join(lines)

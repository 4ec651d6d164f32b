"""Text from files and users, made fit for messages: bounded in length, and without control characters."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

MAX_TEXT = 100  # characters of a name or value inside a message
MAX_LINE = 4000  # characters of a line; paths are at most as long
# A terminal would obey these, reverse the text, or fail to encode them: control characters, line separators, marks
# that change the direction of text, and lone surrogates.
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)

# Words before which "an" is said; LZ4 and RTF are spelled letter by letter.
SPOKEN_WITH_VOWEL = ("A", "E", "I", "O", "U", "a", "e", "i", "o", "u", "LZ4", "RTF", "xz")
LONG_NUMBER = re.compile(r"\d{100,}")  # longer than any number that is meant
# Advice where one folder, archive or file is expected.
SEVERAL_PATHS = "For several, write their paths into a text file, one in each line, and give that file"
COLLAPSED_ADDRESS = re.compile(r"^([A-Za-z][\w+.-]+):/+(?=[^/])")  # a single letter is a Windows drive


class SafeConsole(Console):
    """A console whose texts can't contain control characters, wherever they come from.

    File names may contain brackets, so markup is off. Soft wrapping keeps each message on one line in log files.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "highlight": False, "soft_wrap": True, **options})

    def print(self, *objects: Any, **options: Any) -> None:
        """Print like `Console.print`; texts pass through `printable`."""
        with suppress(OSError):  # a closed terminal or a full log must not stop the work, or keep it from being saved
            super().print(*(printable(each) if isinstance(each, str) else each for each in objects), **options)

    def on_broken_pipe(self) -> None:
        """Print nothing more when nobody reads the messages any longer. The inherited method would end the program."""
        self.quiet = True
        with suppress(OSError, ValueError):  # so that what is left in a buffer causes no error at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


def shorten(text: str, limit: int = MAX_TEXT) -> str:
    """A text of at most `limit` characters; dots replace the rest."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def printable(text: str, limit: int = MAX_LINE) -> str:
    """A text that a terminal can show; each line has at most `limit` characters.

    Characters that a terminal would obey become escapes such as `\\x1b`. Lines stay lines.
    """
    lines = (UNPRINTABLE.sub(_escape, shorten(line, limit)) for line in text.split("\n"))
    return "\n".join(shorten(line, limit) for line in lines)


def printable_name(name: str) -> str:
    """A name on one line; whatever no terminal can print is replaced."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)


def one_line(text: str, limit: int = MAX_LINE) -> str:
    """A printable text on one line; each run of white space becomes one space, and long numbers are shortened."""
    return printable(LONG_NUMBER.sub(_shorten_number, " ".join(text[: 2 * limit].split())), limit)


def as_typed(path: Path) -> str:
    """The text of a path. Restores the second slash of an address, which Path drops."""
    return COLLAPSED_ADDRESS.sub(r"\1://", str(path))


def encodable(text: str) -> str:
    """A text that UTF-8 can store: the bytes of a file name that are not UTF-8 become escapes such as `\\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _shorten_number(match: re.Match[str]) -> str:
    return f"{match[0][:20]}...({len(match[0])} digits)"


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def with_article(kind: str) -> str:
    """A kind of file with `a` or `an` before it."""
    return f"{'an' if kind.startswith(SPOKEN_WITH_VOWEL) else 'a'} {kind}"

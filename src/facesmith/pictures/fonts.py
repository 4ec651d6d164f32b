"""Fonts for texts on pictures. Names of files and labels may be in any script."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from PIL import ImageFont

from facesmith.io.messages import printable_name

PLACEHOLDERS = "LastResort"  # a font of matplotlib that has a box for each script in place of its characters
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def drawable(text: str) -> str:
    """The text, or its escapes such as `\\u9854` if no font on this machine has all of its characters."""
    text = printable_name(text)
    return text if text.isascii() or font_file(text) is not None else text.encode("ascii", "backslashreplace").decode()


def font_of(text: str, size_px: int) -> Font:
    """A font that has the characters of a `drawable` text."""
    file = None if text.isascii() else font_file(text)
    return ImageFont.load_default(size_px) if file is None else ImageFont.truetype(file, size_px)


@cache
def font_file(text: str) -> Path | None:
    """The font of matplotlib if it has all characters of a text, otherwise an installed one, or None."""
    characters = {ord(char) for char in text}
    return next((file for file in _font_files() if characters <= _characters_of(file)), None)


def _font_files() -> Iterator[Path]:
    import matplotlib as mpl

    yield Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    from matplotlib import font_manager  # slow: it looks for all installed fonts

    files = sorted(Path(font.fname) for font in font_manager.fontManager.ttflist)
    yield from (file for file in files if not file.name.startswith(PLACEHOLDERS))


@cache
def _characters_of(file: Path) -> frozenset[int]:
    """The characters that a font has; none if it can't be used, such as a font of colored emoji."""
    from matplotlib.ft2font import FT2Font

    try:
        ImageFont.truetype(file, 12)
        return frozenset(FT2Font(str(file)).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()

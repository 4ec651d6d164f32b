"""One self-contained page: text, tables and pictures in a single file that opens anywhere, also without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from facesmith.images import Pixels

STYLE = """
:root { color-scheme: light dark; --faint: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
body { overflow-wrap: break-word; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--faint); }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(64px, 1fr)); gap: 4px; }
img { max-width: 100%; height: auto; display: block; } .sheet img { width: 100%; border-radius: 3px; }
"""


@dataclass(frozen=True)
class Picture:
    """A picture to show: the bytes of a PNG, and what it is for those who don't see it."""

    png: bytes
    label: str


@dataclass(frozen=True)
class Section:
    """A part of a page; what is empty is left out.

    Attributes:
        lines: paragraphs of plain text.
        header: of the table's columns.
        rows: of the table; numbers are set to the right.
        sheet: small pictures side by side.
        figures: pictures in full width.
    """

    title: str
    lines: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str | int | float]] = ()
    sheet: Sequence[Picture] = ()
    figures: Sequence[Picture] = ()


def page(title: str, sections: Iterable[Section]) -> str:
    """The whole page as HTML. All text is escaped: file names and labels come from anywhere."""
    body = "\n".join(_section(section) for section in sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def as_picture(pixels: Pixels, label: str) -> Picture:
    """A picture for a page, of uint8 `[H, W, 1 or 3]`."""
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, "PNG")
    return Picture(stream.getvalue(), label)


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>"]
    parts += [f"<p>{escape(line)}</p>" for line in section.lines]
    if section.rows:
        parts.append(_table(section.header, section.rows))
    if section.sheet:
        parts.append(f'<div class="sheet">{"".join(map(_image, section.sheet))}</div>')
    parts += [f"<p>{_image(figure)}</p>" for figure in section.figures]
    return "<section>\n" + "\n".join(parts) + "\n</section>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str | int | float]]) -> str:
    head = f"<tr>{''.join(f'<th>{escape(name)}</th>' for name in header)}</tr>" if header else ""
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table>{head}{body}</table>"


def _cell(value: str | int | float) -> str:
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    return f'<td class="number">{value:,}</td>'


def _image(picture: Picture) -> str:
    label = escape(picture.label, quote=True)
    data = base64.b64encode(picture.png).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{label}" title="{label}" loading="lazy">'

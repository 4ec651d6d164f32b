"""Self-contained pages: text, tables, pictures and charts in one HTML file that needs no network.

The templates are in `pictures/templates`; Jinja2 escapes all text.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader
from PIL import Image

from facesmith.io.messages import printable
from facesmith.pictures.images import Pixels


@dataclass(frozen=True)
class Picture:
    """A picture as the bytes of a PNG, with a description for people who can't see it."""

    png: bytes
    label: str


@dataclass(frozen=True)
class Video:
    """A video as the bytes of an MP4, with a description."""

    mp4: bytes
    label: str


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        svg: markup that goes into the page unescaped; `facesmith.pictures.charts` escapes the text in it.
        legend: label, color number, and whether it is drawn as dots, of each line.
        x_label: text below the chart.
        title: text above the chart.
        table: the numbers of the chart for people who can't see it: a header, then rows of text.
    """

    svg: str
    legend: Sequence[tuple[str, int, bool]] = ()
    x_label: str = ""
    title: str = ""
    table: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Section:
    """A part of a page, in this order; empty parts are left out.

    Attributes:
        lines: paragraphs of plain text.
        bullets: a list of plain text.
        header: names of the table's columns.
        rows: of the table; numbers are right-aligned.
        code: blocks to copy.
        sheet: small pictures side by side.
        figures: pictures in full width.
        videos: videos in full width.
        strip: larger pictures side by side, with their labels below.
        charts: one in full width, or several side by side.
        explanation: how to read the figures.
        folded: closed until the reader opens it.
    """

    title: str
    lines: Sequence[str] = ()
    header: Sequence[str] = ()
    rows: Sequence[Sequence[str | int | float]] = ()
    sheet: Sequence[Picture] = ()
    figures: Sequence[Picture] = ()
    bullets: Sequence[str] = ()
    code: Sequence[str] = ()
    videos: Sequence[Video] = ()
    strip: Sequence[Picture] = ()
    charts: Sequence[Chart] = ()
    explanation: str = ""
    folded: bool = False


def page(title: str, sections: Iterable[Section]) -> str:
    """The whole page as HTML."""
    environment = Environment(
        loader=PackageLoader("facesmith.pictures"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_without_control_characters,
    )
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    return environment.get_template("page.html").render(title=title, sections=sections)


def _without_control_characters(value: Any) -> Any:
    """A value of a template; its control characters become escapes, as on the terminal."""
    return printable(value, 10 * len(value)) if type(value) is str else value


def as_picture(pixels: Pixels, label: str) -> Picture:
    """A picture for a page, from uint8 `[H, W, 1 or 3]`."""
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, "PNG")
    return Picture(stream.getvalue(), label)

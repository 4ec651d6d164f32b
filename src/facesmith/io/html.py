"""One self-contained page: text, tables and pictures in a single file that opens anywhere, also without a network."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from facesmith.io.images import Pixels

STYLE = """
:root { color-scheme: light dark; --faint: color-mix(in srgb, currentColor 18%, transparent);
  --tone1: #0072B2; --tone2: #D55E00; --tone3: #009E73; --tone4: #B0568A; --tone5: #8C6D00; --tone6: #555; }
@media (prefers-color-scheme: dark) { :root {
  --tone1: #56B4E9; --tone2: #F28E4B; --tone3: #3CC79B; --tone4: #E29BC4; --tone5: #E0C24A; --tone6: #BBB; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
body { overflow-wrap: break-word; }
h1 { font-size: 1.6rem; } h2, summary { font-size: 1.2rem; font-weight: bold; margin: 2rem 0 .8rem; }
p, ul { max-width: 42rem; } summary { cursor: pointer; } details > summary { margin: 1rem 0; }
.how { border-left: 3px solid var(--faint); padding-left: .8rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--faint); }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { background: color-mix(in srgb, currentColor 8%, transparent); padding: .6rem .8rem; border-radius: 3px;
  white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(64px, 1fr)); gap: 4px; }
.strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); gap: .8rem; margin: .8rem 0; }
.strip img { width: 100%; }
figure { margin: 0; } figcaption { font-size: .85rem; }
img, video { max-width: 100%; height: auto; display: block; } .sheet img { width: 100%; border-radius: 3px; }
p > img, video { min-width: min(100%, 24rem); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1.2rem; }
.charts { margin-top: .8rem; }
.charts figure { max-width: 36rem; } .few { grid-template-columns: 1fr; }
svg { width: 100%; height: auto; display: block; font-size: 14px; } svg text { fill: currentColor; }
svg .rule { stroke: var(--faint); } svg text.faint { opacity: .7; }
svg .threshold { stroke: currentColor; opacity: .7; stroke-dasharray: 2 4; }
svg .line { fill: none; stroke-width: 2; } svg .pale { fill: none; opacity: .3; }
svg .area { fill-opacity: .3; stroke-width: 1.5; }
.legend span { margin-right: 1rem; white-space: nowrap; }
.legend i { display: inline-block; width: 1.2rem; height: 3px; margin-right: .4rem; vertical-align: middle; }
.legend i.dot { width: 8px; height: 8px; border-radius: 50%; } .axis { text-align: center; opacity: .8; }
"""


@dataclass(frozen=True)
class Picture:
    """A picture to show: the bytes of a PNG, and what it is for those who don't see it."""

    png: bytes
    label: str


@dataclass(frozen=True)
class Video:
    """A film to show: the bytes of an MP4, and what it is."""

    mp4: bytes
    label: str


@dataclass(frozen=True)
class Chart:
    """A chart to show.

    Attributes:
        svg: markup that is put into the page as it is: whoever makes it escapes its texts.
        legend: name, tone and whether it is drawn as dots, of everything in it.
        x_label: below the chart.
        title: above it.
    """

    svg: str
    legend: Sequence[tuple[str, int, bool]] = ()
    x_label: str = ""
    title: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page; what is empty is left out.

    Attributes:
        lines: paragraphs of plain text.
        header: of the table's columns.
        rows: of the table; numbers are set to the right.
        sheet: small pictures side by side.
        figures: pictures in full width.
        bullets: a list of plain texts.
        code: blocks to be copied.
        videos: films in full width.
        strip: pictures of some size side by side, with their labels below.
        charts: one in full width, several side by side.
        how: how to read what is shown.
        folded: shown only when asked for.
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
    how: str = ""
    folded: bool = False


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
    parts = [f"<p>{escape(line)}</p>" for line in section.lines]
    if section.bullets:
        parts.append(f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in section.bullets)}</ul>")
    if section.rows:
        parts.append(_table(section.header, section.rows))
    parts += [f"<pre>{escape(text)}</pre>" for text in section.code]
    if section.sheet:
        parts.append(f'<div class="sheet">{"".join(map(_image, section.sheet))}</div>')
    parts += [f"<p>{_image(figure)}</p>" for figure in section.figures]
    parts += [_video(video) for video in section.videos]
    if section.strip:
        parts.append(f'<div class="strip">{"".join(map(_captioned, section.strip))}</div>')
    if section.charts:
        few = " few" if len(section.charts) == 1 else ""
        parts.append(f'<div class="charts{few}">{"".join(map(_chart, section.charts))}</div>')
    if section.how:
        parts.append(f'<p class="how"><b>How to read this.</b> {escape(section.how)}</p>')
    body, title = "\n".join(parts), escape(section.title)
    if section.folded:
        return f"<details>\n<summary>{title}</summary>\n{body}\n</details>"
    return f"<section>\n<h2>{title}</h2>\n{body}\n</section>"


def _captioned(picture: Picture) -> str:
    return f"<figure>{_image(picture)}<figcaption>{escape(picture.label)}</figcaption></figure>"


def _chart(chart: Chart) -> str:
    title = f"<figcaption><b>{escape(chart.title)}</b></figcaption>" if chart.title else ""
    names = "".join(
        f'<span><i{" class=dot" if dots else ""} style="background:var(--tone{tone})"></i>{escape(name)}</span>'
        for name, tone, dots in chart.legend
    )
    legend = f'<figcaption class="legend">{names}</figcaption>' if names else ""
    axis = f'<figcaption class="axis">{escape(chart.x_label)}</figcaption>' if chart.x_label else ""
    return f"<figure>{title}{legend}{chart.svg}{axis}</figure>"


def _video(video: Video) -> str:
    label, data = escape(video.label, quote=True), base64.b64encode(video.mp4).decode()
    start = f'<video controls loop muted playsinline preload="metadata" aria-label="{label}" '
    return f'{start}src="data:video/mp4;base64,{data}"></video>'


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

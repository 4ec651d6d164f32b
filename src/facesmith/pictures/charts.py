"""Charts by matplotlib: PNG files for a run folder, and SVG for pages, whose colors follow light or dark mode."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facesmith.io.files import atomic_write
from facesmith.io.messages import printable
from facesmith.pictures.html import Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Colors that color-blind people can tell apart (Okabe and Ito 2008). Pages define a darker and a lighter shade of each.
BLUE, ORANGE, GREEN, PINK, YELLOW, GRAY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#777777"
COLORS = (BLUE, ORANGE, GREEN, PINK, YELLOW, GRAY)
RULE, GUIDE = "#b0b0b0", "#808080"  # grid lines; thresholds and their labels
TICKS = 6  # at most, on each axis
MIN_SPAN = 1e-300  # smaller spans can't be divided into ticks
MAX_POINTS = 400  # of one line in a page
MAX_ROWS = 12  # of the table of a chart
PNG_DPI = 100
SVG_WIDTH_PX, SVG_HEIGHT_PX = 520, 260
PX_PER_INCH = 72  # of matplotlib's SVG
SVG_MARGINS_PX = {"left": 52, "right": 12, "bottom": 28, "top": 10}
SVG_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "font.size": 14,
    "lines.linewidth": 2,
    "lines.markersize": 9,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": RULE,
    "grid.linewidth": 1,
    **{f"axes.spines.{side}": False for side in ("left", "right", "bottom", "top")},
    **{f"{axis}tick.{kind}.size": 0 for axis in "xy" for kind in ("major", "minor")},
    "xtick.major.pad": 8,
    "ytick.major.pad": 6,
}


@dataclass(frozen=True)
class Line:
    """A named series of finite numbers `ys` at finite `xs`.

    Attributes:
        dots: drawn as dots, not as a line.
        faint: drawn thin and pale, and left out of the legend.
    """

    label: str
    xs: Sequence[float]
    ys: Sequence[float]
    color: str = BLUE
    dots: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Bars:
    """A named histogram: a count for each bin."""

    label: str
    counts: Sequence[int]
    color: str


def line_chart(
    description: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    title: str = "",
    y_range: tuple[float, float] | None = None,
    threshold: tuple[float, str] | None = None,
) -> Chart:
    """Lines over one x axis that starts at 0, as a chart for a page.

    Args:
        description: what the chart shows, for people who can't see it.
        y_range: by default the range of the lines, extended to 0 if that is near.
        threshold: the height of a dotted horizontal line, and its label.
    """
    with _svg_figure() as (figure, axes):
        axes.set_xlim(*_span([0.0, *(x for line in lines for x in line.xs)]))
        axes.set_ylim(*(y_range or _y_range(lines)))
        draw_lines(axes, [_thinned(line) for line in lines], threshold)
        svg = _svg(figure, description)
    shown = [line for line in lines if not line.faint]
    legend = tuple((line.label, _number(line.color), line.dots) for line in shown)
    return Chart(svg, legend, x_label, title, _line_table(shown, x_label))


def histogram_chart(
    description: str,
    histograms: Sequence[Bars],
    edges: Sequence[float],
    *,
    x_label: str,
    title: str = "",
    threshold: float | None = None,
    log_x: bool = False,
) -> Chart:
    """Histograms over one another, each in shares of its own total, as a chart for a page.

    Args:
        description: what the chart shows, for people who can't see it.
        edges: of the bins, one more than counts.
        threshold: where to draw a dotted vertical line.
    """
    with _svg_figure() as (figure, axes):
        if log_x:
            axes.set_xscale("log")
            use_plain_numbers(axes.xaxis)
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, 1.05 * max(max(bars.counts) / sum(bars.counts) for bars in histograms))
        draw_histograms(axes, histograms, edges, threshold)
        axes.yaxis.set_major_formatter(lambda share, _: f"{share * 100:.3g}%")
        svg = _svg(figure, description)
    legend = tuple((bars.label, _number(bars.color), False) for bars in histograms)
    return Chart(svg, legend, x_label, title, _histogram_table(histograms, edges, x_label))


def draw_lines(axes: Axes, lines: Sequence[Line], threshold: tuple[float, str] | None = None) -> None:
    """Draw lines into matplotlib's axes, pale ones first.

    Args:
        threshold: the height of a dotted horizontal line, and its label.
    """
    for line in sorted(lines, key=lambda line: not line.faint):
        label = printable(line.label)  # it may come from a damaged log
        if line.dots or len(line.xs) == 1:  # a single point makes no line
            axes.plot(line.xs, line.ys, ".", label=label, color=line.color)
        elif line.faint:
            axes.plot(line.xs, line.ys, color=line.color, alpha=0.25, linewidth=0.7)
        else:
            axes.plot(line.xs, line.ys, label=label, color=line.color)
    if threshold is not None:
        axes.axhline(threshold[0], color=GUIDE, linestyle=":", linewidth=1)
        axes.annotate(threshold[1], (0, threshold[0]), (4, 3), ("axes fraction", "data"), "offset points", color=GUIDE)


def draw_histograms(
    axes: Axes, histograms: Sequence[Bars], edges: Sequence[float], threshold: float | None = None
) -> None:
    """Draw histograms into matplotlib's axes, each in shares of its own total.

    Args:
        threshold: where to draw a dotted vertical line; left out where it is outside of the edges.
    """
    for bars in histograms:
        shares = np.divide(bars.counts, sum(bars.counts))
        axes.stairs(shares, edges, fill=True, alpha=0.3, color=bars.color)
        axes.stairs(shares, edges, label=bars.label, color=bars.color)
    if threshold is not None and edges[0] <= threshold <= edges[-1]:
        axes.axvline(threshold, color=GUIDE, linestyle=":", linewidth=1)


def use_plain_numbers(axis: Axis) -> None:
    """Write 0.001 instead of a formula at the powers of ten of a logarithmic axis."""
    from matplotlib.ticker import NullFormatter

    axis.set_major_formatter(lambda number, _: f"{number:g}")
    axis.set_minor_formatter(NullFormatter())


def new_figure(width: float, height: float, **margins: float) -> Figure:
    """An empty figure, in inches. The margins are fixed: computing them from the labels takes twice as long."""
    from matplotlib.figure import Figure  # slow to import, and only needed here

    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(**margins)
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG."""
    with atomic_write(path) as stream:
        figure.savefig(stream, format="png", dpi=PNG_DPI)


@contextmanager
def _svg_figure() -> Iterator[tuple[Figure, Axes]]:
    """A figure with bare axes, in the style of a page while the context is open."""
    from matplotlib import rc_context
    from matplotlib.ticker import MaxNLocator

    margins = SVG_MARGINS_PX
    with rc_context(SVG_STYLE):
        figure = new_figure(
            SVG_WIDTH_PX / PX_PER_INCH,
            SVG_HEIGHT_PX / PX_PER_INCH,
            left=margins["left"] / SVG_WIDTH_PX,
            right=1 - margins["right"] / SVG_WIDTH_PX,
            bottom=margins["bottom"] / SVG_HEIGHT_PX,
            top=1 - margins["top"] / SVG_HEIGHT_PX,
        )
        axes = figure.subplots()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(TICKS, steps=[1, 2, 5, 10]))
            axis.set_major_formatter(_tick_label)
        yield figure, axes


def _svg(figure: Figure, description: str) -> str:
    """A figure as an SVG element for a page: no ids but those in use, and the page's font and colors."""
    from matplotlib import rc_context

    stream = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with rc_context({"svg.hashsalt": description}):  # so that the same chart gives the same bytes
        figure.savefig(stream, format="svg", transparent=True, metadata=metadata)
    drawing = re.search(r"<svg.*?>(.*)</svg>", stream.getvalue(), re.DOTALL)
    assert drawing is not None
    content = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", drawing[1], flags=re.DOTALL)
    content = re.sub(r' id="[a-z0-9.]+_\d+"', "", content)
    content = re.sub(r"font-family: [^;\"]+;? ?", "", content)
    content = re.sub(r"\s*\n\s*", " ", content).replace("> <", "><").replace("xlink:href", "href")
    for number, color in enumerate(COLORS, 1):
        content = content.replace(color, f"var(--tone{number})")
    content = content.replace(RULE, "var(--faint)").replace(GUIDE, "currentColor")
    size = f'viewBox="0 0 {SVG_WIDTH_PX} {SVG_HEIGHT_PX}"'
    return f'<svg {size} role="img" aria-label="{escape(description)}">{content}</svg>'


def _tick_label(number: float, _position: float) -> str:
    """A number in at most seven characters, so that it fits into the margin."""
    return f"{number:,.6g}" if abs(number) < 100_000 else f"{number:.3g}"


def _number(color: str) -> int:
    """The number of a color in pages."""
    return COLORS.index(color) + 1


def _thinned(line: Line) -> Line:
    """The line, or every n-th point of a long one, counted from the last, which is always kept."""
    step = max(-(-len(line.xs) // MAX_POINTS), 1)
    xs, ys = line.xs[::-1][::step][::-1], line.ys[::-1][::step][::-1]
    return Line(line.label, xs, ys, line.color, line.dots, line.faint)


def _line_table(lines: Sequence[Line], x_label: str) -> list[list[str]]:
    """Return a header and at most MAX_ROWS rows: an x, and each line's last value up to it."""
    xs = sorted({x for line in lines for x in line.xs})
    if not xs:
        return []
    places = np.unique(np.linspace(0, len(xs) - 1, MAX_ROWS).round().astype(int))
    rows = [
        [f"{xs[place]:.4g}", *("–" if (y := _last_value(line, xs[place])) is None else f"{y:.3g}" for line in lines)]
        for place in places
    ]
    return [[x_label, *(line.label for line in lines)], *rows]


def _last_value(line: Line, x: float) -> float | None:
    """Return the value of a line at the largest of its xs that is not above `x`, or None."""
    earlier = [(line_x, y) for line_x, y in zip(line.xs, line.ys, strict=True) if line_x <= x]
    return max(earlier)[1] if earlier else None


def _histogram_table(histograms: Sequence[Bars], edges: Sequence[float], x_label: str) -> list[list[str]]:
    """Return a header and at most MAX_ROWS rows: a range, and the share of each histogram in it."""
    bin_count = len(edges) - 1
    starts = np.unique(np.linspace(0, bin_count, min(MAX_ROWS, bin_count) + 1).round().astype(int))
    rows = [
        [
            f"{edges[start]:.3g} to {edges[end]:.3g}",
            *(f"{100 * sum(bars.counts[start:end]) / sum(bars.counts):.3g}%" for bars in histograms),
        ]
        for start, end in pairwise(starts)
    ]
    return [[x_label, *(bars.label for bars in histograms)], *rows]


def _span(numbers: Sequence[float]) -> tuple[float, float]:
    """The smallest and the largest number; a wider range where they are too close for an axis."""
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    if high - low > max(1e-12 * max(abs(low), abs(high)), MIN_SPAN):
        return low, high
    margin = abs(low) * 0.5 if abs(low) > MIN_SPAN else 0.5
    return low - margin, high + margin


def _y_range(lines: Sequence[Line]) -> tuple[float, float]:
    """The range of the lines with a small margin; from 0 if that costs little of the height."""
    low, high = _span([y for line in lines for y in line.ys])
    if 0 < low < 0.4 * high:
        low = 0.0
    margin = 0.04 * (high - low)
    return (low if low == 0 else low - margin), high + margin

"""Charts as inline SVG: small, sharp at every size, and in the page's own colours, so that they suit a dark room."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from facesmith.io.html import Chart

WIDTH, HEIGHT = 520, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 28
TONES = 6  # colours that the page knows
MARKS = 5  # numbers along an axis, about
TINIEST = 1e-300  # of numbers beneath, halves and tenths are none any more
MOST_POINTS = 400  # of one line; more are not seen


@dataclass(frozen=True)
class Line:
    """Finite numbers over finite x.

    Attributes:
        dots: drawn as dots rather than as a line.
        faint: drawn thin and pale, and not named in the legend.
    """

    label: str
    xs: Sequence[float]
    numbers: Sequence[float]
    tone: int
    dots: bool = False
    faint: bool = False


def line_chart(
    label: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_range: tuple[float, float] | None = None,
    threshold: tuple[float, str] | None = None,
) -> Chart:
    """Lines over one x, which begins at 0.

    Args:
        label: what the chart shows, for those who don't see it.
        y_range: by default what the lines span, and 0 where that lies near.
        threshold: a dotted line at that height, and what to write on it.
    """
    frame = _Frame(_range([0.0, *(x for line in lines for x in line.xs)]), y_range or _room(lines))
    parts = [*frame.axes()]
    if threshold is not None:
        y = frame.y(threshold[0])
        parts.append(f'<line class="threshold" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="faint" x="{LEFT + 4}" y="{y - 5}">{escape(threshold[1])}</text>')
    for line in sorted(lines, key=lambda line: not line.faint):
        parts.append(_dots(frame, line) if line.dots else _path(frame, line))
    named = [(line.label, line.tone, line.dots) for line in lines if not line.faint]
    return Chart(_svg(label, parts), tuple(named), x_label)


def histogram_chart(
    label: str,
    kinds: Sequence[tuple[str, Sequence[int], int]],
    span: tuple[float, float],
    *,
    x_label: str,
    threshold: float | None = None,
) -> Chart:
    """Counts in equal bins over `span`, each kind as shares of its own sum, laid over one another.

    Args:
        kinds: name, counts and tone.
        threshold: a dotted upright line.
    """
    shares = [[count / sum(counts) for count in counts] for _, counts, _ in kinds]
    frame = _Frame(span, (0.0, 1.05 * max(max(each) for each in shares)))
    parts = [*frame.axes(percent=True)]
    for (_, _, tone), each in zip(kinds, shares, strict=True):
        parts.append(f'<path class="area" {_tone(tone, fill=True)} d="{_steps(frame, span, each)}"/>')
    if threshold is not None and span[0] <= threshold <= span[1]:
        x = frame.x(threshold)
        parts.append(f'<line class="threshold" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    return Chart(_svg(label, parts), tuple((name, tone, False) for name, _, tone in kinds), x_label)


class _Frame:
    """Where numbers lie in the picture, and the axes around it."""

    def __init__(self, xs: tuple[float, float], ys: tuple[float, float]) -> None:
        self.xs, self.ys = xs, ys

    def x(self, number: float) -> float:
        low, high = self.xs
        return round(LEFT + (number - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    def y(self, number: float) -> float:
        low, high = self.ys
        return round(HEIGHT - BOTTOM - (number - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    def axes(self, percent: bool = False) -> Iterable[str]:
        for number in marks(*self.ys):
            y, text = self.y(number), f"{number:,.6g}" if not percent else f"{number * 100:.3g}%"
            yield f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'
            yield f'<text x="{LEFT - 6}" y="{y + 5}" text-anchor="end">{text}</text>'
        for number in marks(*self.xs):
            yield f'<text x="{self.x(number)}" y="{HEIGHT - 8}" text-anchor="middle">{number:,.6g}</text>'


def marks(low: float, high: float) -> list[float]:
    """Round numbers from low to high, about five."""
    rough = (high - low) / MARKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _range(numbers: Sequence[float]) -> tuple[float, float]:
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    if high - low > max(1e-12 * max(abs(low), abs(high)), TINIEST):
        return low, high
    room = abs(low) * 0.5 if abs(low) > TINIEST else 0.5
    return low - room, high + room


def _room(lines: Sequence[Line]) -> tuple[float, float]:
    """What lines span and a little more; from 0 where that costs little of the height."""
    low, high = _range([number for line in lines for number in line.numbers])
    if 0 < low < 0.4 * high:
        low = 0.0
    room = 0.04 * (high - low)
    return (low if low == 0 else low - room), high + room


def _path(frame: _Frame, line: Line) -> str:
    """A line as one path; of many points, some."""
    if len(line.xs) == 1:
        return _dots(frame, line)  # one point makes no line
    words = "L".join(f"{frame.x(x)} {frame.y(number)}" for x, number in _some(line))
    return f'<path class="{"pale" if line.faint else "line"}" {_tone(line.tone)} d="M{words}"/>'


def _dots(frame: _Frame, line: Line) -> str:
    tone = _tone(line.tone, fill=True)
    return "".join(f'<circle {tone} cx="{frame.x(x)}" cy="{frame.y(number)}" r="3"/>' for x, number in _some(line))


def _some(line: Line) -> list[tuple[float, float]]:
    """The points of a line, or of a long one every n-th, counted from the last, which is always among them."""
    step = max(-(-len(line.xs) // MOST_POINTS), 1)
    return list(zip(line.xs, line.numbers, strict=True))[::-1][::step][::-1]


def _steps(frame: _Frame, span: tuple[float, float], shares: Sequence[float]) -> str:
    width = (span[1] - span[0]) / len(shares)
    words = [f"M{frame.x(span[0])} {frame.y(0)}"]
    for i, share in enumerate(shares):
        height = frame.y(share)
        words.append(f"L{frame.x(span[0] + i * width)} {height}L{frame.x(span[0] + (i + 1) * width)} {height}")
    return "".join([*words, f"L{frame.x(span[1])} {frame.y(0)}Z"])


def _tone(tone: int, fill: bool = False) -> str:
    colour = f"var(--tone{(tone - 1) % TONES + 1})"
    return f'style="stroke:{colour};fill:{colour}"' if fill else f'style="stroke:{colour}"'


def _svg(label: str, parts: Iterable[str]) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'

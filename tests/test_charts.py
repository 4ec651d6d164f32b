"""Charts: numbers are drawn where they belong, and any log gives valid markup."""

from __future__ import annotations

import re
import warnings
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from facesmith.pictures.charts import (
    BLUE,
    COLORS,
    ORANGE,
    SVG_HEIGHT_PX,
    SVG_MARGINS_PX,
    SVG_WIDTH_PX,
    Bars,
    Line,
    draw_lines,
    histogram_chart,
    line_chart,
    new_figure,
    save_png,
)

HOSTILE = '"><script>alert(1)</script>&'
FINITE = st.floats(-1e12, 1e12)
LEFT, RIGHT = SVG_MARGINS_PX["left"], SVG_WIDTH_PX - SVG_MARGINS_PX["right"]
TOP, BOTTOM = SVG_MARGINS_PX["top"], SVG_HEIGHT_PX - SVG_MARGINS_PX["bottom"]


def parsed(chart):
    return ElementTree.fromstring(chart.svg)


def path_in(chart, style):
    """The corners of the one path with this style."""
    (path,) = [part for part in parsed(chart).iter("path") if style in (part.get("style") or "")]
    return [tuple(map(float, pair.split())) for pair in re.findall(r"[ML]([^MLz]+)", path.get("d"))]


def tick_labels(chart):
    return [part.text for part in parsed(chart).iter("text")]


def test_a_line_goes_from_the_lower_left_to_the_upper_right():
    chart = line_chart("up", [Line("a", [0, 4, 10], [0.0, 0.6, 1.0])], x_label="x", y_range=(0, 1))
    assert path_in(chart, "stroke: var(--tone1)") == [
        (LEFT, BOTTOM),
        (pytest.approx(LEFT + 0.4 * (RIGHT - LEFT)), pytest.approx(BOTTOM - 0.6 * (BOTTOM - TOP))),
        (RIGHT, TOP),
    ]


def test_tick_labels_are_round_and_short():
    chart = line_chart("ticks", [Line("a", [0, 12_000], [0.0, 1e9])], x_label="x", y_range=(0, 1e9))
    assert tick_labels(chart) == [
        *("0", "2,000", "4,000", "6,000", "8,000", "10,000", "12,000"),
        *("0", "2e+08", "4e+08", "6e+08", "8e+08", "1e+09"),
    ]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e9), FINITE), max_size=30))
@example([(5e-324, 0.0)])
@example([(1e-310, 0.0), (2e-310, 5e-324)])
@example([(1.0, 1e12), (1.0, 1e12 + 1e-3)])
@example([(0.0, -1e299), (1.0, 1e299)])
def test_every_log_gives_a_chart_with_all_points_inside(points):
    xs, ys = [x for x, _ in points], [y for _, y in points]
    chart = line_chart("any", [Line("a", xs, ys, dots=True)] if points else [], x_label="x")
    dots = list(parsed(chart).iter("use"))
    assert len(dots) == len(points)
    for dot in dots:
        assert LEFT - 0.1 <= float(dot.get("x")) <= RIGHT + 0.1
        assert TOP - 0.1 <= float(dot.get("y")) <= BOTTOM + 0.1
    assert len(tick_labels(chart)) >= 4


def test_long_lines_are_thinned_and_keep_their_last_point():
    chart = line_chart("long", [Line("a", list(range(5000)), [0.0, 1.0] * 2500)], x_label="x", y_range=(0, 1))
    drawn = path_in(chart, "stroke: var(--tone1)")
    assert len(drawn) <= 400
    assert drawn[-1] == (RIGHT, TOP)


def test_a_single_point_is_drawn_as_a_dot():
    chart = line_chart("one", [Line("a", [3.0], [0.5])], x_label="x")
    assert len(list(parsed(chart).iter("use"))) == 1


def test_histograms_are_drawn_as_shares_of_their_own_total():
    histograms = [Bars("a", [1, 3], BLUE), Bars("b", [50, 50], ORANGE)]
    chart = histogram_chart("h", histograms, [0, 0.5, 1], x_label="x", threshold=0.5)
    rises = []
    for tone in (1, 2):
        heights = sorted({round(BOTTOM - y, 3) for _, y in path_in(chart, f"fill: none; stroke: var(--tone{tone})")})
        rises.append(heights)
    (a_zero, low, high), (b_zero, middle) = rises
    assert (a_zero, b_zero) == (0, 0)
    assert high == pytest.approx(3 * low, rel=0.01)
    assert middle == pytest.approx(2 * low, rel=0.01)
    middle_x = (LEFT + RIGHT) / 2
    assert path_in(chart, "stroke-dasharray") == [(middle_x, BOTTOM), (middle_x, TOP)]
    outside = histogram_chart("h", histograms, [0, 0.5, 1], x_label="x", threshold=2)
    assert "stroke-dasharray" not in outside.svg


def test_text_is_escaped_and_charts_are_described():
    chart = line_chart(HOSTILE, [Line(HOSTILE, [0, 1], [0, 1])], x_label=HOSTILE, threshold=(0.5, HOSTILE))
    assert "<script" not in chart.svg
    assert parsed(chart).get("aria-label") == HOSTILE
    assert parsed(chart).get("role") == "img"


def test_names_with_control_characters_are_drawn_as_escapes(tmp_path):
    figure = new_figure(4, 3)
    axes = figure.subplots()
    draw_lines(axes, [Line("loss\x1b[2J", [0, 1], [0, 1])])
    assert axes.lines[0].get_label() == "loss\\x1b[2J"
    axes.legend()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of characters that a font lacks
        save_png(figure, tmp_path / "chart.png")


def test_the_same_chart_gives_the_same_bytes_in_the_colors_of_the_page():
    def draw():
        lines = [Line(color, [0, 1, 2], [0, i, 2], color, dots=i == 2) for i, color in enumerate(COLORS)]
        return line_chart("colors", lines, x_label="x", threshold=(0.5, "chance")).svg

    assert draw() == draw()
    assert "#" not in re.sub(r"(?:url\(|href=\")#", "", draw()), "a color that ignores dark mode"
    assert {f"var(--tone{i})" for i in range(1, 7)} <= set(re.findall(r"var\(--tone\d\)", draw()))
    assert re.findall(r"<style|<metadata|Date|xmlns|font-family", draw()) == []


def test_ids_are_those_of_one_chart():
    """Pages hold many charts, so an id must not occur in two that differ."""
    first, second = (line_chart(name, [Line("a", [0, 1], [0, 1], dots=True)], x_label="x").svg for name in "ab")
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in zip((first, second), ids, strict=True):
        assert set(re.findall(r"#(\w+)", svg)) == own


def test_every_chart_has_its_numbers_as_a_table():
    lines = [Line("a", [0, 1, 2], [5.0, 6.0, 7.0]), Line("b", [1], [0.25]), Line("raw", [0], [9.0], faint=True)]
    assert line_chart("two", lines, x_label="kimg").table == [
        ["kimg", "a", "b"],
        ["0", "5", "–"],
        ["1", "6", "0.25"],
        ["2", "7", "0.25"],
    ]
    long = line_chart("long", [Line("a", list(range(5000)), [1.0] * 5000)], x_label="kimg").table
    assert len(long) == 13
    assert (long[1][0], long[-1][0]) == ("0", "4999")
    bars = [Bars("real", [1, 3], BLUE), Bars("fake", [2, 0], ORANGE)]
    assert histogram_chart("h", bars, [0.0, 0.5, 1.0], x_label="score").table == [
        ["score", "real", "fake"],
        ["0 to 0.5", "25%", "100%"],
        ["0.5 to 1", "75%", "0%"],
    ]

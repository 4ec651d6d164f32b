"""Charts: numbers lie where they belong, and whatever a log holds gives sound markup."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from facesmith.io.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Line, histogram_chart, line_chart, marks

HOSTILE = '"><script>alert(1)</script>&'
FINITE = st.floats(-1e12, 1e12)


def parsed(chart):
    return ElementTree.fromstring(chart.svg)


def points_of(chart):
    (path,) = [part for part in parsed(chart) if part.get("class") == "line"]
    return [tuple(map(float, pair.split())) for pair in re.findall(r"[ML]([^ML]+)", path.get("d"))]


def test_a_line_goes_from_the_lower_left_to_the_upper_right():
    chart = line_chart("up", [Line("a", [0, 5, 10], [0.0, 0.5, 1.0], 1)], x_label="x", y_range=(0, 1))
    assert points_of(chart) == [
        (LEFT, HEIGHT - BOTTOM),
        (pytest.approx((LEFT + WIDTH - RIGHT) / 2), pytest.approx((TOP + HEIGHT - BOTTOM) / 2)),
        (WIDTH - RIGHT, TOP),
    ]


def test_the_numbers_along_an_axis_are_round_and_inside():
    assert marks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert marks(0.3, 9.7) == pytest.approx([2, 4, 6, 8])
    assert marks(-3e-5, 4e-5) == pytest.approx([-2e-5, 0, 2e-5, 4e-5])


@given(FINITE, st.floats(1e-9, 1e12))
def test_every_axis_has_some_numbers(low, width):
    high = low + width
    assume(high - low > 1e-12 * max(abs(low), abs(high)))  # a chart makes room around what is nearer together
    assert 2 <= len(marks(low, high)) <= 12


@given(st.lists(st.tuples(st.floats(0, 1e9), FINITE), max_size=30))
@example([(5e-324, 0.0)])
@example([(1e-310, 0.0), (2e-310, 5e-324)])
def test_any_log_gives_a_picture_with_all_inside(points):
    xs, numbers = [x for x, _ in points], [number for _, number in points]
    chart = line_chart("any", [Line("a", xs, numbers, 1, dots=True)] if points else [], x_label="x")
    for dot in [part for part in parsed(chart).iter() if part.tag == "circle"]:
        assert LEFT - 0.1 <= float(dot.get("cx")) <= WIDTH - RIGHT + 0.1
        assert TOP - 0.1 <= float(dot.get("cy")) <= HEIGHT - BOTTOM + 0.1


def test_of_long_lines_some_points_are_drawn_and_the_last_among_them():
    chart = line_chart("long", [Line("a", list(range(5000)), [0.0] * 4999 + [1.0], 1)], x_label="x", y_range=(0, 1))
    drawn = points_of(chart)
    assert 300 < len(drawn) <= 400
    assert drawn[-1] == (WIDTH - RIGHT, TOP)


def test_a_single_point_is_seen():
    chart = line_chart("one", [Line("a", [3.0], [0.5], 1)], x_label="x")
    assert chart.svg.count("<circle") == 1


def test_histograms_are_shares_of_each_kind():
    chart = histogram_chart("h", [("a", [1, 3], 1), ("b", [50, 50], 2)], (0, 1), x_label="x", threshold=0.5)
    areas = [part.get("d") for part in parsed(chart) if part.get("class") == "area"]
    heights = [[float(pair.split()[1]) for pair in re.findall(r"L([^LZ]+)", area)][:-1] for area in areas]
    base = HEIGHT - BOTTOM
    rise = [[base - height for height in each[::2]] for each in heights]
    assert rise[0][1] == pytest.approx(3 * rise[0][0], rel=0.01)
    assert rise[1] == pytest.approx([2 * rise[0][0]] * 2, rel=0.01)
    assert "threshold" in chart.svg


def test_names_are_escaped_and_pictures_described():
    line = Line(HOSTILE, [0, 1], [0, 1], 7)
    chart = line_chart(HOSTILE, [line], x_label=HOSTILE, threshold=(0.5, HOSTILE))
    assert "<script" not in chart.svg
    assert parsed(chart).get("aria-label") == HOSTILE
    assert parsed(chart).get("role") == "img"

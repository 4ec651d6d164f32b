"""A run's log as charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from facesmith.io.charts import Line, histogram_chart, line_chart
from facesmith.io.html import Chart
from facesmith.training.curves import BALANCE, COIN, SCORED, loss_names, points, scored_names, smoothed
from facesmith.training.diagnosis import DISTANCE, TRAINING_AUC, VARIETY
from facesmith.training.discriminator_scores import Histogram

KIMG = "real faces shown, in thousands (kimg)"
MOMENTS = 6
REAL, FAKE = 1, 2  # tones
TONES = {name: tone for tone, name in enumerate(BALANCE, 1)}
SIGNS = {
    VARIETY: "variety of the faces; 1 is like real ones",
    DISTANCE: "distance from real faces; 0 is none",
    TRAINING_AUC: "pairs in which the critic scores a training face above an unseen one",
}
Log = Sequence[Mapping[str, Any]]


def balance_chart(lines: Log) -> list[Chart]:
    """Who wins: the shares of the steps as lines, those of the saves as dots."""
    drawn = [line for name, (label, _) in BALANCE.items() for line in _drawn(lines, name, label, TONES[name])]
    for name in scored_names(lines):
        if name in SIGNS:  # they have charts of their own
            continue
        tone = TONES[name.replace("scores/", "D/")]
        drawn.append(Line(SCORED[name][0], *points(lines, name), tone, dots=True))
    if not drawn:
        return []
    told = "How often critic and generator win, over the training"
    chart = line_chart(told, drawn, x_label=KIMG, y_range=(0, 1), threshold=(COIN, "no better than a coin"))
    return [chart]


def loss_charts(lines: Log) -> tuple[list[Chart], list[tuple[str, str]]]:
    """The players' losses together, every other term by itself, since each has a scale of its own.

    Returns:
        Charts, and name and number of terms that stay as they are.
    """
    names = loss_names(lines)
    losses = [name for name in names if name.endswith("/loss")]
    drawn = [line for i, name in enumerate(losses) for line in _drawn(lines, name, name, i + 1)]
    whole = [line_chart("The losses of all players, over the training", drawn, x_label=KIMG)] if drawn else []
    charts, constant = _changing(lines, [name for name in names if name not in losses])
    return [*(replace(chart, title="losses") for chart in whole), *charts], constant


def knob_charts(lines: Log) -> tuple[list[Chart], list[tuple[str, str]]]:
    """All that is scheduled: charts of what changes, name and number of what does not."""
    return _changing(lines, sorted({name for line in lines for name in line if name.startswith(("lr/", "knob/"))}))


def _changing(lines: Log, names: Sequence[str]) -> tuple[list[Chart], list[tuple[str, str]]]:
    held = {name: points(lines, name)[1] for name in names}
    charts = [_alone(lines, name) for name, numbers in held.items() if len(set(numbers)) > 1]
    return charts, [(name, f"{numbers[0]:g}") for name, numbers in held.items() if len(set(numbers)) == 1]


def sign_charts(lines: Log) -> list[Chart]:
    """The doctor's signs, where they were taken."""
    return [chart for name, title in SIGNS.items() for chart in term_chart(lines, name, title)]


def term_chart(lines: Log, name: str, title: str) -> list[Chart]:
    """One term of the log, where it is there."""
    return [replace(_alone(lines, name), title=title)] if points(lines, name)[0] else []


def score_charts(histograms: Sequence[tuple[int, Histogram]]) -> list[Chart]:
    """The scores at some moments, evenly spread; the newest comes last."""
    last = len(histograms) - 1
    chosen = sorted({round(i * last / (MOMENTS - 1)) for i in range(MOMENTS)}) if histograms else []
    return [_scores(*histograms[i]) for i in chosen]


def _scores(seen: int, scores: Histogram) -> Chart:
    title = f"at {seen / 1000:.1f} kimg, {sum(scores.real):,} of each"
    chart = histogram_chart(
        f"Scores of real faces and of fakes {title}",
        (("real faces, D(x)", scores.real, REAL), ("fakes, D(G(z))", scores.fake, FAKE)),
        (scores.low, scores.high),
        x_label="0: surely a fake, 1: surely real" if scores.probability else "score; more is more real",
        threshold=scores.real_threshold,
    )
    return replace(chart, title=title)


def _alone(lines: Log, name: str) -> Chart:
    chart = line_chart(f"{name}, over the training", _drawn(lines, name, name, 1), x_label=KIMG)
    return replace(chart, title=name, legend=())


def _drawn(lines: Log, name: str, label: str, tone: int) -> list[Line]:
    """A term's line; a long one as its moving average, with itself pale behind it."""
    kimg, numbers = points(lines, name)
    if not kimg:
        return []
    means = smoothed(numbers)
    whole = Line(label, kimg, means or numbers, tone)
    return [whole, Line(label, kimg, numbers, tone, faint=True)] if means else [whole]

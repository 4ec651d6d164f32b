"""A run's log as charts for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from facesmith.pictures.charts import histogram_chart, line_chart
from facesmith.pictures.html import Chart
from facesmith.training.curves import (
    CHANCE,
    DIAGNOSIS_STATISTICS,
    KIMG_LABEL,
    LABELS,
    Log,
    bin_edges,
    loss_names,
    named_lines,
    points,
    score_bars,
    score_label,
    share_lines,
    term_lines,
)
from facesmith.training.discriminator_scores import Histogram

Item = TypeVar("Item")
MAX_HISTOGRAMS = 6
ConstantTerms = list[tuple[str, str]]


def share_chart(log: Log) -> list[Chart]:
    """Accuracies and fooling rate: the balance of the players."""
    lines = share_lines(log)
    if not lines:
        return []
    description = "Discriminator accuracy and fooling rate during training"
    return [line_chart(description, lines, x_label=KIMG_LABEL, y_range=(-0.02, 1.02), threshold=CHANCE)]


def loss_charts(log: Log) -> tuple[list[Chart], ConstantTerms]:
    """The losses in one chart; every other term in its own, since each has its own scale.

    Returns:
        Charts, and name and number of each term that never changes.
    """
    names = loss_names(log)
    losses = [name for name in names if "/loss" in name]
    lines = named_lines(log, losses)
    together = [line_chart("Losses during training", lines, x_label=KIMG_LABEL, title="losses")] if lines else []
    charts, constant = _charts_of_changing_terms(log, [name for name in names if name not in losses])
    return [*together, *charts], constant


def schedule_charts(log: Log) -> tuple[list[Chart], ConstantTerms]:
    """Learning rates and other schedules, as `loss_charts`."""
    names = sorted({name for line in log for name in line if name.startswith(("lr/", "knob/"))})
    return _charts_of_changing_terms(log, names)


def sign_charts(log: Log) -> list[Chart]:
    """The statistics that the diagnosis reads."""
    return [chart for key in DIAGNOSIS_STATISTICS for chart in term_chart(log, key)]


def term_chart(log: Log, key: str) -> list[Chart]:
    """One term of the log under its label; none where the log lacks it."""
    lines = term_lines(log, key, key)
    if not lines:
        return []
    chart = line_chart(f"{LABELS.get(key, key)}, during training", lines, x_label=KIMG_LABEL)
    return [replace(chart, title=LABELS.get(key, key), legend=())]


def score_charts(histograms: Sequence[tuple[int, Histogram]]) -> list[Chart]:
    """The discriminator's scores at a few checkpoints; the newest is last."""
    return [_score_chart(*each) for each in evenly_spaced(histograms, MAX_HISTOGRAMS)]


def evenly_spaced(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items, among them the first and the last."""
    if not items:
        return []
    return [items[i] for i in sorted({round(i * (len(items) - 1) / (count - 1)) for i in range(count)})]


def _score_chart(seen: int, scores: Histogram) -> Chart:
    title = f"at {seen / 1000:.1f} kimg, {sum(scores.real):,} of each"
    description = f"Scores of real faces and of fakes {title}"
    return histogram_chart(
        description,
        score_bars(scores),
        bin_edges(scores),
        x_label=score_label(scores),
        title=title,
        threshold=scores.real_threshold,
    )


def _charts_of_changing_terms(log: Log, names: Sequence[str]) -> tuple[list[Chart], ConstantTerms]:
    numbers = {name: points(log, name)[1] for name in names}
    charts = [chart for name in names if len(set(numbers[name])) > 1 for chart in term_chart(log, name)]
    return charts, [(name, f"{each[0]:g}") for name, each in numbers.items() if len(set(each)) == 1]

"""A run's pictures for a person: its curves over images seen, and how the critic scores real faces and fakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facesmith.files import written_beside
from facesmith.scores import Histogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that the colour-blind tell apart (Okabe and Ito).
REAL, FAKE, FOOLED, RANKED = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
BALANCE = {  # the means of all steps since the last save
    "D/knows_real": ("real faces that the critic takes for real", REAL),
    "D/knows_fake": ("fakes that the critic sees through", FAKE),
    "G/fools": ("fakes that fool the critic", FOOLED),
    "D/ranks": ("pairs in which the real face scores more", RANKED),
}
SCORED = {  # measured at the saves; drawn as dots
    "scores/knows_real": ("real faces, at a save", REAL),
    "scores/knows_fake": ("fakes, at a save", FAKE),
    "scores/ranks": ("pairs, at a save", RANKED),
}
APART = ("lr/", "knob/", "scores", "reconstruction/", "seen", "step", "seconds", "images_per_second", "memory_mib")
COIN = 0.5
READABLE = 60  # points of a line; where there are more, their moving average is drawn
Points = tuple[list[float], list[float]]


def draw_curves(path: Path, lines: Sequence[Mapping[str, Any]], title: str) -> None:
    """Draw a log's lines: losses above, the balance of the players below. A name may stand in some lines only."""
    figure = _figure(9, 7.5, left=0.08, right=0.97, bottom=0.17, top=0.95, hspace=0.08)
    losses, balance = figure.subplots(2, 1, sharex=True)
    for name in loss_names(lines):
        _line(losses, points(lines, name), name, None)
    for name, (label, colour) in BALANCE.items():
        _line(balance, points(lines, name), label, colour)
    for name in scored_names(lines):
        label, colour = SCORED[name]
        balance.plot(*points(lines, name), ".", label=label, color=colour)
    balance.axhline(COIN, color="grey", linestyle=":", linewidth=1)
    balance.text(0.01, COIN + 0.01, "no better than a coin", transform=balance.get_yaxis_transform(), color="grey")
    losses.set_title(title)
    losses.set_ylabel("loss")
    balance.set_ylabel("share")
    balance.set_ylim(-0.02, 1.02)
    balance.set_xlabel("real faces shown, in thousands (kimg)")
    for axes in (losses, balance):
        axes.grid(alpha=0.3)
    for axes, place in ((losses, {}), (balance, {"loc": "upper center", "bbox_to_anchor": (0.5, -0.15)})):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small", ncols=3, **place)
    _write(figure, path)


def draw_scores(path: Path, scores: Histogram, title: str) -> None:
    """Draw D(x) against D(G(z)): how many real faces and how many fakes got which score."""
    figure = _figure(7, 4, left=0.1, right=0.97, bottom=0.13, top=0.9)
    axes = figure.subplots()
    edges = np.linspace(scores.low, scores.high, len(scores.real) + 1)
    for counts, label, colour in ((scores.real, "D(x), real faces", REAL), (scores.fake, "D(G(z)), fakes", FAKE)):
        shares = np.divide(counts, sum(counts))
        axes.stairs(shares, edges, fill=True, alpha=0.3, color=colour)
        axes.stairs(shares, edges, label=label, color=colour)
    if scores.real_above is not None and scores.low <= scores.real_above <= scores.high:
        axes.axvline(scores.real_above, color="grey", linestyle=":")
        axes.text(scores.real_above, 0.96, " called real →", transform=axes.get_xaxis_transform(), color="grey")
    axes.set_title(title, loc="left")
    axes.set_xlabel("probability of being real, says the critic" if scores.probability else "score of the critic")
    axes.set_ylabel(f"share of {sum(scores.real)} pictures each")
    axes.legend(fontsize="small", ncols=2, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    _write(figure, path)


def scored_names(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """What of the saves' measurements a person should look at: ranks only where the critic knows no threshold."""
    held = [name for name in SCORED if points(lines, name)[0]]
    return [name for name in held if name != "scores/ranks" or held == [name]]


def loss_names(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The terms of a log that are neither shares nor the run's own figures."""
    names = {name for line in lines for name in line if not name.startswith(APART)}
    return sorted(names - BALANCE.keys())


def points(lines: Sequence[Mapping[str, Any]], name: str) -> Points:
    """Thousands of faces shown, and a term's numbers, of the lines that hold one."""
    held = [(line["seen"] / 1000, line[name]) for line in lines if isinstance(line.get(name), int | float)]
    return [kimg for kimg, _ in held], [number for _, number in held]


def smoothed(numbers: Sequence[float]) -> list[float] | None:
    """The moving average of a line too long to be read; None for a short one."""
    if len(numbers) <= READABLE:
        return None
    reach = len(numbers) // READABLE
    sums = np.cumsum([0.0, *numbers])
    start = np.maximum(np.arange(len(numbers)) - reach, 0)
    stop = np.minimum(np.arange(len(numbers)) + reach + 1, len(numbers))
    means: list[float] = ((sums[stop] - sums[start]) / (stop - start)).tolist()
    return means


def _line(axes: Axes, line: Points, label: str, colour: str | None) -> None:
    """A term over kimg; where the line is long, its moving average over the bare one, which is faint then."""
    kimg, numbers = line
    if not kimg:
        return
    means = smoothed(numbers)
    (drawn,) = axes.plot(kimg, means or numbers, label=label, color=colour)
    if means:
        axes.plot(kimg, numbers, color=drawn.get_color(), alpha=0.25, linewidth=0.7)


def _figure(width: float, height: float, **margins: float) -> Figure:
    """A figure of fixed margins: to let them be found would double the time."""
    from matplotlib.figure import Figure  # slow to import, and only needed here

    figure = Figure(figsize=(width, height))
    figure.subplots_adjust(**margins)
    return figure


def _write(figure: Figure, path: Path) -> None:
    with written_beside(path) as stream:
        figure.savefig(stream, format="png", dpi=100)

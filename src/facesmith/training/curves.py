"""A run's pictures for a person: its curves over images seen, and how the critic scores real faces and fakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facesmith.io.files import atomic_write
from facesmith.training.diagnosis import DISTANCE, VARIETY
from facesmith.training.discriminator_scores import Histogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that the colour-blind tell apart (Okabe and Ito).
REAL, FAKE, FOOLED, RANKED = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
BALANCE = {  # the means of all steps since the last save
    "D/accuracy_real": ("real faces that the critic takes for real", REAL),
    "D/accuracy_fake": ("fakes that the critic sees through", FAKE),
    "G/fooling_rate": ("fakes that fool the critic", FOOLED),
    "D/auc": ("pairs in which the real face scores more", RANKED),
    "D/plays": ("turns in which the critic learns", "#E69F00"),
    "G/plays": ("turns in which the generator learns", "#777777"),
}
SCORED = {  # measured at the saves; drawn as dots
    "scores/accuracy_real": ("real faces, at a save", REAL),
    "scores/accuracy_fake": ("fakes, at a save", FAKE),
    "scores/auc": ("pairs, at a save", RANKED),
    "scores/training_auc": ("pairs in which a training face scores above an unseen one", "#000000"),
}
WATCHED = "eval/kid"  # of the evaluations while training; lower is better
APART = (
    *("lr/", "knob/", "scores", "reconstruction/", "eval/", "signs/"),
    *("seen", "step", "seconds", "images_per_second", "memory_mib"),
)
SIGNS = (VARIETY, DISTANCE)  # of the fixed faces: 1 is as varied as real, 0 is as near as real
COIN = 0.5
LARGEST = 1e300
READABLE = 60  # points of a line; where there are more, their moving average is drawn
Points = tuple[list[float], list[float]]


def draw_curves(path: Path, lines: Sequence[Mapping[str, Any]], title: str) -> None:
    """Draw a log's lines: losses, other terms, and the balance of the players, each where there is any."""
    names = loss_names(lines)
    losses, others = ([name for name in names if name.endswith("/loss") == wanted] for wanted in (True, False))
    shares = [name for name in (*BALANCE, *SCORED) if points(lines, name)[0]]
    watched = [WATCHED] if points(lines, WATCHED)[0] else []
    signs = [name for name in SIGNS if points(lines, name)[0]]
    kinds = (("loss", losses), ("other terms", others), ("KID", watched), ("share", shares), ("signs", signs))
    panels = [panel for panel in kinds if panel[1]]
    height = 1.7 + 2.8 * max(len(panels), 1)
    figure = _figure(9, height, left=0.08, right=0.97, bottom=1.3 / height, top=1 - 0.4 / height, hspace=0.06)
    below = figure.subplots(max(len(panels), 1), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (what, held) in zip(below, panels, strict=False):  # an empty log has axes without a panel
        _balance(axes, lines) if what == "share" else _terms(axes, lines, held)
        axes.set_ylabel(what)
    if others:
        _by_magnitude(below[1 if losses else 0], [number for name in others for number in points(lines, name)[1]])
    for axes in below:
        axes.grid(alpha=0.3)
    below[0].set_title(title)
    below[-1].set_xlabel("real faces shown, in thousands (kimg)")
    _write(figure, path)


def _terms(axes: Axes, lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    for name in names:
        _line(axes, points(lines, name), name, None)
    axes.legend(fontsize="small", ncols=3)


def _by_magnitude(axes: Axes, numbers: Sequence[float]) -> None:
    """Terms of different scales over one another, where none is negative."""
    if min(numbers) >= 0 and max(numbers) > 0:
        axes.set_yscale("log")


def _balance(axes: Axes, lines: Sequence[Mapping[str, Any]]) -> None:
    """Who wins: the shares of the steps as lines, those of the saves as dots."""
    for name, (label, colour) in BALANCE.items():
        _line(axes, points(lines, name), label, colour)
    for name in scored_names(lines):
        label, colour = SCORED[name]
        axes.plot(*points(lines, name), ".", label=label, color=colour)
    axes.axhline(COIN, color="grey", linestyle=":", linewidth=1)
    axes.text(0.01, COIN + 0.01, "no better than a coin", transform=axes.get_yaxis_transform(), color="grey")
    axes.set_ylim(-0.02, 1.02)
    place = {"bbox_to_anchor": (0.5, 0), "bbox_transform": axes.figure.transFigure}
    axes.legend(fontsize="small", ncols=3, loc="lower center", **place)


def draw_scores(path: Path, scores: Histogram, title: str) -> None:
    """Draw D(x) against D(G(z)): how many real faces and how many fakes got which score."""
    figure = _figure(7, 4, left=0.1, right=0.97, bottom=0.13, top=0.9)
    axes = figure.subplots()
    edges = np.linspace(scores.low, scores.high, len(scores.real) + 1)
    for counts, label, colour in ((scores.real, "D(x), real faces", REAL), (scores.fake, "D(G(z)), fakes", FAKE)):
        shares = np.divide(counts, sum(counts))
        axes.stairs(shares, edges, fill=True, alpha=0.3, color=colour)
        axes.stairs(shares, edges, label=label, color=colour)
    if scores.real_threshold is not None and scores.low <= scores.real_threshold <= scores.high:
        axes.axvline(scores.real_threshold, color="grey", linestyle=":")
        axes.text(scores.real_threshold, 0.96, " called real →", transform=axes.get_xaxis_transform(), color="grey")
    axes.set_title(title, loc="left")
    axes.set_xlabel("probability of being real, says the critic" if scores.probability else "score of the critic")
    axes.set_ylabel(f"share of {sum(scores.real)} pictures each")
    axes.legend(fontsize="small", ncols=2, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    _write(figure, path)


def scored_names(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """What of the saves' measurements a person should look at: ranks only where the critic knows no threshold."""
    held = [name for name in SCORED if points(lines, name)[0]]
    return [name for name in held if name != "scores/auc" or "scores/accuracy_real" not in held]


def loss_names(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The terms of a log that are neither shares nor the run's own figures."""
    names = {name for line in lines for name, held in line.items() if not name.startswith(APART) and _is_number(held)}
    return sorted(names - BALANCE.keys())


def points(lines: Sequence[Mapping[str, Any]], name: str) -> Points:
    """Thousands of faces shown, and a term's finite numbers, of the lines that hold one."""
    held = [(line["seen"] / 1000, float(line[name])) for line in lines if _is_number(line.get(name))]
    return [kimg for kimg, _ in held], [number for _, number in held]


def _is_number(held: Any) -> bool:
    return type(held) in (int, float) and abs(held) < LARGEST  # so no NaN either


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
    with atomic_write(path) as stream:
        figure.savefig(stream, format="png", dpi=100)

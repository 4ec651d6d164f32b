"""A run's figures: its log as curves over images seen, and the discriminator's scores of real faces and of fakes.

The labels and colors of log keys are in this module; the report and the studio use them as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facesmith.modelfiles.run_folder import is_number
from facesmith.pictures.charts import (
    BLUE,
    COLORS,
    GRAY,
    GREEN,
    ORANGE,
    PINK,
    YELLOW,
    Bars,
    Line,
    draw_histograms,
    draw_lines,
    new_figure,
    save_png,
    use_plain_numbers,
)
from facesmith.training.diagnosis import DISTANCE, TRAINING_AUC, VARIETY
from facesmith.training.discriminator_scores import Histogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Log = Sequence[Mapping[str, Any]]

STEP_SHARES = {  # means over the steps since the last checkpoint; drawn as lines
    "D/accuracy_real": ("discriminator accuracy on real faces", BLUE),
    "D/accuracy_fake": ("discriminator accuracy on fakes", ORANGE),
    "G/fooling_rate": ("fooling rate: fakes scored as real", GREEN),
    "D/auc": ("AUC: a real face scores above a fake", PINK),
    "D/plays": ("turns in which the discriminator trains", YELLOW),
    "G/plays": ("turns in which the generator trains", GRAY),
}
CHECKPOINT_SHARES = {  # measured at a checkpoint on fixed faces and fakes; drawn as dots
    "scores/accuracy_real": ("accuracy on real faces, at a checkpoint", BLUE),
    "scores/accuracy_fake": ("accuracy on fakes, at a checkpoint", ORANGE),
    "scores/auc": ("AUC, at a checkpoint", PINK),
}
DIAGNOSIS_STATISTICS = {  # what the diagnosis reads
    VARIETY: "variety of generated faces; 1 is as varied as real faces",
    DISTANCE: "distance from real faces; 0 is the same distribution",
    TRAINING_AUC: "training AUC: a training face scores above a held-out face",
}
VALIDATION_KID = "validation/kid"
SPEED = "images_per_second"
LABELS = {
    **{key: label for key, (label, _) in (STEP_SHARES | CHECKPOINT_SHARES).items()},
    **DIAGNOSIS_STATISTICS,
    VALIDATION_KID: "KID to the validation split; lower is better",
    "reconstruction/psnr_db": "PSNR in dB",
    "G/loss": "generator loss",
    "D/loss": "discriminator loss",
    "D/loss_real": "discriminator loss on real faces",
    "D/loss_fake": "discriminator loss on fakes",
    SPEED: "images per second",
    "memory_mib": "memory in MiB",
}
NOT_LOSS_TERMS = (  # prefixes of keys that have charts of their own, or none
    *("lr/", "knob/", "scores", "reconstruction/", "validation/", "samples/"),
    *("seen", "step", "seconds", "images_per_second", "memory_mib", "threads", "budget", "rolled_back_from"),
)
KIMG_LABEL = "real images shown (kimg)"
CHANCE = (0.5, "chance")
MAX_RAW_POINTS = 60  # of a line; longer lines are drawn as their moving average


def draw_curves(path: Path, log: Log, title: str) -> None:
    """Write curves.png: losses, other terms, KID, shares and sample statistics, each in a panel if the log has any."""
    names = loss_names(log)
    losses = [name for name in names if "/loss" in name]
    others = [name for name in names if "/loss" not in name]
    panels = {
        "loss": named_lines(log, losses),
        "other terms": named_lines(log, others),
        "KID": named_lines(log, [VALIDATION_KID]),
        "share": share_lines(log),
        "statistics": named_lines(log, list(DIAGNOSIS_STATISTICS)),
    }
    panels = {y_label: lines for y_label, lines in panels.items() if lines} or {"": []}
    height = 1.7 + 2.8 * len(panels)
    figure = new_figure(9, height, left=0.08, right=0.97, bottom=1.3 / height, top=1 - 0.4 / height, hspace=0.06)
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (y_label, lines) in zip(rows, panels.items(), strict=True):
        draw_lines(axes, lines, CHANCE if y_label == "share" else None)
        axes.set_ylabel(y_label)
        axes.grid(alpha=0.3)
        if y_label == "share":
            axes.set_ylim(-0.02, 1.02)
            below = {"bbox_to_anchor": (0.5, 0), "bbox_transform": figure.transFigure, "loc": "lower center"}
            axes.legend(fontsize="small", ncols=3, **below)
        elif lines:
            axes.legend(fontsize="small", ncols=3)
        if y_label == "other terms":
            _set_log_scale(axes, lines)
    rows[0].set_title(title)
    rows[-1].set_xlabel(KIMG_LABEL)
    save_png(figure, path)


def draw_scores(path: Path, scores: Histogram, title: str) -> None:
    """Write scores.png: how many real faces and how many fakes got which score, D(x) against D(G(z))."""
    figure = new_figure(7, 4, left=0.1, right=0.97, bottom=0.13, top=0.9)
    axes = figure.subplots()
    draw_histograms(axes, score_bars(scores), bin_edges(scores), scores.real_threshold)
    if scores.real_threshold is not None and scores.low <= scores.real_threshold <= scores.high:
        axes.text(scores.real_threshold, 0.96, " scored as real →", transform=axes.get_xaxis_transform(), color="gray")
    axes.set_title(title, loc="left")
    axes.set_xlabel(score_label(scores))
    axes.set_ylabel(f"share of {sum(scores.real)} pictures each")
    axes.legend(fontsize="small", ncols=2, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    save_png(figure, path)


def score_bars(scores: Histogram) -> list[Bars]:
    """The scores of real faces and of fakes as histograms to draw."""
    return [Bars("real faces, D(x)", scores.real, BLUE), Bars("fakes, D(G(z))", scores.fake, ORANGE)]


def bin_edges(scores: Histogram) -> list[float]:
    """The edges of the bins, one more than there are bins."""
    edges: list[float] = np.linspace(scores.low, scores.high, len(scores.real) + 1).tolist()
    return edges


def score_label(scores: Histogram) -> str:
    """What the scores are, for an axis."""
    return "probability of being real, by the discriminator" if scores.probability else "logit of the discriminator"


def share_lines(log: Log) -> list[Line]:
    """The balance of the players: shares of the steps as lines, those of the checkpoints as dots."""
    lines = [line for key, (label, color) in STEP_SHARES.items() for line in term_lines(log, key, label, color)]
    for key in checkpoint_share_keys(log):
        label, color = CHECKPOINT_SHARES[key]
        lines.append(Line(label, *points(log, key), color, dots=True))
    return lines


def named_lines(log: Log, keys: Sequence[str]) -> list[Line]:
    """The terms under these keys, each in a color of its own; keys without numbers are left out."""
    colors = (COLORS[i % len(COLORS)] for i in range(len(keys)))
    return [line for key, color in zip(keys, colors, strict=True) for line in term_lines(log, key, key, color)]


def term_lines(log: Log, key: str, label: str, color: str = BLUE) -> list[Line]:
    """One term over kimg; a long one as its moving average, with the numbers themselves faint behind it."""
    kimg, numbers = points(log, key)
    if not kimg:
        return []
    means = smoothed(numbers)
    line = Line(label, kimg, means or numbers, color)
    return [line, Line(label, kimg, numbers, color, faint=True)] if means else [line]


def checkpoint_share_keys(log: Log) -> list[str]:
    """The keys of `CHECKPOINT_SHARES` in a log; the AUC only where the discriminator has no threshold for real."""
    keys = [key for key in CHECKPOINT_SHARES if points(log, key)[0]]
    return [key for key in keys if key != "scores/auc" or "scores/accuracy_real" not in keys]


def loss_names(log: Log) -> list[str]:
    """The keys of all loss terms in a log, sorted."""
    keys = {key for line in log for key, value in line.items() if is_number(value)}
    return sorted(key for key in keys - STEP_SHARES.keys() if not key.startswith(NOT_LOSS_TERMS))


def points(log: Log, key: str) -> tuple[list[float], list[float]]:
    """Kimg, and the term's number there, of each line that has a finite number.

    The speed of a short last interval is left out: a few steps measure mostly the start of an interval.
    """
    lines = [line for line in log if is_number(line.get(key))]
    if key == SPEED and len(lines) >= 3:
        before_last, last = (after["seen"] - before["seen"] for before, after in pairwise(lines[-3:]))
        if last < before_last / 2:
            lines.pop()
    return [line["seen"] / 1000 for line in lines], [float(line[key]) for line in lines]


def smoothed(numbers: Sequence[float]) -> list[float] | None:
    """The moving average of a line that is too long to read; None for a short one."""
    if len(numbers) <= MAX_RAW_POINTS:
        return None
    reach = len(numbers) // MAX_RAW_POINTS
    sums = np.cumsum([0.0, *numbers])
    start = np.maximum(np.arange(len(numbers)) - reach, 0)
    stop = np.minimum(np.arange(len(numbers)) + reach + 1, len(numbers))
    means: list[float] = ((sums[stop] - sums[start]) / (stop - start)).tolist()
    return means


def _set_log_scale(axes: Axes, lines: Sequence[Line]) -> None:
    """Use a logarithmic y axis, so that terms of different size can be read, unless one is negative."""
    numbers = [number for line in lines for number in line.ys]
    if min(numbers) >= 0 and max(numbers) > 0:
        axes.set_yscale("log")
        use_plain_numbers(axes.yaxis)

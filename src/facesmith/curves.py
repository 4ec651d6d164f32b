"""A run's curves as one picture: losses above, the balance of the players below, over images seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facesmith.files import written_beside

BALANCE = {
    "D/knows_real": ("real faces that the critic takes for real", "tab:red"),
    "D/knows_fake": ("fakes that the critic sees through", "tab:green"),
    "G/fools": ("fakes that fool the critic", "tab:blue"),
}
WATCHED = "eval/kid"  # of the evaluations while training, in a panel of its own
APART = ("eval/", "lr/", "knob/", "seen", "step", "seconds", "images_per_second", "memory_mib")


def draw_curves(path: Path, lines: Sequence[Mapping[str, Any]], title: str) -> None:
    """Draw a log's lines. A name that only some lines hold is drawn where it stands."""
    from matplotlib.figure import Figure  # slow to import, and only needed here

    watched = [(line["seen"] / 1000, line[WATCHED]) for line in lines if WATCHED in line]
    figure = Figure(figsize=(9, 9 if watched else 6.5), layout="constrained")
    losses, balance, *more = figure.subplots(3 if watched else 2, 1, sharex=True)
    names = sorted({name for line in lines for name in line if not name.startswith(APART)})
    for name in names:
        points = [(line["seen"] / 1000, line[name]) for line in lines if name in line]
        kimg, heights = zip(*points, strict=True)
        if name in BALANCE:
            label, colour = BALANCE[name]
            balance.plot(kimg, heights, label=label, color=colour)
        else:
            losses.plot(kimg, heights, label=name)
    losses.set_title(title)
    losses.set_ylabel("loss")
    balance.set_ylabel("share")
    balance.set_ylim(-0.02, 1.02)
    for axes in more:
        axes.plot(*zip(*watched, strict=True), marker="o", label="KID to the validation part; lower is better")
        axes.set_ylabel("KID")
    (more or [balance])[-1].set_xlabel("real faces shown, in thousands (kimg)")
    for axes in (losses, balance, *more):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    with written_beside(path) as stream:
        figure.savefig(stream, format="png", dpi=100)

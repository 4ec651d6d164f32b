"""Plot the discriminator accuracy of several runs side by side, for docs/research/recipes-compared.md.

The same figure is in "Generating Faces with Torch".

Run: python tools/balance_figure.py runs/a runs/b runs/c --titles BatchNorm skip l2 --out docs/assets/balance.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from facesmith.modelfiles.run_folder import LOG, read_log
from facesmith.training.curves import CHANCE, STEP_SHARES, points

SHOWN = ("D/accuracy_real", "D/accuracy_fake", "G/fooling_rate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--titles", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    figure = Figure(figsize=(3.4 * len(options.runs), 3.6), layout="constrained")
    panels = figure.subplots(1, len(options.runs), sharey=True, squeeze=False)[0]
    for axes, run, title in zip(panels, options.runs, options.titles, strict=True):
        lines, _ = read_log(run / LOG)
        for name in SHOWN:
            label, color = STEP_SHARES[name]
            axes.plot(*points(lines, name), label=label, color=color)
        axes.axhline(CHANCE[0], color="gray", linestyle=":", linewidth=1)
        axes.set(title=title, xlabel="kimg", ylim=(-0.02, 1.02))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    figure.savefig(options.out, dpi=90)


if __name__ == "__main__":
    main()

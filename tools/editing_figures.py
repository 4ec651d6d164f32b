"""Draw the pictures of docs/research/editing.md: what edits do, and their side effects. Generated faces only.

Run: python tools/editing_figures.py MODEL --data labeled.zip
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

import facesmith
from facesmith.attributes import learnable_labels, predict_logits, trained_classifier
from facesmith.device import fastest_precision
from facesmith.pictures.captions import with_caption, with_heading
from facesmith.pictures.images import enlarge, grid, write_picture

ASSETS = Path(__file__).parents[1] / "docs" / "assets"
SEEDS = (0, 1, 2, 3, 5, 9, 13, 16)  # chosen before looking at the results
EDITS = (
    "smiling", "eyeglasses", "male", "bangs", "black_hair", "bushy_eyebrows", "heavy_makeup", "goatee", "wearing_hat",
)  # fmt: skip
DRIFT_SEEDS, DRIFT_SHOWN = range(256), 8
SCALE, GAP_PX = 1, 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument(
        "--data", type=Path, required=True, help="the labeled faces that the directions were learned from"
    )
    options = parser.parse_args()
    model = facesmith.load(options.model)
    draw_edits(model)
    draw_drift(model, options.data, Console(stderr=True))


def draw_edits(model: facesmith.Model) -> None:
    """One column for each face: first unedited, then with each direction at strength 1 and at strength -1."""
    w = model.latents(SEEDS)
    rows = [with_heading(row(model, w), "unedited")]
    names = [name for name in EDITS if name in model.directions]
    for name in names:
        rows += [with_heading(row(model, w + s * model.directions[name]), f"{name}={s}") for s in (1, -1)]
    metadata = model.provenance({"Seeds": str(list(SEEDS)), "Edits": ", ".join(names)})
    print(write_picture(ASSETS / "editing.jpg", grid(np.stack(rows), 1, GAP_PX), metadata))


def row(model: facesmith.Model, w: np.ndarray) -> np.ndarray:
    return grid(enlarge(model.synthesize(w), SCALE), len(w), GAP_PX)


def draw_drift(model: facesmith.Model, data: Path, console: Console) -> None:
    """The faces in which a smile changes most other attributes, by the classifier: before and after."""
    faces = facesmith.open_faces(data, model.G.resolution, model.G.channels, console=console)
    precision = fastest_precision(torch.device("cpu"))
    learned = trained_classifier(faces, learnable_labels(faces), console, precision=precision)
    w = model.latents(DRIFT_SEEDS)
    before, after = model.synthesize(w), model.synthesize(w + model.directions["smiling"])
    has_before, has_after = (predict_logits(learned.classifier, each).numpy() > 0 for each in (before, after))
    other = np.arange(len(learned.names)) != learned.names.index("smiling")
    changed = (has_before != has_after) & other
    cells = []
    for i in changed.sum(1).argsort()[::-1][:DRIFT_SHOWN]:
        pair = enlarge(grid(np.stack([before[i], after[i]]), 2), 2)
        cells.append(with_heading(with_caption(pair, f"seed {i}"), f"{changed[i].sum()} changes"))
    metadata = model.provenance({"Edits": "smiling=1", "Shown": "faces in which most other attributes changed"})
    print(write_picture(ASSETS / "editing-drift.jpg", grid(np.stack(cells), 2, GAP_PX), metadata))


if __name__ == "__main__":
    main()

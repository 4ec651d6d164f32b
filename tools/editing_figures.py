"""The pictures of docs/research/editing.md: what edits do, and where they go wrong. Generated faces only.

Run: python tools/editing_figures.py MODEL --data celeba64.zip
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

import facesmith
from facesmith.attributes import learnable_labels, predict_logits, trained_classifier
from facesmith.device import has_bfloat16
from facesmith.io.captions import with_caption, with_heading
from facesmith.io.images import enlarge, grid, write_png

ASSETS = Path(__file__).parents[1] / "docs" / "assets"
FACES = (0, 1, 2, 3, 5, 9, 13, 16)  # seeds, not chosen by what came out
EDITS = ("smiling", "eyeglasses", "male", "young", "bangs", "black_hair", "blond_hair", "heavy_makeup", "wavy_hair")
TRIED, SHOWN = 256, 8
SCALE, GAP_PX = 1, 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="the labelled faces that the directions come from")
    options = parser.parse_args()
    model = facesmith.load(options.model)
    edits(model)
    drift(model, options.data, Console(stderr=True))


def edits(model: facesmith.Model) -> None:
    """Each row a direction, each column a face: as it is, then with the direction at 1 and, below, at -1."""
    w = model.latents(FACES)
    rows = [with_heading(row(model, w), "unedited")]
    shown = [name for name in EDITS if name in model.directions]
    for name in shown:
        rows += [with_heading(row(model, w + s * model.directions[name]), f"{name}={s}") for s in (1, -1)]
    told = model.provenance({"Seeds": str(list(FACES)), "Edits": ", ".join(shown)})
    print(write_png(ASSETS / "editing.png", grid(np.stack(rows), 1, GAP_PX), told))


def row(model: facesmith.Model, w: np.ndarray) -> np.ndarray:
    return grid(enlarge(model.synthesize(w), SCALE), len(w), GAP_PX)


def drift(model: facesmith.Model, data: Path, console: Console) -> None:
    """The faces whose smile changes most else, by the classifier: before, after, and what it says changed."""
    faces = facesmith.open_faces(data, model.G.resolution, model.G.channels, console=console)
    precision = torch.bfloat16 if has_bfloat16(torch.device("cpu")) else torch.float32
    trained = trained_classifier(faces, learnable_labels(faces), console, precision=precision)
    w = model.latents(range(TRIED))
    before, after = model.synthesize(w), model.synthesize(w + model.directions["smiling"])
    told, said = (predict_logits(trained.classifier, each).numpy() > 0 for each in (before, after))
    own = trained.names.index("smiling")
    changed = (told != said) & (np.arange(len(trained.names)) != own)
    cells = []
    for i in changed.sum(1).argsort()[::-1][:SHOWN]:
        pair = enlarge(grid(np.stack([before[i], after[i]]), 2), 2)
        cells.append(with_heading(with_caption(pair, f"seed {i}"), f"{changed[i].sum()} changes"))
    told_by = model.provenance({"Edits": "smiling=1", "Shown": "those in which most else changed"})
    print(write_png(ASSETS / "editing-drift.png", grid(np.stack(cells), 2, GAP_PX), told_by))


if __name__ == "__main__":
    main()

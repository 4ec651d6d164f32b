"""Draw faces of several models side by side, each panel with its recipe: for docs/research/recipes-compared.md.

Run: python tools/side_by_side.py runs/celeba runs/wgan ... --out docs/assets/recipes.png
     python tools/side_by_side.py runs/wgan --out docs/assets/recipes.png --into docs/assets/recipes.png --at 8
     (replaces the ninth panel of an existing figure and keeps all others)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import facesmith
from facesmith.pictures.captions import with_caption
from facesmith.pictures.images import Pixels, as_rgb, enlarge, grid, read_picture, write_png
from facesmith.report.read_run import limit_width

ACROSS, DOWN = 5, 3  # faces of a panel, with seeds from 0
FACE_PX = 64
COLUMNS, APART_PX, GAP_PX = 3, 8, 2


def panel(path: Path) -> Pixels:
    """The first faces of a model, resized to a common size."""
    model = facesmith.load(path)
    faces = as_rgb(model.sample(range(ACROSS * DOWN)))
    sheet = grid(enlarge(faces, 2) if model.recipe.resolution < FACE_PX else faces, ACROSS)
    return with_caption(
        limit_width(sheet, ACROSS * (FACE_PX + 1)), f"{model.recipe.name}, {model.header['seen'] / 1000:.0f} kimg"
    )


def replace_panels(figure: Pixels, new: dict[int, Pixels]) -> list[Pixels]:
    """The panels of a figure, some of them replaced."""
    height, width = next(iter(new.values())).shape[:2]
    down, across = height + GAP_PX, width + APART_PX + GAP_PX
    rows = (figure.shape[0] + GAP_PX) // down
    places = [figure[y * down :, x * across :][:height, :width] for y in range(rows) for x in range(COLUMNS)]
    panels = [new.get(number, place) for number, place in enumerate(places)]
    return panels[: 1 + max(number for number, each in enumerate(panels) if (each < 255).any())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--into", type=Path, help="an existing figure of which some panels are replaced")
    parser.add_argument(
        "--at", type=int, nargs="*", default=[], help="numbers of these panels, from 0, in the order of the models"
    )
    options = parser.parse_args()
    panels = [panel(path) for path in options.models]
    if options.into is not None:
        panels = replace_panels(read_picture(options.into), dict(zip(options.at, panels, strict=True)))
    height = max(len(each) for each in panels)
    width = max(each.shape[1] for each in panels) + APART_PX
    padded = [
        np.pad(each, ((0, height - len(each)), (0, width - each.shape[1]), (0, 0)), constant_values=255)
        for each in panels
    ]
    write_png(options.out, grid(np.stack(padded), COLUMNS, GAP_PX), {"Software": "facesmith", "Synthetic": "true"})


if __name__ == "__main__":
    main()

"""Mix faces of a model with faces from the tutorials' own pictures, at one size and unlabeled: docs/assets/blind.png.

The key, which says where each face comes from, is a separate file, so that a judge need not see it.

Run: python tools/blind_sheet.py runs/quick --pictures tutorials --out docs/assets/blind.png --key docs/assets/blind.csv
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

import facesmith
from facesmith.pictures.captions import with_caption
from facesmith.pictures.images import Pixels, enlarge, grid, read_picture, write_png

EACH = 16  # faces of each source
FACE_PX, SCALE, COLUMNS, GAP_PX = 64, 2, 8, 8
SEED = 5
# For each picture: left edges, top edges and size of its faces in pixels. Only the last stage of each training.
TUTORIALS = {
    "Face Generation Using DCGAN (32 px)": ("dcgan32_results.png", [12 + 114 * x for x in range(8)], [12, 130], 94),
    "Generating Faces with Torch, after 100 epochs": (
        "torch_5_and_100_epochs.png",
        [411 + round(66.6 * x) for x in range(5)],
        [41 + round(66.6 * y) for y in range(4)],
        65,
    ),
    "faces-gan-notebook (36 px)": (
        "notebook36_results.png",
        [28 + 114 * x for x in range(8)],
        [11 + round(82.4 * y) for y in range(16)],
        67,
    ),
}


def faces_of(folder: Path, picture: str, lefts: list[int], tops: list[int], side: int) -> Pixels:
    """The faces in a tutorial's picture, `[N, FACE_PX, FACE_PX, 3]`."""
    sheet = Image.fromarray(read_picture(folder / picture)).convert("RGB")
    boxes = [(left, top, left + side, top + side) for top in tops for left in lefts]
    faces = [sheet.crop(box).resize((FACE_PX, FACE_PX), Image.Resampling.BICUBIC) for box in boxes]
    return np.stack([np.asarray(face) for face in faces])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--pictures", type=Path, required=True, help="the folder of the tutorials' pictures")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    args = parser.parse_args()
    rng = np.random.default_rng(SEED)
    labeled = [("Facesmith, quick", face) for face in facesmith.load(args.model).sample(range(EACH))]
    for source, boxes in TUTORIALS.items():
        faces = faces_of(args.pictures, *boxes)
        labeled += [(source, faces[i]) for i in rng.permutation(len(faces))[:EACH]]
    order = rng.permutation(len(labeled))
    cells = [with_caption(enlarge(labeled[i][1][None], SCALE)[0], str(n + 1)) for n, i in enumerate(order)]
    write_png(args.out, grid(np.stack(cells), COLUMNS, GAP_PX))
    with args.key.open("w", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(["face", "source"])
        rows.writerows([n + 1, labeled[i][0]] for n, i in enumerate(order))


if __name__ == "__main__":
    main()

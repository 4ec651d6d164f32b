"""Draw pairs of faces by two models, one of each in random order and at one size, for judges who don't know the order.

The key, which says where the faces of the first model lie, is a separate file, so that a judge need not see it.

Run: python tools/blind_pairs.py first.safetensors second.safetensors --out pairs --count 32
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

import facesmith
from facesmith.pictures.captions import with_caption
from facesmith.pictures.images import Pixels, grid, write_png

PAIRS_PER_SHEET = 8
PAIRS_ACROSS = 2
FACE_PX = 256  # both models are enlarged to this side
GAP_PX = 8
SEED = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs=2)
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--count", type=int, default=32, help="pairs; both faces of a pair have the same seed")
    args = parser.parse_args()
    first, second = (
        [enlarged(face) for face in facesmith.load(path).sample(range(args.count))] for path in args.models
    )
    first_is_right = np.random.default_rng(SEED).permutation(np.arange(args.count) % 2).astype(bool)
    pairs = [
        pair[::-1] if swap else pair for pair, swap in zip(zip(first, second, strict=True), first_is_right, strict=True)
    ]
    args.out.mkdir(parents=True)
    for start in range(0, args.count, PAIRS_PER_SHEET):
        labeled = [
            with_caption(grid(np.stack(pair), columns=2, gap_px=GAP_PX), f"{number}: left or right?")
            for number, pair in enumerate(pairs[start : start + PAIRS_PER_SHEET], start)
        ]
        write_png(args.out / f"pairs-{start:03}.png", grid(np.stack(labeled), columns=PAIRS_ACROSS, gap_px=2 * GAP_PX))
    with (args.out / "key.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("pair", args.models[0].name))
        table.writerows((number, "right" if right else "left") for number, right in enumerate(first_is_right))


def enlarged(face: Pixels) -> Pixels:
    """A face at the size of the sheets."""
    return np.asarray(Image.fromarray(face).resize((FACE_PX, FACE_PX), Image.Resampling.BICUBIC))


if __name__ == "__main__":
    main()

"""The share of a model's samples in which our detector finds a face, beside that of real faces; and are any equal?

Run: python benchmarks/face_rate.py runs/first [--samples 500] [--data faces]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import facesmith
from facesmith.photos.detect import shows_face


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--data", type=Path, help="real faces, for the rate that they reach")
    options = parser.parse_args()
    model = facesmith.load(options.model)
    pictures = model.sample(range(options.samples))
    found = shows_face(pictures)
    different = len({picture.tobytes() for picture in pictures})
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    products = flat @ flat.T
    squared = np.diag(products)[:, None] + np.diag(products)[None] - 2 * products
    np.fill_diagonal(squared, np.inf)
    nearest = np.sqrt(squared.min(axis=1).clip(0) / flat.shape[1])
    print(f"{model.recipe.name} at {model.header['seen'] / 1000:.1f} kimg, model {model.hash[:16]}")
    print(f"face found with p > .9: {found.mean():.1%} of {len(pictures)} samples")
    print(f"different: {different} of {len(pictures)}; nearest two differ by {nearest.min():.1f} levels of 255 (RMS)")
    if options.data is not None:
        faces = facesmith.open_faces(options.data, model.recipe.resolution, model.recipe.channels)
        real = np.asarray(faces.pixels[faces.part("test")[: options.samples]])
        print(f"of {len(real)} real faces of the test part: {shows_face(real).mean():.1%}")


if __name__ == "__main__":
    main()

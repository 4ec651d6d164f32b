"""Measure what the norm of a latent does to a face: plain sums and straight lines compared with rescaled sums and arcs.

For each kind of sum, and half-way between two faces, it prints three numbers: the share of images in which the detector
finds a face, the share of pixel values that are black or white, and the contrast. Contrast is the standard deviation
within an image, of 255 levels.

Run: python benchmarks/latent_lengths.py runs/first [--samples 500]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

import facesmith
from facesmith.detection.detect import shows_face
from facesmith.latent.arithmetic import combine, parse_terms
from facesmith.latent.interpolation import walk_latents
from facesmith.pictures.images import as_rgb

SUMS = ("0", "0 - 1 + 2", "0 + 1", "0.5*0 + 0.5*1", "2*0 - 1")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--samples", type=int, default=500)
    options = parser.parse_args()
    model = facesmith.load(options.model)
    w = torch.from_numpy(model.latents(range(3 * options.samples))).reshape(3, options.samples, -1)
    print(
        f"{model.recipe.name} at {model.header['seen'] / 1000:.1f} kimg, "
        f"{options.samples} sums and midpoints of each kind"
    )
    for text in SUMS:
        terms = parse_terms(text)
        groups = w[[int(term.name) for term in terms]].unbind(1)
        for plain in (True, False):
            coefficients = [term.coefficient for term in terms]
            sums = torch.cat([combine(model.G, each, coefficients, plain=plain) for each in groups])
            report(model, f"{text} {'plain' if plain else 'rescaled to the norm of its terms'}", sums)
    half = torch.full((1,), 0.5, dtype=torch.float64)
    for spherical in (False, True):
        between = torch.cat([walk_latents(each, half, spherical=spherical) for each in w[:2].unbind(1)])
        report(model, f"half-way, {'on an arc' if spherical else 'on a straight line'}", between)


def report(model, label, w):
    images = model.synthesize(w.numpy())
    extremes = ((images <= 2) | (images >= 253)).mean()
    contrast = images.astype(np.float32).std(axis=(1, 2, 3)).mean()
    face_rate = shows_face(as_rgb(images)).mean()
    print(f"{label:55} face {face_rate:6.1%}   black or white {extremes:5.1%}   contrast {contrast:.0f}")


if __name__ == "__main__":
    main()

"""Do the numbers of an evaluation notice faults that were planted, and in order?

The table of docs/background/metrics.md.

Real faces play the generator: of the training part a share "taught" it, the rest is unseen. An ideal generator returns
unseen faces; the others return them blurred, noisy, without most kinds of faces, or return what taught them.

Run: python benchmarks/planted_faults.py --data celeba64.zip [--samples 1000]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from rich.console import Console

import facesmith
from facesmith.metrics.comparison import protocol_name, scores
from facesmith.metrics.copies import check_copies, nearest_faces, thumbnails
from facesmith.metrics.features import cached_features, open_extractor
from facesmith.photos.detect import shows_face
from facesmith.photos.split import part_of

TAUGHT = 0.4  # of the training part
SHOWN = ("fd", "kid", "precision", "recall", "density", "coverage")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args()
    console = Console(stderr=True)
    faces = facesmith.open_faces(options.data, 64)
    extractor = open_extractor("lite0")
    taught, unseen = parted(faces)
    test = np.asarray(faces.pixels[faces.part("test")])
    real = cached_features(extractor, test, "test faces", console)
    _, groups = np.unique([faces.groups[i] for i in faces.part("test")], return_inverse=True)
    near_taught, near_test = thumbnails(taught), thumbnails(test)
    ratios = nearest_faces(test, near_taught, near_test, "test faces", console, groups).ratio
    print(f"{len(test)} test faces, {len(taught)} that taught, {len(unseen)} unseen; {options.samples} samples\n")
    names = [protocol_name(name, options.samples, extractor.name) for name in SHOWN]
    print(f"| planted | {' | '.join(names)} | faces found | called copies | verdict |")
    print("|---" * (len(names) + 4) + "|")
    for name, pictures in planted(taught, unseen, test, options.samples).items():
        found = scores(real, cached_features(extractor, pictures, name, console))
        nearest = nearest_faces(pictures, near_taught, near_test, name, console)
        judged = check_copies(nearest.ratio, ratios)
        copied = len(np.unique(nearest.training[judged.copies]))
        verdict = f"copies of {copied} photos" if judged.found else "new faces"
        told = " | ".join(f"{found[metric]:.3g}" for metric in SHOWN)
        print(
            f"| {name} | {told} | {shows_face(pictures).mean():.1%} | {judged.copies.mean():.1%} | {verdict} |",
            flush=True,
        )


def parted(faces):
    """The training part in two, by groups: what taught, and what nobody has seen."""
    rows = faces.part("train")
    # Another use of the split's hash: of a name that is made longer, so that it falls anew.
    order = np.array([int(part_of(f"again/{faces.groups[i]}/{n}") == "train") for i in rows for n in range(4)])
    seen = order.reshape(len(rows), 4).all(1)  # .8 to the power of four
    return np.asarray(faces.pixels[rows[seen]]), np.asarray(faces.pixels[rows[~seen]])


def planted(taught, unseen, test, count):
    rng = np.random.default_rng(0)

    def some(pictures):
        return pictures[rng.permutation(len(pictures))[:count]]

    fine = some(unseen)
    by_brightness = unseen[np.argsort(unseen.mean((1, 2, 3)), kind="stable")]
    half, tenth = (by_brightness[: max(count, round(len(unseen) * share))] for share in (0.5, 0.1))
    learnt = some(taught)
    return {
        "nothing: unseen real faces": fine,
        **{f"blur, radius {radius} px": blurred(fine, radius) for radius in (0.5, 1, 2)},
        **{f"noise, sigma {sigma} of 255": noisy(fine, sigma) for sigma in (4, 8, 16)},
        "mode loss 50 %: the darker half of faces": some(half),
        "mode loss 90 %: the darkest tenth": some(tenth),
        "one face, with noise": noisy(np.repeat(unseen[:1], count, axis=0), 4),
        "copies of what taught it": learnt,
        "… with noise, sigma 8": noisy(learnt, 8),
        "… mirrored, shifted by 2 px, brighter": disguised(learnt),
        "… of 12 photos only": noisy(taught[rng.integers(0, 12, count)], 8),
        "test faces themselves": some(test),
    }


def blurred(pictures, radius):
    return np.stack([np.asarray(Image.fromarray(p).filter(ImageFilter.GaussianBlur(radius))) for p in pictures])


def noisy(pictures, sigma):
    noise = np.random.default_rng(1).normal(0, sigma, pictures.shape)
    return np.clip(pictures + noise, 0, 255).round().astype(np.uint8)


def disguised(pictures):
    moved = np.roll(pictures[:, :, ::-1], (2, -2), axis=(1, 2))
    return np.stack([np.asarray(ImageEnhance.Brightness(Image.fromarray(p)).enhance(1.15)) for p in moved])


if __name__ == "__main__":
    main()

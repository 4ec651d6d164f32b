"""Do the metrics notice planted faults, and rank them by size? Prints the table of docs/background/metrics.md.

Real faces play the role of the generator. About 40 % of the training split count as its training data, the rest as
unseen. An ideal generator returns unseen faces. The others return them with blur or noise, return few kinds of faces,
or copy their training data.

Run: python benchmarks/planted_faults.py --data celeba64.zip [--samples 1000]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from rich.console import Console

import facesmith
from facesmith.detection.detect import shows_face
from facesmith.metrics.comparison import protocol_name, scores
from facesmith.metrics.copies import check_copies, nearest_faces, thumbnails
from facesmith.metrics.features import cached_features, open_extractor
from facesmith.photos.split import part_of

METRICS = ("fd", "kid", "precision", "recall", "density", "coverage")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=1000)
    options = parser.parse_args()
    console = Console(stderr=True)
    faces = facesmith.open_faces(options.data, 64)
    extractor = open_extractor("lite0")
    training, unseen = split_training_faces(faces)
    test = np.asarray(faces.pixels[faces.part("test")])
    test_features = cached_features(extractor, test, "test faces", console)
    _, groups = np.unique([faces.groups[i] for i in faces.part("test")], return_inverse=True)
    training_thumbnails, test_thumbnails = thumbnails(training), thumbnails(test)
    test_nearest = nearest_faces(test, training_thumbnails, test_thumbnails, "test faces", console, groups)
    print(f"{len(test)} test faces, {len(training)} training faces, {len(unseen)} unseen; {options.samples} samples\n")
    names = [protocol_name(metric, options.samples, extractor.name) for metric in METRICS]
    print(f"| planted | {' | '.join(names)} | faces found | copies | verdict |")
    print("|---" * (len(names) + 4) + "|")
    for name, images in planted_samples(training, unseen, test, options.samples).items():
        values = scores(test_features, cached_features(extractor, images, name, console))
        nearest = nearest_faces(images, training_thumbnails, test_thumbnails, name, console)
        check = check_copies(nearest, test_nearest)
        copied = len(np.unique(nearest.training[check.copies]))
        verdict = f"copies of {copied} photos" if check.has_copies else "new faces"
        cells = " | ".join(f"{values[metric]:.3g}" for metric in METRICS)
        print(
            f"| {name} | {cells} | {shows_face(images).mean():.1%} | {check.copies.mean():.1%} | {verdict} |",
            flush=True,
        )


def split_training_faces(faces):
    """The training split in two parts by groups: the planted generators' training data, and unseen faces."""
    rows = faces.part("train")
    # The split's hash of four other names per group. Each is in the training split with probability 0.8, and a face is
    # training data if all four are: 0.8 ** 4 = 0.41.
    hashed = np.array([int(part_of(f"again/{faces.groups[i]}/{n}") == "train") for i in rows for n in range(4)])
    in_training = hashed.reshape(len(rows), 4).all(1)
    return np.asarray(faces.pixels[rows[in_training]]), np.asarray(faces.pixels[rows[~in_training]])


def planted_samples(training, unseen, test, count):
    """`count` samples of each planted generator, by name."""
    rng = np.random.default_rng(0)

    def choose(images):
        return images[rng.permutation(len(images))[:count]]

    good = choose(unseen)
    by_brightness = unseen[np.argsort(unseen.mean((1, 2, 3)), kind="stable")]
    half, tenth = (by_brightness[: max(count, round(len(unseen) * share))] for share in (0.5, 0.1))
    copies = choose(training)
    return {
        "nothing: unseen real faces": good,
        **{f"blur, radius {radius} px": blurred(good, radius) for radius in (0.5, 1, 2)},
        **{f"noise, sigma {sigma} of 255": noisy(good, sigma) for sigma in (4, 8, 16)},
        "mode loss, 50 %: the darker half of the faces": choose(half),
        "mode loss, 90 %: the darkest tenth": choose(tenth),
        "one face, with noise": noisy(np.repeat(unseen[:1], count, axis=0), 4),
        "copies of its training data": copies,
        "… with noise, sigma 8": noisy(copies, 8),
        "… mirrored, shifted by 2 px, brighter": disguised(copies),
        "… of only 12 photos": noisy(training[rng.integers(0, 12, count)], 8),
        "the test faces themselves": choose(test),
    }


def blurred(images, radius):
    return np.stack([np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius))) for image in images])


def noisy(images, sigma):
    noise = np.random.default_rng(1).normal(0, sigma, images.shape)
    return np.clip(images + noise, 0, 255).round().astype(np.uint8)


def disguised(images):
    moved = np.roll(images[:, :, ::-1], (2, -2), axis=(1, 2))
    return np.stack([np.asarray(ImageEnhance.Brightness(Image.fromarray(image)).enhance(1.15)) for image in moved])


if __name__ == "__main__":
    main()

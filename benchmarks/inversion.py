"""Measure inversion: reconstruction errors on held-out faces and on the model's own samples, and the time it takes.

Each reconstruction of a test face is compared with the closest of 1,000 samples and with the average face. The distance
is measured by the features that the optimization also uses (pooled EfficientNet-Lite0), and by two that it does not
use: features of MTCNN's O-Net before its heads, and pixels. All this is done for the encoder alone and with
optimization. The PSNR of inverted samples and the time for a photo, from file to latent, follow.

Run: python benchmarks/inversion.py runs/first faces [--faces 50] [--samples 16]
With --sheet out.png it writes the reconstructions of test faces (generated images only), best first.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from skimage.data import astronaut

import facesmith
from facesmith.detection.mtcnn import load_networks
from facesmith.explore.reconstruction_error import psnr
from facesmith.faces import open_faces
from facesmith.metrics.features import cached_features, extract_features, open_extractor
from facesmith.pictures.images import as_rgb, enlarge, grid, resize, to_float, write_png

SAMPLE_COUNT = 1000
QUIET = Console(quiet=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--faces", dest="count", type=int, default=50)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    model = facesmith.load(options.model)
    faces = open_faces(options.faces, model.G.resolution, model.G.channels, console=QUIET)
    rows = np.random.default_rng(1).permutation(faces.part("test"))[: options.count]
    real = np.asarray(faces.pixels[np.sort(rows)])
    print(f"{model.recipe.name} at {model.header['seen'] / 1000:.1f} kimg, {torch.get_num_threads()} threads")
    samples, average = model.sample(range(SAMPLE_COUNT)), model.synthesize(model.G.w_avg[None].numpy())
    labels = ("encoder alone", "optimized")
    measures = {"lite0 (optimized)": lite0, "O-Net": onet, "pixels": thumbnails}
    for optimize in (False, True):
        start, cpu_seconds = time.perf_counter(), time.process_time()
        w = model.invert(real, optimize=optimize)
        seconds, cpu_seconds = (
            (time.perf_counter() - start) / len(real),
            (time.process_time() - cpu_seconds) / len(real),
        )
        rebuilt = model.synthesize(w)
        print(
            f"{labels[optimize]}: {seconds:.2f} s per face ({cpu_seconds:.2f} s of CPU time), "
            f"{psnr(real, rebuilt).mean():.1f} dB"
        )
        for name, measure in measures.items():
            compare(name, measure(real), measure(rebuilt), measure(samples), measure(average))
        deviation = np.linalg.norm(w - model.G.w_avg.numpy(), axis=-1).mean()
        sample_deviation = np.linalg.norm(model.latents(range(SAMPLE_COUNT)) - model.G.w_avg.numpy(), axis=-1).mean()
        print(f"  distance of latents from the average: {deviation / sample_deviation:.2f} times that of samples")
    if options.sheet is not None:
        order = np.linalg.norm(lite0(real) - lite0(rebuilt), axis=1).argsort()
        write_png(options.sheet, grid(enlarge(rebuilt[order], 2), 10), model.provenance({"Synthetic": "true"}))
    own = model.sample(range(50_000, 50_000 + options.samples))
    for optimize in (False, True):
        psnr_db = psnr(own, model.synthesize(model.invert(own, optimize=optimize)))
        print(f"samples, {labels[optimize]}: mean {psnr_db.mean():.1f} dB, lowest {psnr_db.min():.1f}")
    photo = astronaut()
    for optimize in (False, True):
        start = time.perf_counter()
        facesmith.load(options.model).invert(photo, optimize=optimize)
        print(
            f"a photo of 512x512, {labels[optimize]}: {time.perf_counter() - start:.2f} s, including opening the model"
        )


def compare(name, real, rebuilt, samples, average):
    """Print mean distances, and the share of reconstructions closer than the closest sample and the average face."""
    distances = np.linalg.norm(real - rebuilt, axis=1)
    closest = np.linalg.norm(real[:, None] - samples[None], axis=2).min(1)
    average_distances = np.linalg.norm(real - average, axis=1)
    print(
        f"  {name:18} distance {distances.mean():.2f}, closest of {len(samples)} samples {closest.mean():.2f}, "
        f"average face {average_distances.mean():.2f}; reconstruction closer than closest sample "
        f"{(distances < closest).mean():.0%}, than average face {(distances < average_distances).mean():.0%}"
    )


def lite0(pictures):
    extractor = open_extractor("lite0")
    features = cached_features if len(pictures) >= SAMPLE_COUNT else extract_features
    return features(extractor, pictures, "pictures", QUIET)


@torch.inference_mode()
def onet(pictures):
    """Return the 256 features from which O-Net predicts box, landmarks and face probability."""
    *_, network = load_networks()
    parts = []
    hook = network.trunk.register_forward_hook(lambda module, inputs, out: parts.append(out.clone()))
    for start in range(0, len(pictures), 64):
        small = np.stack([resize(as_rgb(each), 48) for each in pictures[start : start + 64]])
        network(((to_float(torch.from_numpy(small)) + 1) * 127.5 - 127.5) / 128)
    hook.remove()
    return torch.cat(parts).flatten(1).numpy()


def thumbnails(pictures):
    return np.stack([resize(each, 16).astype(np.float32).ravel() for each in pictures])


if __name__ == "__main__":
    main()

"""How near inversion comes: on held-out faces, on the model's own samples, and how long it takes.

For test faces, each beside the nearest of 1,000 samples and the average face: the share of them whose reconstruction is
nearer, by the features that refinement also looks at (EfficientNet-Lite0, pooled), and by two measures that it never
sees: the distance of the detector's own face features (MTCNN's O-Net, before its heads), and pixels. Then the same for
the encoder's guess alone. Then samples that go back through the model. Then a photo's time, from file to latent.

Run: python benchmarks/inversion.py runs/first faces [--faces 50] [--samples 16]
Writes the reconstructions alone (generated pictures, no real ones) with --sheet out.png, best first.
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
from facesmith.explore.reconstruction_error import psnr
from facesmith.faces import open_faces
from facesmith.io.images import as_rgb, enlarge, grid, resize, to_float, write_png
from facesmith.metrics.features import cached_features, extract_features, open_extractor
from facesmith.photos.mtcnn import load_networks

BANK = 1000
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
    bank, average = model.sample(range(BANK)), model.synthesize(model.G.w_avg[None].numpy())
    words = ("at one glance", "refined")
    measures = {"lite0 (refined by)": lite0, "O-Net": onet, "pixels": thumbnails}
    for how in (False, True):
        start, busy = time.perf_counter(), time.process_time()
        w = model.invert(real, optimize=how)
        seconds, busy = (time.perf_counter() - start) / len(real), (time.process_time() - busy) / len(real)
        rebuilt = model.synthesize(w)
        print(f"{words[how]}: {seconds:.2f} s a face ({busy:.2f} s of processor), {psnr(real, rebuilt).mean():.1f} dB")
        for name, measure in measures.items():
            compare(name, measure(real), measure(rebuilt), measure(bank), measure(average))
        length = np.linalg.norm(w - model.G.w_avg.numpy(), axis=-1).mean()
        usual = np.linalg.norm(model.latents(range(BANK)) - model.G.w_avg.numpy(), axis=-1).mean()
        print(f"  latents {length / usual:.2f} times as far from the average as those of seeds")
    if options.sheet is not None:
        near = np.linalg.norm(lite0(real) - lite0(rebuilt), axis=1).argsort()
        write_png(options.sheet, grid(enlarge(rebuilt[near], 2), 10), model.provenance({"Synthetic": "true"}))
    own = model.sample(range(50_000, 50_000 + options.samples))
    for how in (False, True):
        again = psnr(own, model.synthesize(model.invert(own, optimize=how)))
        print(f"own samples, {words[how]}: mean {again.mean():.1f} dB, least {again.min():.1f}")
    photo = astronaut()
    for how in (False, True):
        start = time.perf_counter()
        facesmith.load(options.model).invert(photo, optimize=how)
        print(f"a photo of 512x512, {words[how]}: {time.perf_counter() - start:.2f} s, opened anew")


def compare(name, real, rebuilt, bank, average):
    """The share of reconstructions that are nearer than the best of the samples, and mean distances."""
    ours = np.linalg.norm(real - rebuilt, axis=1)
    best = np.linalg.norm(real[:, None] - bank[None], axis=2).min(1)
    mean = np.linalg.norm(real - average, axis=1)
    print(
        f"  {name:18} distance {ours.mean():.2f}, best of {len(bank)} samples {best.mean():.2f}, average face "
        f"{mean.mean():.2f}; nearer than the best sample {(ours < best).mean():.0%}, average {(ours < mean).mean():.0%}"
    )


def lite0(pictures):
    extractor = open_extractor("lite0")
    keep = cached_features if len(pictures) >= BANK else extract_features
    return keep(extractor, pictures, "pictures", QUIET)


@torch.inference_mode()
def onet(pictures):
    """The 256 numbers from which O-Net tells box, landmarks and whether it sees a face."""
    *_, network = load_networks()
    parts = []
    hook = network.trunk.register_forward_hook(lambda module, condition, out: parts.append(out.clone()))
    for start in range(0, len(pictures), 64):
        small = np.stack([resize(as_rgb(each), 48) for each in pictures[start : start + 64]])
        network(((to_float(torch.from_numpy(small)) + 1) * 127.5 - 127.5) / 128)
    hook.remove()
    return torch.cat(parts).flatten(1).numpy()


def thumbnails(pictures):
    return np.stack([resize(each, 16).astype(np.float32).ravel() for each in pictures])


if __name__ == "__main__":
    main()

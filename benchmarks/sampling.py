"""How long one face takes, and how many faces a second: what a person who drags a slider waits for.

One face is timed as `facesmith.load(model).sample([seed])` gives it; many as batches. Both against the same generator,
called plainly on one latent and on batches of 64 in eager float32 PyTorch, in turn, so that a busy moment strikes all;
medians.

Run: python benchmarks/sampling.py runs/first [more models] [--threads 2] [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch

import facesmith

MANY, PLAIN_BATCH = 256, 64


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {options.threads} threads")
    for path in options.models:
        model = facesmith.load(path)
        seconds = rounds_of(ways(model), options.rounds)
        one, plain_one, many, plain_many = (statistics.median(held) for held in seconds)
        print(
            f"{model.recipe.name}: one face {one * 1e3:.1f} ms (bare network {plain_one * 1e3:.1f}); "
            f"{MANY / many:.0f} faces a second (bare network {MANY / plain_many:.0f})"
        )


def ways(model):
    """Our one face, the network's one face, our many, the network's many; each call draws other seeds."""
    G, seeds = model.G, iter(range(10**9))

    def plain(batch):
        with torch.inference_mode():
            G(torch.randn(batch, G.z_dim))

    return (
        lambda: model.sample([next(seeds)]),
        lambda: plain(1),
        lambda: model.sample([next(seeds) for _ in range(MANY)]),
        lambda: [plain(PLAIN_BATCH) for _ in range(MANY // PLAIN_BATCH)],
    )


def rounds_of(timed, rounds):
    seconds = [[] for _ in timed]
    for call in timed:
        call()  # what a first call pays for
    for _ in range(rounds):
        for held, call in zip(seconds, timed, strict=True):
            start = time.perf_counter()
            call()
            held.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()

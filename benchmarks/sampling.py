"""Measure the time for one face (as while dragging a slider) and the number of faces per second.

`model.sample` is timed for one seed and for 256 seeds. For comparison, the bare generator is timed in eager float32
PyTorch, on one latent and on batches of 64. The four take turns, so that other load on the machine affects all of them.
Medians are printed.

Run: python benchmarks/sampling.py runs/first [MODEL ...] [--threads 2] [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch

import facesmith

FACE_COUNT, NETWORK_BATCH = 256, 64


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
        seconds = measure(calls_to_time(model), options.rounds)
        one, network_one, many, network_many = (statistics.median(times) for times in seconds)
        print(
            f"{model.recipe.name}: one face {one * 1e3:.1f} ms (bare network {network_one * 1e3:.1f}); "
            f"{FACE_COUNT / many:.0f} faces per second (bare network {FACE_COUNT / network_many:.0f})"
        )


def calls_to_time(model):
    """Return functions that draw one and many faces, by `sample` and by the bare network, with new seeds each time."""
    G, seeds = model.G, iter(range(10**9))

    def run_network(batch):
        with torch.inference_mode():
            G(torch.randn(batch, G.z_dim))

    return (
        lambda: model.sample([next(seeds)]),
        lambda: run_network(1),
        lambda: model.sample([next(seeds) for _ in range(FACE_COUNT)]),
        lambda: [run_network(NETWORK_BATCH) for _ in range(FACE_COUNT // NETWORK_BATCH)],
    )


def measure(calls, rounds):
    """Return the seconds of each call in each round."""
    seconds = [[] for _ in calls]
    for call in calls:
        call()  # warm-up
    for _ in range(rounds):
        for times, call in zip(seconds, calls, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()

"""Compare the estimated memory of training with the memory that it really needs.

Run: python benchmarks/training_memory.py --batch 64 256

Each recipe and batch size trains a few steps in a process of its own. "needed" is the highest resident memory of that
process, minus its memory just before the estimate.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

import psutil
import torch

from facesmith.device import pick_device
from facesmith.gan.recipe import make_recipe
from facesmith.training.memory_estimate import estimate_training
from facesmith.training.speed import measure

RECIPES = ("quick", "dcgan64", "wgan-gp64")


def compare(name: str, batch: int) -> None:
    """Print the estimate for one recipe and batch size, and what it really needs."""
    recipe, device = make_recipe(name, {"batch_size": batch}), pick_device("cpu")
    before = psutil.Process().memory_info().rss
    estimate = estimate_training(recipe, device).bytes_at(batch)
    measure(recipe, device)
    needed = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    mib, threads = 2**20, torch.get_num_threads()
    print(
        f"{name:<14} batch {batch:>5}  estimated {estimate / mib:>6.0f} MiB  needed {needed / mib:>6.0f} MiB  "
        f"ratio {estimate / needed:.2f}  ({threads} threads)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--batch", nargs="+", type=int, default=[64, 256])
    options = parser.parse_args()
    pairs = [(name, batch) for name in options.recipes for batch in options.batch]
    if len(pairs) == 1:
        compare(*pairs[0])
        return
    for name, batch in pairs:
        subprocess.run([sys.executable, __file__, name, "--batch", str(batch)], check=True)


if __name__ == "__main__":
    main()

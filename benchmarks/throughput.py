"""Images a second of a recipe's training against the same networks, loss and batch in plain float32 eager PyTorch.

Both run in this process, with the same threads, in turn, so that a busy moment of the machine strikes both; the median
of the ratios is the result. Ours is the whole step: drawing the batch, averages and the check for finite values too.

Run: python benchmarks/throughput.py [--threads 2] [--rounds 7]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import numpy as np
import torch
from torch.nn.functional import softplus

from facesmith.calibrate import PRECISIONS, has_bfloat16, measure
from facesmith.faces import Stream
from facesmith.nets import dcgan
from facesmith.recipe import make
from facesmith.trainer import new_state, train_step

STEPS = 4
CPU = torch.device("cpu")


def plain_step(recipe):
    """A function that trains one step as a tutorial would write it."""
    torch.manual_seed(0)
    G, D = dcgan.Generator(recipe.z_dim, recipe.width), dcgan.Discriminator(recipe.width)
    betas = (recipe.beta1, recipe.beta2)
    optimizer_G = torch.optim.Adam(G.parameters(), lr=recipe.lr, betas=betas)
    optimizer_D = torch.optim.Adam(D.parameters(), lr=recipe.lr, betas=betas)
    faces = torch.rand(256, 3, recipe.resolution, recipe.resolution) * 2 - 1

    def step():
        real = faces[torch.randint(len(faces), (recipe.batch_size,))]
        fake = G(torch.randn(recipe.batch_size, recipe.z_dim))
        optimizer_D.zero_grad()
        (softplus(-D(real)).mean() + softplus(D(fake.detach())).mean()).backward()
        optimizer_D.step()
        optimizer_G.zero_grad()
        softplus(-D(fake)).mean().backward()
        optimizer_G.step()

    return step


def our_step(recipe, precision):
    """A function that trains one step as `facesmith train` does."""
    shape = (256, recipe.resolution, recipe.resolution, recipe.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    stream = Stream(pixels, np.arange(len(pixels)), seed=0, mirror=True)
    state = new_state(recipe, stream, seed=0, budget=10**9, precision=PRECISIONS[precision], device=CPU)
    return lambda: train_step(state)


def rate(step, batch):
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    return STEPS * batch / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"torch {torch.__version__}, {platform.machine()}, {capability}, {options.threads} threads")
    if not has_bfloat16(CPU):
        print("not applicable: this CPU has neither AMX nor AVX512-BF16, so both sides would train in float32")
        return
    recipe = make("dcgan64", {})
    precision = measure(recipe, CPU).precision
    plain, ours = plain_step(recipe), our_step(recipe, precision)
    plain()
    ours()
    rates = {"plain": [], "ours": []}
    for _ in range(options.rounds):
        rates["plain"].append(rate(plain, recipe.batch_size))
        rates["ours"].append(rate(ours, recipe.batch_size))
    for name, held in rates.items():
        print(f"{name:<6} {statistics.median(held):7.1f} images/s  ({min(held):.1f} to {max(held):.1f})")
    ratios = [a / b for a, b in zip(rates["ours"], rates["plain"], strict=True)]
    print(f"ratio  {statistics.median(ratios):7.2f}  ({min(ratios):.2f} to {max(ratios):.2f}), dcgan64 in {precision}")


if __name__ == "__main__":
    main()

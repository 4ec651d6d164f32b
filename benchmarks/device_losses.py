"""Do the losses of the first steps on another device agree with those on the CPU? Prints a table of all recipes.

Both start with the same weights, faces and latents, in float32. Random numbers that a recipe draws on the device, for
dropout, augmentation or penalties, are drawn on the CPU here, so that they are the same.

Run: python benchmarks/device_losses.py [--device cuda] [--steps 3]
"""

from __future__ import annotations

import argparse
import sys

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from facesmith.gan.recipe import make_recipe, recipes
from facesmith.training.speed import go_to, noise_stream
from facesmith.training.state import new_state
from facesmith.training.step import train_step

FACES = 64
BATCH_SIZE = 8
TOLERANCE = 0.02  # relative to the larger of 1 and the CPU's value
CREATED = (torch.rand, torch.randn, torch.randint, torch.randperm)
SHAPED_LIKE = (torch.rand_like, torch.randn_like, torch.bernoulli)
DROPOUT = (functional.dropout, functional.dropout2d)


class RandomNumbersOfCpu(TorchFunctionMode):
    """Draws all random numbers on the CPU, and copies them to the device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in CREATED:
            device = kwargs.pop("device", None)
            return func(*args, **kwargs).to(device or "cpu")
        if func in SHAPED_LIKE:
            return func(args[0].cpu(), *args[1:], **kwargs).to(args[0].device)
        if func in DROPOUT:
            return args[0] * func(torch.ones_like(args[0], device="cpu"), *args[1:], **kwargs).to(args[0].device)
        return func(*args, **kwargs)


def losses(name: str, device: torch.device, steps: int) -> list[dict[str, float]]:
    """The scalar loss terms of the first training steps."""
    recipe = make_recipe(name, {"batch_size": BATCH_SIZE})
    stream = noise_stream(recipe, FACES)
    state = new_state(recipe, stream, seed=0, budget=10**6, precision=torch.float32, device=device)
    go_to(state, 0.0, 0)
    terms = []
    with RandomNumbersOfCpu():
        for _ in range(steps):
            terms.append({key: float(term) for key, term in train_step(state).items() if not term.ndim})
    return terms


def largest_difference(one: list[dict[str, float]], other: list[dict[str, float]]) -> tuple[float, str]:
    """The largest difference of a loss, relative to the larger of 1 and its value, and the name of that loss."""
    pairs = [(key, a[key], b[key]) for a, b in zip(one, other, strict=True) for key in a if key.endswith("/loss")]
    return max((abs(a - b) / max(1.0, abs(a)), key) for key, a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    worst = 0.0
    print(f"largest relative difference of a loss in {options.steps} steps, {options.device} and cpu:")
    for name in recipes():
        cpu = losses(name, torch.device("cpu"), options.steps)
        difference, key = largest_difference(cpu, losses(name, torch.device(options.device), options.steps))
        worst = max(worst, difference)
        print(f"{name:14} {difference:.2g} ({key})", flush=True)
    if not worst <= TOLERANCE:
        sys.exit(f"The losses differ by more than {TOLERANCE:g}.")


if __name__ == "__main__":
    main()

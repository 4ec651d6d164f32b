"""Compare R1 with cheaper estimates of it: value, gradient and time, at the discriminator of a run of the recipe quick.

R1 needs second derivatives, which are slow. Each estimate is computed on batches of 8 real faces. Its gradient with
respect to the discriminator's weights is compared with the mean gradient of exact R1 in float32. A good estimate has
the same value as R1, and the gradient of a single batch has the same direction.

The last layer of the discriminator runs in float32 here, because bfloat16 has two to three digits. The small
differences of logits that finite differences need would be lost.

Run: python benchmarks/r1_estimates.py runs/baseline --data fairface128.zip [--batches 24]
The run must be without conditions. The script prints one row for each estimate:

- value: the mean over all batches
- mean norm: norm of the mean gradient
- batch norm: mean norm of the gradient of one batch
- cosine: between the gradient of one batch and the mean gradient of exact R1
- ms: processor time of a batch on one thread
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from torch import nn
from torch.nn.functional import cosine_similarity, softplus

from facesmith.faces import Stream, open_faces
from facesmith.gan.losses import r1_penalty
from facesmith.gan.recipe import make_recipe
from facesmith.modelfiles.checkpoint import load_state
from facesmith.modelfiles.run_folder import PLAN, STATE
from facesmith.training.plan import read_plan

BATCH_SIZE = 8
SIGMAS = (0.05, 0.02, 0.01)  # of the noise of finite differences; images are in [-1, 1]
DATA_SEED = 5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=24)
    options = parser.parse_args()
    torch.set_num_threads(1)
    plan, state = read_plan(options.run / PLAN), load_state(options.run / STATE)
    recipe = make_recipe(plan.recipe, plan.hyperparameters)
    D = recipe.networks()["D"]
    D.load_state_dict({key[2:]: tensor for key, tensor in state["nets"].items() if key.startswith("D.")})
    D.to(memory_format=torch.channels_last).train()  # with dropout, as in training
    D.layers[-1] = Float32(D.layers[-1])
    faces = open_faces(options.data, recipe.resolution, recipe.channels, console=Console())
    stream = Stream(faces.pixels, faces.part("train"), seed=DATA_SEED, mirror=True)
    batches = [stream.draw(BATCH_SIZE) for _ in range(options.batches)]
    print(f"after {state['seen'] / 1000:g} kimg, {options.batches} batches of {BATCH_SIZE}")
    print(f"{'estimate':32}{'value':>10}{'mean norm':>12}{'batch norm':>12}{'cosine':>10}{'ms':>8}")
    exact = None
    for name, estimate in estimates(D).items():
        value, gradients, ms = measure(D, estimate, batches)
        mean = gradients.mean(0)
        exact = mean if exact is None else exact
        cosine = cosine_similarity(gradients, exact[None]).mean()
        print(f"{name:32}{value:10.4f}{mean.norm():12.3f}{gradients.norm(dim=1).mean():12.3f}{cosine:10.3f}{ms:8.0f}")


class Float32(nn.Module):
    """A layer that runs in float32, also under autocast."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            return self.layer(x.float())


def estimates(D):
    """Functions from a batch of real images to a scalar, by name. Exact R1 is the first one."""
    half = BATCH_SIZE // 2
    functions = {
        "exact, float32": lambda real: r1_penalty(D, real),
        "exact, float32, half the batch": lambda real: r1_penalty(D, real[:half]),
        "exact, bfloat16": lambda real: autocast_r1(D, real),
        "exact, bfloat16, half the batch": lambda real: autocast_r1(D, real[:half]),
    }
    for sigma in SIGMAS:
        functions[f"difference, sigma {sigma:g}"] = partial(difference, D, sigma)
        functions[f"symmetric difference, sigma {sigma:g}"] = partial(symmetric_difference, D, sigma)
    functions["adversarial loss on real faces"] = lambda real: softplus(-D(real)).mean()  # for comparison
    return functions


def autocast_r1(D, real):
    """`‖∇D(x)‖²`, averaged over real images, in the precision of the surrounding autocast."""
    x = real.detach().float().requires_grad_()
    (gradient,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    return gradient.float().square().sum((1, 2, 3)).mean()


def difference(D, sigma, real):
    """`E[(D(x + σε) - D(x))²] / σ²` with ε ~ N(0, 1). Both passes have the same dropout masks.

    Source: Lin et al. 2025, arXiv:2501.08316, section 3.4.
    """
    noise = sigma * torch.randn_like(real)
    rng_state = torch.get_rng_state()
    logits = D(real)
    torch.set_rng_state(rng_state)
    return (D(real + noise) - logits).square().mean() / sigma**2


def symmetric_difference(D, sigma, real):
    """`E[(D(x + σε) - D(x - σε))²] / (2σ)²`, which has no second-order terms in σ."""
    noise = sigma * torch.randn_like(real)
    rng_state = torch.get_rng_state()
    logits = D(real + noise)
    torch.set_rng_state(rng_state)
    return (logits - D(real - noise)).square().mean() / (2 * sigma) ** 2


def measure(D, estimate, batches):
    """The mean value of an estimate, its gradients `[batches, weights]`, and its milliseconds per batch."""
    values, gradients, start = [], [], time.process_time()
    for number, real in enumerate(batches):
        torch.manual_seed(number)
        with torch.autocast("cpu", torch.bfloat16):
            loss = estimate(real)
        D.zero_grad()
        loss.backward()
        # R1 does not depend on the last bias, so it has no gradient there.
        gradients.append(torch.cat([weight.grad.flatten() for weight in list(D.parameters())[:-1]]))
        values.append(loss.item())
    ms = (time.process_time() - start) / len(batches) * 1000
    return sum(values) / len(values), torch.stack(gradients), ms


if __name__ == "__main__":
    main()

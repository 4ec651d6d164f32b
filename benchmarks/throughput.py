"""Images a second of each recipe's training, against the same in plain float32 eager PyTorch; and where the time goes.

The plain side has the same networks, objective (penalties included), optimizers, turns, batch and threads, and is
written as a tutorial would: float32, tensors as they come, every player's gradients into every network, optimizers
that are not fused, no average. Ours is the whole step: the batch from the stream, averages and the check for finite
values too. Both run in this process in turn, so that a busy moment of the machine strikes both; the median of the
ratios is the result.

Run: python benchmarks/throughput.py [RECIPE ...] [--threads 2] [--rounds 7]
"""

from __future__ import annotations

import argparse
import math
import platform
import statistics
import time
from collections import defaultdict

import numpy as np
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from facesmith.device import PRECISIONS, has_bfloat16
from facesmith.faces import Stream
from facesmith.gan.contracts import Batch, set_level
from facesmith.gan.recipe import make_recipe, recipes
from facesmith.training.speed import measure
from facesmith.training.state import new_state
from facesmith.training.step import train_step

CPU = torch.device("cpu")
FACES, SECONDS = 256, 2.0
KINDS = {  # by what the names of PyTorch's operations begin with, the first that fits
    "convolutions": ("aten::convolution", "aten::conv", "aten::mkldnn_conv", "mkldnn", "aten::slow_conv"),
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::linear", "aten::mkldnn_linear"),
    "optimizer": ("Optimizer.", "aten::_fused_", "aten::_foreach"),
}
DATA = "the next faces"


def state_of(recipe, precision):
    """A training of noise, past any pretraining, when everything that grows has grown."""
    shape = (FACES, recipe.resolution, recipe.resolution, recipe.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    stream = Stream(pixels, np.arange(FACES), seed=0, mirror=True)
    state = new_state(recipe, stream, seed=0, budget=10**9, precision=PRECISIONS[precision], device=CPU)
    state.seen = state.budget * 3 // 4
    while not any(turn.phase == "train" and turn.n_real for turn in recipe.turns(state.step)):
        state.step += 1
    return state


def plain_step(recipe):
    """A function that trains one step as a tutorial would write it, and returns the real faces that it showed."""
    torch.manual_seed(0)
    nets = nn.ModuleDict(recipe.networks())
    objective, players, step = recipe.objective(), recipe.players(), state_of(recipe, "float32").step
    optimizers = {}
    for name, player in players.items():
        made = player.optimizer([p for net in player.nets for p in nets[net].parameters()])
        settings = {key: held for key, held in made.defaults.items() if key not in ("fused", "foreach", "lr")}
        optimizers[name] = type(made)(made.param_groups[0]["params"], **settings)
    faces = torch.rand(FACES, recipe.channels, recipe.resolution, recipe.resolution) * 2 - 1
    knobs, rng = recipe.knobs(0.75), torch.Generator().manual_seed(0)
    set_level(nets, knobs.level)

    def one():
        nonlocal step
        shown = 0
        for turn in recipe.turns(step):
            real = faces[torch.randint(FACES, (turn.n_real,))]
            z = nets["G"].draw_z(turn.n_fake, rng)
            fake = nets["G"](z) if turn.n_fake else real[:0]
            batch = Batch(real, z, fake, None, knobs, step, turn.phase)
            for name in turn.players:
                optimizers[name].zero_grad()
                loss = objective.loss(name, nets, batch)
                if loss.update:
                    loss.total.backward()
                    norm = players[name].clip_norm
                    if norm is not None:
                        nn.utils.clip_grad_norm_(optimizers[name].param_groups[0]["params"], norm)
                    optimizers[name].param_groups[0]["lr"] = knobs.lr[name]
                    optimizers[name].step()
            shown += turn.n_real
        step += 1
        return shown

    return one


def our_step(recipe, precision):
    """A function that trains one step as `facesmith train` does, and returns the real faces that it showed."""
    state = state_of(recipe, precision)
    drawn = state.stream.draw_with_labels

    def named(*args, **kwargs):
        with record_function(DATA):
            return drawn(*args, **kwargs)

    state.stream.draw_with_labels = named

    def one():
        before = state.seen
        train_step(state)
        return state.seen - before

    return one


def rate(step, steps):
    """Images a second over some steps."""
    start = time.perf_counter()
    shown = sum(step() for _ in range(steps))
    return shown / (time.perf_counter() - start)


def steps_of(step, period):
    """How many steps take about SECONDS, whole periods of what comes every few steps; the first period prepares."""
    for _ in range(period + 1):
        step()
    start = time.perf_counter()
    for _ in range(period):
        step()
    return period * max(1, round(SECONDS / (time.perf_counter() - start)))


def where(step, steps):
    """The shares of the time that kinds of work take: of operations' own time, but for data all that it calls."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(steps):
            step()
    spent = defaultdict(float)
    for event in profiled.events():
        above = event
        while above is not None and above.name != DATA:
            above = above.cpu_parent
        rest = "memory-bound and the rest"
        kind = "data" if above else next((k for k, names in KINDS.items() if event.name.startswith(names)), rest)
        spent[kind] += event.self_cpu_time_total
    return {kind: held / sum(spent.values()) for kind, held in sorted(spent.items(), key=lambda item: -item[1])}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", help="by default all")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"torch {torch.__version__}, {platform.machine()}, {capability}, {options.threads} threads")
    if not has_bfloat16(CPU):
        print("this CPU has neither AMX nor AVX512-BF16: both sides train in float32")
    for name in options.recipes or recipes():
        recipe = make_recipe(name, {})
        precision = measure(recipe, CPU).precision
        plain, ours = plain_step(recipe), our_step(recipe, precision)
        rates = {"plain": [], "ours": []}
        period = math.lcm(*(round(1 / share) for share in recipe.representative_steps().values() if share <= 0.5), 1)
        steps = {"plain": steps_of(plain, period), "ours": steps_of(ours, period)}
        for _ in range(options.rounds):
            rates["plain"].append(rate(plain, steps["plain"]))
            rates["ours"].append(rate(ours, steps["ours"]))
        ratios = [a / b for a, b in zip(rates["ours"], rates["plain"], strict=True)]
        plainly, faster = (statistics.median(rates[side]) for side in ("plain", "ours"))
        print(
            f"{name:<14} {faster:7.1f} images/s in {precision}, plain {plainly:7.1f}: "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )
        shares = where(ours, steps["ours"])
        print("   " + ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items()), flush=True)


if __name__ == "__main__":
    main()

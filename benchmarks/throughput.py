"""Training speed of each recipe in images per second, compared with plain PyTorch, and where the time goes.

The plain version has the same networks, objective (with penalties), optimizers, turns, batch size and threads. It is
written as in a tutorial: float32, no fused optimizers, no averaged weights, no channels-last memory, and every player's
gradients also reach the networks that it does not train. Ours is a complete training step: it reads the batch from the
stream, updates the averages and checks for NaN. Both run alternately in this process, so that other load affects both.
The result is the median of their ratios.

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
FACES = 256
SECONDS = 2.0  # of training per round and version
KINDS = {  # kind of work: prefixes of the names of PyTorch's operations; the first match counts
    "convolutions": ("aten::convolution", "aten::conv", "aten::mkldnn_conv", "mkldnn", "aten::slow_conv"),
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::linear", "aten::mkldnn_linear"),
    "optimizer": ("Optimizer.", "aten::_fused_", "aten::_foreach"),
}
OTHER = "memory-bound and other"
DATA = "data"


def state_of(recipe, precision):
    """The state of a training on noise, after pretraining and with fully grown networks."""
    shape = (FACES, recipe.resolution, recipe.resolution, recipe.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    stream = Stream(pixels, np.arange(FACES), seed=0, mirror=True)
    state = new_state(recipe, stream, seed=0, budget=10**9, precision=PRECISIONS[precision], device=CPU)
    state.seen = state.budget * 3 // 4
    while not any(turn.phase == "train" and turn.n_real for turn in recipe.turns(state.step)):
        state.step += 1
    return state


def plain_step(recipe):
    """A function that takes one plain training step and returns the number of real images in it."""
    torch.manual_seed(0)
    nets = nn.ModuleDict(recipe.networks())
    objective, players, step = recipe.objective(), recipe.players(), state_of(recipe, "float32").step
    optimizers = {name: plain_optimizer(player, nets) for name, player in players.items()}
    faces = torch.rand(FACES, recipe.channels, recipe.resolution, recipe.resolution) * 2 - 1
    knobs, rng = recipe.knobs(0.75), torch.Generator().manual_seed(0)
    set_level(nets, knobs.level)

    def take_step():
        nonlocal step
        seen = 0
        for turn in recipe.turns(step):
            real = faces[torch.randint(FACES, (turn.n_real,))]
            z = nets["G"].draw_z(turn.n_fake, rng)
            fake = nets["G"](z) if turn.n_fake else real[:0]
            batch = Batch(real, z, fake, None, knobs, step, turn.phase)
            for name in turn.players:
                optimizer = optimizers[name]
                optimizer.zero_grad()
                loss = objective.loss(name, nets, batch)
                if loss.update:
                    loss.total.backward()
                    (group,) = optimizer.param_groups
                    if players[name].clip_norm is not None:
                        nn.utils.clip_grad_norm_(group["params"], players[name].clip_norm)
                    group["lr"] = knobs.lr[name]
                    optimizer.step()
            seen += turn.n_real
        step += 1
        return seen

    return take_step


def plain_optimizer(player, nets):
    """The player's optimizer without fused or multi-tensor kernels."""
    optimizer = player.optimizer([p for net in player.nets for p in nets[net].parameters()])
    settings = {key: value for key, value in optimizer.defaults.items() if key not in ("fused", "foreach", "lr")}
    return type(optimizer)(optimizer.param_groups[0]["params"], **settings)


def our_step(recipe, precision):
    """A function that takes one step as `facesmith train` does and returns the number of real images in it."""
    state = state_of(recipe, precision)
    draw = state.stream.draw_with_labels

    def recorded_draw(*args, **kwargs):
        with record_function(DATA):
            return draw(*args, **kwargs)

    state.stream.draw_with_labels = recorded_draw

    def take_step():
        before = state.seen
        train_step(state)
        return state.seen - before

    return take_step


def images_per_second(take_step, steps):
    start = time.perf_counter()
    seen = sum(take_step() for _ in range(steps))
    return seen / (time.perf_counter() - start)


def steps_per_round(take_step, period):
    """A multiple of `period` steps that takes about SECONDS. The first steps are a warm-up."""
    for _ in range(period + 1):
        take_step()
    start = time.perf_counter()
    for _ in range(period):
        take_step()
    return period * max(1, round(SECONDS / (time.perf_counter() - start)))


def time_shares(take_step, steps):
    """The share of each kind of work in the time of all operations, largest first."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(steps):
            take_step()
    spent = defaultdict(float)
    for event in profiled.events():
        spent[kind_of(event)] += event.self_cpu_time_total
    return {kind: time / sum(spent.values()) for kind, time in sorted(spent.items(), key=lambda item: -item[1])}


def kind_of(event):
    """The kind of work of a profiled operation. Everything within a batch's `record_function` is data."""
    caller = event
    while caller is not None:
        if caller.name == DATA:
            return DATA
        caller = caller.cpu_parent
    return next((kind for kind, prefixes in KINDS.items() if event.name.startswith(prefixes)), OTHER)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", help="default: all")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"torch {torch.__version__}, {platform.machine()}, {capability}, {options.threads} threads")
    if not has_bfloat16(CPU):
        print("this CPU has neither AMX nor AVX512-BF16: both versions train in float32")
    for name in options.recipes or recipes():
        compare(name, options.rounds)


def compare(name, rounds):
    """Measure a recipe and print its speeds and time shares."""
    recipe = make_recipe(name, {})
    precision = measure(recipe, CPU).precision
    take_step = {"plain": plain_step(recipe), "ours": our_step(recipe, precision)}
    # Whole periods of penalties that are computed in every n-th step only.
    period = math.lcm(*(round(1 / share) for share in recipe.representative_steps().values() if share <= 0.5), 1)
    steps = {version: steps_per_round(take_step[version], period) for version in take_step}
    speeds = {version: [] for version in take_step}
    for _ in range(rounds):
        for version in take_step:
            speeds[version].append(images_per_second(take_step[version], steps[version]))
    ratios = [ours / plain for ours, plain in zip(speeds["ours"], speeds["plain"], strict=True)]
    ours, plain = (statistics.median(speeds[version]) for version in ("ours", "plain"))
    print(
        f"{name:<14} {ours:7.1f} images/s in {precision}, plain {plain:7.1f}: "
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )
    shares = time_shares(take_step["ours"], steps["ours"])
    print("   " + ", ".join(f"{kind} {share:.0%}" for kind, share in shares.items()), flush=True)


if __name__ == "__main__":
    main()

"""Measured at the start, not guessed: how fast a recipe trains here, and in which precision."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import harmonic_mean, median

import numpy as np
import psutil
import torch

from facesmith.device import PRECISIONS, check_precision, has_bfloat16
from facesmith.faces import Stream
from facesmith.gan.recipe import Recipe, condition_of
from facesmith.io.images import Pixels
from facesmith.training.trainer import TrainState, new_state, train_step

WORTHWHILE = 1.1  # bfloat16 keeps 8 bits of mantissa; a smaller gain isn't worth them, nor beyond the noise
ROUNDS, STEPS = 3, 2
FACES = 256
GROWTH = tuple((i + 0.5) / 8 for i in range(8))  # the middles of eight equal shares of the budget


@dataclass(frozen=True)
class Speed:
    """What was measured of a recipe on a device.

    Attributes:
        images_per_second: by precision.
        precision: the one to train in.
        why: how it was chosen, in words.
        memory_bytes: what this process held after the measurement.
    """

    images_per_second: dict[str, float]
    precision: str
    why: str
    memory_bytes: int

    @property
    def best(self) -> float:
        return self.images_per_second[self.precision]


def measure(recipe: Recipe, device: torch.device, asked: str = "auto", pixels: Pixels | None = None) -> Speed:
    """Train a few steps on throwaway networks in each precision that may be used.

    Args:
        asked: "auto", or the one precision to measure and use.
        pixels: faces uint8 `[N, S, S, C]` of the recipe's size; by default noise, which costs the same.

    Raises:
        BadOption: `asked` is no precision.
    """
    precisions = _candidates(asked, device)
    if pixels is None:
        shape = (FACES, recipe.resolution, recipe.resolution, recipe.channels)
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    labels = None
    if count := len(condition_of(recipe)):  # what is told costs the same, true or not
        labels = np.random.default_rng(0).choice(np.array([-1, 1], np.float32), (len(pixels), count))
    stream = Stream(pixels, np.arange(len(pixels)), seed=0, mirror=False, labels=labels)
    states = {
        name: new_state(recipe, stream, seed=0, budget=10**9, precision=PRECISIONS[name], device=device)
        for name in precisions
    }
    representative_steps = recipe.representative_steps()
    kinds = [(moment, step, share) for moment in _moments(recipe) for step, share in representative_steps.items()]
    speeds: dict[str, list[float]] = {name: [] for name in precisions}  # one for each kind of step
    for kind in kinds:
        found: dict[str, list[float]] = {name: [] for name in precisions}
        for state in states.values():
            _go_to(state, *kind[:2])
            _timed(state, 1)
        for _ in range(ROUNDS):  # in turn, so that a busy moment of the machine strikes both
            for name, state in states.items():
                _go_to(state, *kind[:2])
                found[name].append(_timed(state, STEPS))
        for name, each in found.items():  # the fastest would promise what a long run doesn't keep
            speeds[name].append(median(each))
    shares = [share for _, _, share in kinds]
    rates = {name: harmonic_mean(each, shares) for name, each in speeds.items()}
    chosen, why = _choose(rates, asked, device)
    return Speed(rates, chosen, why, psutil.Process().memory_info().rss)


def _moments(recipe: Recipe) -> Sequence[float]:
    """At which progress to measure: networks that grow cost more the further they are, all others always the same."""
    levels = {recipe.knobs(moment).level for moment in GROWTH}
    return GROWTH if len(levels) > 1 else GROWTH[-1:]


def _candidates(asked: str, device: torch.device) -> Sequence[str]:
    check_precision(asked)
    if asked == "auto":
        return ("float32", "bfloat16") if has_bfloat16(device) else ("float32",)
    return (asked,)


def _choose(rates: dict[str, float], asked: str, device: torch.device) -> tuple[str, str]:
    if asked != "auto":
        return asked, "as asked"
    if "bfloat16" not in rates:
        return "float32", f"this {device.type} has no bfloat16 of its own"
    gain = rates["bfloat16"] / rates["float32"]
    return ("bfloat16" if gain >= WORTHWHILE else "float32"), f"bfloat16 measured {gain:.2f} times as fast as float32"


def _go_to(state: TrainState, progress: float, step: int) -> None:
    """Go to a share of the budget, and to a step, or the first behind it in which the clock moves.

    Steps in which it stands still are no part of what the budget is spent on.
    """
    state.seen, state.step = int(progress * state.budget), step
    while not any(turn.phase == "train" and turn.n_real for turn in state.recipe.turns(state.step)):
        state.step += 1


def _timed(state: TrainState, steps: int) -> float:
    """Images a second over some steps, all of them as the present one."""
    _wait_for(state.device)
    start, seen, step = time.perf_counter(), state.seen, state.step
    for _ in range(steps):
        state.step = step
        train_step(state)
    _wait_for(state.device)
    return (state.seen - seen) / (time.perf_counter() - start)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()

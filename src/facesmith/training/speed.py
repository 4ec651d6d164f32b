"""Measure how fast a recipe trains on this machine, and in which precision it should."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import harmonic_mean, median
from typing import TypeVar

import numpy as np
import torch

from facesmith.device import PRECISIONS, check_precision, has_bfloat16
from facesmith.faces import Stream
from facesmith.gan.recipe import Recipe, condition_of
from facesmith.pictures.images import Pixels
from facesmith.training.state import TrainState, new_state
from facesmith.training.step import train_step

MIN_SPEEDUP = 1.1  # of bfloat16; a smaller one is within the noise, and not worth a mantissa of 8 bits
ROUNDS, STEPS = 3, 2
NOISE_FACES = 256
Key = TypeVar("Key", str, int)  # what is compared: names of precisions, or numbers of threads
GROWTH_MOMENTS = tuple((i + 0.5) / 8 for i in range(8))  # the middles of eight equal parts of the budget


@dataclass(frozen=True)
class Speed:
    """The measured training speed of a recipe.

    Attributes:
        images_per_second: by precision.
        precision: the one to train in.
        why: the reason for that precision, to be printed.
    """

    images_per_second: dict[str, float]
    precision: str
    why: str

    @property
    def chosen(self) -> float:
        """Images per second in the chosen precision."""
        return self.images_per_second[self.precision]


def measure(recipe: Recipe, device: torch.device, precision: str = "auto", pixels: Pixels | None = None) -> Speed:
    """Train temporary networks for a few steps in each candidate precision.

    Args:
        precision: "auto", or the only one to measure and use.
        pixels: faces uint8 `[N, S, S, C]` of the recipe's size; by default noise, which takes the same time.

    Raises:
        BadOption: there is no such precision.
    """
    candidates = candidate_precisions(precision, device)
    states = {name: _temporary_state(recipe, device, name, pixels) for name in candidates}
    images_per_second = _compare(recipe, states)
    best, why = _choose(images_per_second, precision, device)
    return Speed(images_per_second, best, why)


def measure_threads(
    recipe: Recipe, device: torch.device, precision: str, pixels: Pixels | None, candidates: Sequence[int]
) -> dict[int, float]:
    """Images per second with each of these numbers of CPU threads; torch's number of threads is restored.

    Args:
        precision: a name of `PRECISIONS`.
        pixels: as in `measure`.
    """
    before = torch.get_num_threads()
    state = _temporary_state(recipe, device, precision, pixels)
    try:
        return _compare(recipe, dict.fromkeys(candidates, state), torch.set_num_threads)
    finally:
        torch.set_num_threads(before)


def noise_stream(recipe: Recipe, count: int) -> Stream:
    """A stream of noise in place of faces, which takes the same time and memory."""
    shape = (count, recipe.resolution, recipe.resolution, recipe.channels)
    return _stream(recipe, np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def _stream(recipe: Recipe, pixels: Pixels) -> Stream:
    labels = None
    if count := len(condition_of(recipe)):  # random labels take the same time as true ones
        labels = np.random.default_rng(0).choice(np.array([-1, 1], np.float32), (len(pixels), count))
    return Stream(pixels, np.arange(len(pixels)), seed=0, mirror=False, labels=labels)


def _temporary_state(recipe: Recipe, device: torch.device, precision: str, pixels: Pixels | None) -> TrainState:
    """A new state that trains on these faces or on noise."""
    stream = _stream(recipe, pixels) if pixels is not None else noise_stream(recipe, NOISE_FACES)
    return new_state(recipe, stream, seed=0, budget=10**9, precision=PRECISIONS[precision], device=device)


def _compare(
    recipe: Recipe, states: Mapping[Key, TrainState], prepare: Callable[[Key], None] = lambda _: None
) -> dict[Key, float]:
    """Images per second of each state, after `prepare(key)`."""
    # Steps differ in cost: some add a penalty, and a growing network gets slower.
    steps = [
        (moment, step, share) for moment in _moments(recipe) for step, share in recipe.representative_steps().items()
    ]
    speeds: dict[Key, list[float]] = {key: [] for key in states}  # one for each kind of step
    for progress, step, _ in steps:
        rounds: dict[Key, list[float]] = {key: [] for key in states}
        for key, state in states.items():
            prepare(key)
            go_to(state, progress, step)
            _time_steps(state, 1)  # the first one is slower
        for _ in range(ROUNDS):  # alternating, so that a busy moment of the machine slows all of them
            for key, state in states.items():
                prepare(key)
                go_to(state, progress, step)
                rounds[key].append(_time_steps(state, STEPS))
        for key, rates in rounds.items():  # not the fastest: a long run would not keep that speed
            speeds[key].append(median(rates))
    shares = [share for _, _, share in steps]
    return {key: harmonic_mean(rates, shares) for key, rates in speeds.items()}


def _moments(recipe: Recipe) -> Sequence[float]:
    """The values of progress at which to measure: several for a growing network, one for any other."""
    levels = {recipe.knobs(moment).level for moment in GROWTH_MOMENTS}
    return GROWTH_MOMENTS if len(levels) > 1 else GROWTH_MOMENTS[-1:]


def candidate_precisions(precision: str, device: torch.device) -> Sequence[str]:
    """The precisions to choose from: the requested one, or for "auto" all that the device computes in natively."""
    check_precision(precision)
    if precision == "auto":
        return ("float32", "bfloat16") if has_bfloat16(device) else ("float32",)
    return (precision,)


def _choose(images_per_second: dict[str, float], precision: str, device: torch.device) -> tuple[str, str]:
    if precision != "auto":
        return precision, "as requested"
    if "bfloat16" not in images_per_second:
        return "float32", f"this {device.type} has no native bfloat16"
    speedup = images_per_second["bfloat16"] / images_per_second["float32"]
    best = "bfloat16" if speedup >= MIN_SPEEDUP else "float32"
    return best, f"bfloat16 is {speedup:.2f} times as fast as float32 here"


def go_to(state: TrainState, progress: float, step: int) -> None:
    """Go to a share of the budget, and to the first step from `step` on that shows real images.

    Pretraining steps, in which the clock stands still, are not part of the budget.
    """
    state.seen, state.step = int(progress * state.budget), step
    while not any(turn.phase == "train" and turn.n_real for turn in state.recipe.turns(state.step)):
        state.step += 1


def _time_steps(state: TrainState, steps: int) -> float:
    """Images per second over several steps, each with the present step number."""
    _synchronize(state.device)
    start, seen, step = time.perf_counter(), state.seen, state.step
    for _ in range(steps):
        state.step = step
        train_step(state)
    _synchronize(state.device)
    return (state.seen - seen) / (time.perf_counter() - start)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()

"""Estimate the memory of a training before it is allocated.

Two tiny batches are trained, and the live tensors are counted after every operation. Both batches run the same
operations, and each tensor grows linearly with the batch. So the memory at any batch size follows, operation by
operation, and its highest point is the estimate.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from facesmith.device import PRECISIONS
from facesmith.gan.recipe import Recipe
from facesmith.io import memory
from facesmith.io.memory import largest_fitting, require_memory, size_text
from facesmith.training.speed import GROWTH_MOMENTS, candidate_precisions, go_to, noise_stream
from facesmith.training.state import new_state, state_dict
from facesmith.training.step import train_step

# Memory that the count of tensors misses: buffers inside of operations, and gaps between allocations. Measured with
# benchmarks/training_memory.py, see docs/reference/train.md.
OVERHEAD = 1.3
OVERHEAD_BYTES = 256 * 2**20
STATE_COPIES = 2  # one per precision while the speed is measured, or one in memory and one read from a file
WEIGHT_COPIES = 4  # weights, gradients, and two moments of the optimizer
TINY_BATCH = 8  # the smaller one of two
TINY_PIXELS = 16 * 128**2  # of the larger one, so that a large resolution doesn't need much memory to be measured
FLOAT_BYTES = 4


@dataclass(frozen=True)
class TrainingMemory:
    """The memory that a training allocates, in bytes, by batch size.

    Attributes:
        states: memory of all networks, averages and optimizers, which does not depend on the batch.
        fixed, per_image: of each operation in each kind of step, besides the states.
    """

    states: int
    fixed: NDArray[np.float64]
    per_image: NDArray[np.float64]

    def bytes_at(self, batch_size: int) -> int:
        """The highest memory of a step, with what the count misses."""
        highest = max(0.0, float((self.fixed + self.per_image * batch_size).max()))
        return int(OVERHEAD * (self.states + highest) + OVERHEAD_BYTES)


def check_training_memory(
    recipe: Recipe, device: torch.device, precision: str, advice: str = "", processes: int = 1
) -> int:
    """Estimate the memory that training needs, in bytes.

    Args:
        precision: "auto" if the speed of all will be measured.
        advice: for a batch size that can't be changed; by default, the batch size that fits.
        processes: the number of processes that share the memory of this machine. Each GPU has its own.

    Raises:
        BadOption: it is more than is free.
    """
    free = free_on_device(device) // (1 if device.type == "cuda" else processes)
    narrower = f"Use narrower networks: facesmith recipes {recipe.name} lists the hyperparameters."
    weights = FLOAT_BYTES * sum(recipe.parameter_counts().values())
    require_memory(WEIGHT_COPIES * weights, f"{recipe.name} with {size_text(weights)} of weights", narrower, free)
    training = estimate_training(recipe, device, precision)
    if not advice:
        fitting = _round_down(largest_fitting(training.bytes_at, recipe.batch_size - 1, free))
        advice = f"Use --batch {fitting} or less." if fitting else narrower
    needed = training.bytes_at(recipe.batch_size)
    require_memory(needed, f"{recipe.name} with --batch {recipe.batch_size}", advice, free)
    return needed


def free_on_device(device: torch.device) -> int:
    """Bytes that may still be allocated on a device; MPS shares the memory of the CPU."""
    if device.type != "cuda":
        return memory.free_memory()
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def estimate_training(recipe: Recipe, device: torch.device, precision: str = "auto") -> TrainingMemory:
    """Measure the memory of training by two tiny batches; takes about a second on a CPU."""
    name = candidate_precisions(precision, device)[0]  # float32 before bfloat16, which needs less
    small = max(1, min(TINY_BATCH, TINY_PIXELS // recipe.resolution**2 // 2))
    batches = (small, 2 * small)
    steps, states = zip(*(_live_bytes(replace(recipe, batch_size=size), device, name) for size in batches), strict=True)
    low, high = map(np.concatenate, steps)
    if len(low) != len(high):  # the operations depend on the batch size, so only the highest points can be compared
        low, high = (np.array([each.max()]) for each in (low, high))
    per_image = np.maximum(0, (high - low) / small)
    return TrainingMemory(STATE_COPIES * max(states), low - per_image * small, per_image)


def _live_bytes(recipe: Recipe, device: torch.device, precision: str) -> tuple[list[NDArray[np.float64]], int]:
    """The bytes of live tensors after each operation, for each kind of step; and the bytes of the state."""
    stream = noise_stream(recipe, recipe.batch_size)
    state = new_state(recipe, stream, seed=0, budget=10**9, precision=PRECISIONS[precision], device=device)
    steps = []
    for step in recipe.representative_steps():
        go_to(state, GROWTH_MOMENTS[-1], step)  # a growing network is largest at the end
        with _TensorCount() as count:
            train_step(state)
        steps.append(np.array(list(accumulate(count.changes)), np.float64))
    storages = {id(t): t for t in map(_storage, _tensors(state_dict(state)))}
    return steps, sum(storage.nbytes() for storage in storages.values())


class _TensorCount(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that are created while it is active.

    Attributes:
        changes: of the bytes in use, by operation.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.changes: list[int] = []
        self._freed = 0
        self._live: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        change = 0
        for storage in map(_storage, _tensors(result)):
            if id(storage) not in self._live:
                self._live.add(id(storage))
                change += storage.nbytes()
                weakref.finalize(storage, self._free, id(storage), storage.nbytes()).atexit = False
        self.changes.append(change - self._freed)
        self._freed = 0
        return result

    def _free(self, key: int, size: int) -> None:
        self._live.discard(key)
        self._freed += size


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    return tensor.untyped_storage()


def _round_down(batch_size: int) -> int:
    """A batch size that is easy to read and type, at most 1/8 smaller."""
    step = 1 << max(0, batch_size.bit_length() - 4)
    return batch_size // step * step

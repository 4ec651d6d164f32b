"""Batches that all have the same size.

Libraries choose their arithmetic by the shape of a batch, so the same item can differ in its last bits between a full
batch and a short one. In batches of one size, the result for an item does not depend on how many others there are.
Needs no torch, since models in ONNX run without it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def full_batches(count: int, size: int) -> list[tuple[NDArray[np.int64], int]]:
    """The batches that `count` items make, each with exactly `size` of them; the last item fills up the last batch.

    Returns:
        for each batch, the indices of its items `[size]`, and how many of them come before the repetitions.

    Example:
        for rows, n in full_batches(len(x), 16):
            y[rows[:n]] = net(x[rows])[:n]
    """
    starts = range(0, count, size)
    return [(np.minimum(np.arange(start, start + size), count - 1), min(size, count - start)) for start in starts]

"""Batches that all have the same size.

Libraries choose their kernels by shape. So the result for an item can differ in its last bits between a full batch and
a short one. In batches of one size, it does not depend on the other items. Doesn't import torch, because ONNX models
work without it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def full_batches(count: int, size: int) -> list[tuple[NDArray[np.int64], int]]:
    """Split `count` items into batches of `size`. The last batch is padded by repeating the last item.

    Returns:
        for each batch, the indices of its items `[size]`, and how many of them are not padding.

    Example:
        for rows, n in full_batches(len(x), 16):
            y[rows[:n]] = net(x[rows])[:n]
    """
    starts = range(0, count, size)
    return [(np.minimum(np.arange(start, start + size), count - 1), min(size, count - start)) for start in starts]

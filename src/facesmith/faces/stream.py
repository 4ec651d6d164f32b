"""Seeded batches of faces without end, which go on exactly where they stopped."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facesmith.images import Pixels, to_float


class Stream:
    """Draws faces in a shuffled order, all of them before any again, or with replacement.

    What comes next is a function of seed and position alone, so the position is the whole state.

    Args:
        pixels: uint8 `[N, S, S, C]`.
        indices: which of them to draw, such as the training part.
        mirror: flip every other face, by chance.
    """

    def __init__(
        self, pixels: Pixels, indices: NDArray[np.int64], *, seed: int, mirror: bool, position: int = 0
    ) -> None:
        if len(indices) == 0:
            raise AssertionError("a stream needs faces")
        self.pixels, self.indices, self.seed, self.mirror, self.position = pixels, indices, seed, mirror, position
        self._order = lru_cache(maxsize=2)(self._order_of_pass)

    def _order_of_pass(self, number: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.seed, number)).permutation(self.indices)

    def draw(self, count: int, *, replacement: bool = False) -> Tensor:
        """The next faces, float32 `[count, C, S, S]` in `[-1, 1]`."""
        rng = np.random.default_rng((self.seed, self.position, 1))
        if replacement:
            chosen = rng.choice(self.indices, count)
        else:
            at = np.arange(self.position, self.position + count)
            chosen = np.array([self._order(int(i) // len(self.indices))[i % len(self.indices)] for i in at], np.int64)
        self.position += count
        faces = torch.from_numpy(np.asarray(self.pixels[chosen]))
        if self.mirror and count:
            flipped = torch.from_numpy(rng.random(count) < 0.5)
            faces[flipped] = faces[flipped].flip(2)  # [N, H, W, C]
        return to_float(faces)

"""Seeded batches of faces without end, which go on exactly where they stopped."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facesmith.io.images import Pixels, to_float

if TYPE_CHECKING:
    from torch import Tensor


class Stream:
    """Draws faces in a shuffled order, all of them before any again, or with replacement.

    The n-th face follows from the seed and n alone, however they are cut into batches, so the position is the whole
    state.

    Args:
        pixels: uint8 `[N, S, S, C]`.
        indices: which of them to draw, such as the training part.
        mirror: flip every other face, by chance.
        labels: float32 `[N, K]` of all faces, or None; a mirrored face keeps its own.
    """

    def __init__(
        self,
        pixels: Pixels,
        indices: NDArray[np.int64],
        *,
        seed: int,
        mirror: bool,
        position: int = 0,
        labels: NDArray[np.float32] | None = None,
    ) -> None:
        assert len(indices) > 0
        self.pixels, self.indices, self.seed, self.mirror, self.position = pixels, indices, seed, mirror, position
        self.labels = labels
        self._pass = lru_cache(maxsize=4)(self._new_pass)

    def _new_pass(self, number: int, replacement: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """As many draws as there are faces: which one, and whether it is flipped."""
        rng = np.random.default_rng((self.seed, number))
        count = len(self.indices)
        order = rng.choice(self.indices, count) if replacement else rng.permutation(self.indices)
        return order, rng.random(count) < 0.5

    def draw(self, count: int, *, replacement: bool = False) -> Tensor:
        """The next faces, float32 `[count, C, S, S]` in `[-1, 1]`."""
        return self.draw_with_labels(count, replacement=replacement)[0]

    def draw_with_labels(self, count: int, *, replacement: bool = False) -> tuple[Tensor, Tensor | None]:
        """The next faces, as `draw` gives them, and their labels `[count, K]`, if there are any."""
        import torch  # here, since a dataset is opened and described without it

        numbers, offsets = np.divmod(np.arange(self.position, self.position + count), len(self.indices))
        chosen, flipped = np.empty(count, np.int64), np.empty(count, np.bool_)
        for number in np.unique(numbers).tolist():
            here = numbers == number
            order, flips = self._pass(number, replacement)
            chosen[here], flipped[here] = order[offsets[here]], flips[offsets[here]]
        self.position += count
        faces = np.asarray(self.pixels[chosen])  # a copy already
        if self.mirror:
            faces[flipped] = faces[flipped, :, ::-1]  # [N, H, W, C]
        return to_float(torch.from_numpy(faces)), None if self.labels is None else torch.tensor(self.labels[chosen])

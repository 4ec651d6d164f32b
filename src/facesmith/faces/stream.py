"""Endless seeded batches of faces that resume exactly."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facesmith.pictures.images import Pixels, to_float

if TYPE_CHECKING:
    from torch import Tensor


class Stream:
    """Draws faces in shuffled epochs, or with replacement.

    The n-th face depends on the seed and n alone, whatever the batch sizes. Therefore `position` is the whole state.

    Args:
        pixels: uint8 `[N, S, S, C]`.
        indices: rows of the faces to draw, such as the training split. Rows may be repeated.
        mirror: flip each face with probability 0.5.
        position: number of faces drawn so far, by all processes.
        labels: float32 `[N, K]` of all faces, or None. A mirrored face keeps its labels.
        rank, processes: several processes draw from the same order, each different faces: this is number `rank`.
        own: `indices` belong to this process alone; the others have different ones.
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
        rank: int = 0,
        processes: int = 1,
        own: bool = False,
    ) -> None:
        assert len(indices) > 0
        self.pixels, self.indices, self.seed, self.mirror, self.position = pixels, indices, seed, mirror, position
        self.labels = labels
        self.rank, self.processes, self.own = rank, processes, own
        self._epoch = lru_cache(maxsize=4)(self._shuffle_epoch)

    def _shuffle_epoch(self, number: int, replacement: bool) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The rows of an epoch in their order, and whether each is flipped."""
        rng = np.random.default_rng((self.seed, number))
        count = len(self.indices)
        order = rng.choice(self.indices, count) if replacement else rng.permutation(self.indices)
        return order, rng.random(count) < 0.5

    def draw(self, count: int, *, replacement: bool = False) -> Tensor:
        """The next faces, float32 `[count, C, S, S]` in `[-1, 1]`."""
        return self.draw_with_labels(count, replacement=replacement)[0]

    def last_drawn(self, count: int, *, replacement: bool = False) -> Tensor:
        """The last `count` faces that were drawn, as `draw` returned them; the position stays as it is.

        Near the start of the stream, faces that were not drawn yet follow.
        """
        position = self.position
        self.position = max(0, position - count * (self.processes if self.own else 1))
        try:
            return self.draw(count, replacement=replacement)
        finally:
            self.position = position

    def draw_with_labels(self, count: int, *, replacement: bool = False) -> tuple[Tensor, Tensor | None]:
        """The next faces, as in `draw`, and their labels `[count, K]` or None."""
        import torch  # here, because opening and describing a dataset must not load torch

        first = self.position // self.processes if self.own else self.position + self.rank * count
        epochs, offsets = np.divmod(np.arange(first, first + count), len(self.indices))
        rows, flipped = np.empty(count, np.int64), np.empty(count, np.bool_)
        for epoch in np.unique(epochs).tolist():
            in_epoch = epochs == epoch
            order, flips = self._epoch(epoch, replacement)
            rows[in_epoch], flipped[in_epoch] = order[offsets[in_epoch]], flips[offsets[in_epoch]]
        self.position += self.processes * count
        faces = np.asarray(self.pixels[rows])  # indexing by an array copies
        if self.mirror:
            faces[flipped] = faces[flipped, :, ::-1]  # [N, H, W, C]
        return to_float(torch.from_numpy(faces)), None if self.labels is None else torch.tensor(self.labels[rows])

from __future__ import annotations

import numpy as np
import torch

from facesmith.training.monitor import release_memory, used_mib


class Cycle:
    """Cyclic garbage, like a figure of matplotlib."""

    def __init__(self) -> None:
        self.tensor, self.own = torch.ones(2**22), self  # 16 MiB


def test_cyclic_garbage_is_released():
    release_memory()
    before = used_mib()
    for _ in range(10):
        Cycle()
    release_memory()
    assert used_mib() - before < 40


def test_allocated_memory_counts_and_mapped_files_do_not(tmp_path):
    release_memory()
    before = used_mib()
    tensor = torch.ones(100 * 2**18)  # 100 MiB
    assert 80 < used_mib() - before < 140
    del tensor
    np.full(100 * 2**20, 7, np.uint8).tofile(tmp_path / "pixels.u8")
    release_memory()
    mapped = np.memmap(tmp_path / "pixels.u8", np.uint8, "r")
    assert mapped.sum(dtype=np.int64) == 7 * 100 * 2**20
    assert used_mib() - before < 40

from __future__ import annotations

import sys

import pytest
import torch

from facesmith.memory import give_back, map_large_blocks, used_mib


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is what is set here")
def test_freed_tensors_go_back_to_the_system_though_others_live_between_them():
    map_large_blocks()
    give_back()
    before = used_mib()
    held = [torch.ones(2**20) for _ in range(100)]  # 4 MiB each
    assert used_mib() - before > 350
    kept = held[::10]
    del held
    assert used_mib() - before < 80
    assert sum(tensor.sum().item() for tensor in kept) == 10 * 2**20

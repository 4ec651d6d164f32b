from __future__ import annotations

import numpy as np
import torch

from facesmith.training import memory
from facesmith.training.memory import give_back, used_mib


class Cycle:
    """What only the collector frees, as figures are."""

    def __init__(self) -> None:
        self.held, self.own = torch.ones(2**22), self  # 16 MiB


def test_what_only_the_collector_frees_is_given_back():
    give_back()
    before = used_mib()
    for _ in range(10):
        Cycle()
    give_back()
    assert used_mib() - before < 40


def test_allocations_count_and_mapped_files_do_not(tmp_path):
    give_back()
    before = used_mib()
    held = torch.ones(100 * 2**18)  # 100 MiB
    assert 80 < used_mib() - before < 140
    del held
    np.full(100 * 2**20, 7, np.uint8).tofile(tmp_path / "pixels.u8")
    give_back()
    mapped = np.memmap(tmp_path / "pixels.u8", np.uint8, "r")
    assert mapped.sum(dtype=np.int64) == 7 * 100 * 2**20
    assert used_mib() - before < 40


def test_tidying_rests_for_some_seconds_but_not_the_first_time(monkeypatch):
    clock, done = [0.0], []
    monkeypatch.setattr(memory, "give_back", lambda: done.append(clock[0]))
    monkeypatch.setattr(memory.time, "monotonic", lambda: clock[0])
    tidy = memory.Tidier()
    for clock[0] in (1.0, 1.1, 5.9, 6.0, 6.5, 11.0):
        tidy()
    assert done == [1.0, 6.0, 11.0]

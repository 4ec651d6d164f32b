"""The losses of a tiny run as they were: a change of the arithmetic is to be meant, not to slip in.

Made with torch 2.14.1 in float32 on one thread. After a meant change: python tests/test_golden.py
"""

from __future__ import annotations

import pytest
import torch
from small import small_state

from facesmith.training.step import train_step

GOLDEN = [
    (1.3788, 0.6954),
    (1.2032, 0.6734),
    (1.146, 0.6421),
    (1.156, 0.648),
    (1.1271, 0.683),
    (1.1282, 0.6728),
    (1.0675, 0.6579),
    (1.1432, 0.6526),
    (1.1212, 0.6882),
    (1.1127, 0.6956),
    (1.0206, 0.7298),
    (1.0874, 0.754),
    (0.9556, 0.785),
    (0.9473, 0.785),
    (0.9752, 0.7934),
    (1.0647, 0.7667),
    (0.8979, 0.8155),
    (0.9162, 0.8506),
    (0.8579, 0.8943),
    (0.9263, 0.9723),
]


def losses():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    state = small_state("dcgan64", seed=7, lr=5e-3)
    terms = [train_step(state) for _ in range(20)]
    torch.set_num_threads(threads)
    return [(round(each["D/loss"].item(), 4), round(each["G/loss"].item(), 4)) for each in terms]


def test_twenty_steps_give_the_losses_that_they_gave():
    found = losses()
    assert [d for d, _ in found] == pytest.approx([d for d, _ in GOLDEN], rel=0.02, abs=0.01)
    assert [g for _, g in found] == pytest.approx([g for _, g in GOLDEN], rel=0.02, abs=0.01)


if __name__ == "__main__":
    print(losses())

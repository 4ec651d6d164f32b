"""Stored losses of two tiny runs and stored pixels of the bundled generator, to detect any change of arithmetic.

Made with torch 2.14.1 in float32 on one thread. After an intended change, replace them by the output of:
python tests/test_golden.py
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small import small_state

import facesmith
from facesmith.training.step import train_step

OPTIONS = {"dcgan64": {"lr": 5e-3}, "quick": {}}
GOLDEN_LOSSES = {  # of D and G in 20 steps
    "dcgan64": [
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
    ],
    "quick": [
        (1.3834, 0.6668),
        (1.321, 0.7004),
        (1.1619, 0.7602),
        (1.0038, 1.4449),
        (1.2399, 0.6217),
        (0.8954, 1.1954),
        (0.6756, 1.3611),
        (0.5266, 1.8639),
        (0.526, 1.6705),
        (0.9054, 0.7712),
        (1.024, 2.2731),
        (1.3788, 0.9986),
        (0.7023, 1.2986),
        (0.599, 1.2916),
        (0.6227, 1.5906),
        (0.4045, 2.1137),
        (0.3979, 1.6888),
        (0.6716, 1.3184),
        (1.034, 2.4192),
        (1.316, 0.5369),
    ],
}
GOLDEN_PIXELS = [
    [42, 136, 136, 78, 143, 103, 142, 92, 79, 89, 124, 83, 70, 78, 114, 48],
    [108, 143, 158, 111, 110, 115, 98, 137, 12, 101, 126, 115, 43, 110, 141, 4],
    [37, 140, 140, 26, 116, 126, 137, 20, 105, 114, 147, 125, 111, 102, 130, 24],
    [164, 138, 155, 210, 199, 183, 168, 226, 123, 111, 93, 179, 77, 150, 157, 232],
]


def losses(name):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    state = small_state(name, seed=7, **OPTIONS[name])
    terms = [train_step(state) for _ in range(20)]
    torch.set_num_threads(threads)
    return [(round(step["D/loss"].item(), 4), round(step["G/loss"].item(), 4)) for step in terms]


def bundled_pixels():
    """16 pixels of the faces of seeds 0 to 3: their gray levels, `[4, 16]`."""
    faces = facesmith.load().sample(range(4))
    side = faces.shape[1] // 4
    return faces[:, side // 2 :: side, side // 2 :: side].mean(-1).round().astype(int).reshape(4, 16)


@pytest.mark.parametrize("name", list(GOLDEN_LOSSES))
def test_twenty_steps_have_the_stored_losses(name):
    found = np.array(losses(name))
    assert found == pytest.approx(np.array(GOLDEN_LOSSES[name]), rel=0.02, abs=0.01)


def test_bundled_generator_has_the_stored_pixels():
    assert np.abs(bundled_pixels() - np.array(GOLDEN_PIXELS)).max() <= 2


if __name__ == "__main__":
    print({name: losses(name) for name in GOLDEN_LOSSES})
    print(bundled_pixels().tolist())

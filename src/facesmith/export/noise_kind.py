"""How a generator draws z, as a kind of noise that NumPy and JavaScript can draw, too."""

from __future__ import annotations

import numpy as np
import torch

from facesmith.export.seeded_noise import DRAWS
from facesmith.gan.contracts import Generator

COMPARED_SEEDS = range(16)
TOLERANCE = 2e-6


def noise_kind(G: Generator) -> str | None:
    """The key in `DRAWS` whose numbers equal those that the generator draws. None if there is none."""
    for name, draw in DRAWS.items():
        pairs = ((draw(seed, G.z_dim), G.draw_z(1, torch.Generator().manual_seed(seed))) for seed in COMPARED_SEEDS)
        if all(np.abs(numpy_z - torch_z.numpy()[0]).max() <= TOLERANCE for numpy_z, torch_z in pairs):
            return name
    return None

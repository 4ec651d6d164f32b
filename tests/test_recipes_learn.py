"""Every recipe learns: a short training on procedural faces at least halves the Fréchet distance."""

from __future__ import annotations

import numpy as np
import pytest
from small import RECIPES, procedural_pixels, small_state, train_to_end

from facesmith.latent.synthesis import synthesize_seeds
from facesmith.training.averages import inference_networks

COMPONENTS, FACES, SAMPLES = 8, 512, 256

# Small networks, with learning rates for hundreds of steps instead of tens of thousands.
OPTIONS = {
    "balanced64": {"width": 16, "z_dim": 16, "batch_size": 16, "lr": 1e-3},
    "dcgan32": {"width": 16, "z_dim": 16, "batch_size": 16, "lr": 2e-3},
    "dcgan64": {"width": 16, "z_dim": 16, "batch_size": 16, "lr": 2e-3},
    # Its discriminator uses plain SGD and diverges at higher learning rates. So it takes a thousand small steps.
    "elu36": {"width": 8, "z_dim": 16, "batch_size": 5, "lr_g": 3e-4},
    "gray-dcgan64": {"z_dim": 16, "width": 16, "batch_size": 4, "pretraining": 5, "d_steps": 1, "lr": 2e-3},
    "progressive64": {"width": 16, "max_channels": 32, "z_dim": 16, "batch_size": 16, "lr": 2e-3},
    "quick": {"width": 16, "z_dim": 16, "batch_size": 16, "hidden": 64, "lr": 1e-3},
    "vae64": {"width": 16, "z_dim": 16, "batch_size": 16, "lr": 2e-3},
    "vaegan64": {"width": 16, "z_dim": 16, "batch_size": 16, "lr": 2e-3, "lr_d": 1e-3},
    "wgan-gp64": {"width": 16, "z_dim": 16, "batch_size": 16, "lr": 1e-3, "d_steps": 2},
}
BUDGETS = dict.fromkeys(RECIPES, 4000) | {"elu36": 25_000, "quick": 2000, "vaegan64": 2500}  # images


def flatten(pixels):
    """Images as rows of a float64 matrix."""
    return pixels.reshape(len(pixels), -1).astype(np.float64)


def matrix_square_root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def frechet_distance(real, fake):
    """The Fréchet distance of Gaussians in the first principal components of the real faces."""
    _, _, axes = np.linalg.svd(real - real.mean(0), full_matrices=False)
    a, b = real @ axes[:COMPONENTS].T, fake @ axes[:COMPONENTS].T
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    half = matrix_square_root(first)
    return np.square(a.mean(0) - b.mean(0)).sum() + np.trace(
        first + second - 2 * matrix_square_root(half @ second @ half)
    )


def distances(name, seed):
    """Fréchet distance before and after a training."""
    state = small_state(name, seed=seed, faces=FACES, budget=BUDGETS[name], **OPTIONS[name])
    real = flatten(procedural_pixels(FACES, state.recipe.resolution, state.recipe.channels))
    before = frechet_distance(real, flatten(synthesize_seeds(inference_networks(state)["G"], range(SAMPLES))))
    train_to_end(state)
    return before, frechet_distance(real, flatten(synthesize_seeds(inference_networks(state)["G"], range(SAMPLES))))


SLOW = {"elu36", "gray-dcgan64"}  # many steps; always 64x64


def cases():
    for name in sorted(RECIPES):
        for seed in range(3):
            yield pytest.param(name, seed, marks=pytest.mark.slow if seed or name in SLOW else ())


@pytest.mark.parametrize(("name", "seed"), list(cases()))
def test_training_halves_the_frechet_distance(name, seed):
    before, after = distances(name, seed)
    assert after <= 0.5 * before, f"{before:.0f} before, {after:.0f} after"

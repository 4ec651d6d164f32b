"""A generator whose attributes are known: what is bright in its pictures is linear in its latents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from small import Tiny, TinyD

from facesmith.gan import contracts
from facesmith.gan.recipe import make_recipe, recipe
from facesmith.io.files import atomic_write
from facesmith.io.images import to_uint8, write_png
from facesmith.modelfiles.checkpoint import save_model
from facesmith.modelfiles.run_folder import MODEL

SIDE, W_DIM = 16, 6
# What each part of the picture follows: rows are mouth, hat and background.
PLANTED = torch.tensor([[1.0, 0.6, 0, 0, 0, 0], [0, 1.0, 0, 0, 0, 0], [0, 0, 0, 1.0, 0, 0]])


class PlantedG(contracts.Generator):
    """A mouth, a hat and a background, each as bright as `PLANTED` says; the mouth's light leans on the hat's."""

    def __init__(self, num_ws: int = 1) -> None:
        super().__init__(resolution=SIDE, channels=3, z_dim=W_DIM, num_ws=num_ws)
        self.first = torch.nn.Linear(W_DIM, 3, bias=False)
        self.first.weight.data.copy_(PLANTED)

    def synthesis(self, w):
        coarse, fine = (w, w) if w.ndim == 2 else (w[:, 0], w[:, -1])
        light, below = self.first(coarse), self.first(fine)
        picture = (0.3 * light[:, 2])[:, None, None, None] * w.new_ones(len(w), 3, SIDE, SIDE)
        hat, mouth = w.new_zeros(SIDE, SIDE), w.new_zeros(SIDE, SIDE)
        hat[:5], mouth[10:14, 3:13] = 1, 1
        return (picture + light[:, 1].view(-1, 1, 1, 1) * hat + below[:, 0].view(-1, 1, 1, 1) * mouth).tanh()


@recipe("test-planted")
@dataclass(frozen=True, kw_only=True)
class Planted(Tiny):
    layered: ClassVar[int] = 1

    def networks(self):
        return {"G": PlantedG(self.layered), "D": TinyD(SIDE, 3)}


@recipe("test-layered")
@dataclass(frozen=True, kw_only=True)
class Layered(Planted):
    layered: ClassVar[int] = 3


def planted_model(path: Path, name: str = "test-planted") -> Path:
    """A run folder with the model."""
    path.mkdir(exist_ok=True)
    made = make_recipe(name, {})
    save_model(
        path / MODEL,
        {"G": made.networks()["G"]},
        {"recipe": name, "hyperparameters": made.hyperparameters(), "seen": 0},
    )
    return path


def write_labeled_faces(path: Path, count: int, seed: int = 1) -> Path:
    """Its own faces with a `metadata.csv` that says which mouths and hats are bright, and how the background is."""
    w = torch.randn(count, W_DIM, generator=torch.Generator().manual_seed(seed))
    pictures = to_uint8(PlantedG()(w)).numpy()
    light = (w @ PLANTED.T).numpy()
    noise = np.random.default_rng(seed).normal(0, 4, pictures.shape)
    lines = ["file_name,Bright Mouth,hat,background,constant"]
    for i, picture in enumerate(np.clip(pictures + noise, 0, 255).astype(np.uint8)):
        write_png(path / f"{i:05d}.png", picture)
        lines.append(f"{i:05d}.png,{int(light[i, 0] > 0)},{int(light[i, 1] > 0)},{light[i, 2]:.4f},1")
    with atomic_write(path / "metadata.csv", "w") as stream:
        stream.write("\n".join(lines) + "\n")
    return path

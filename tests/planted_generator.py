"""A generator with known attribute directions: the brightness of each part of an image is linear in the latent."""

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
from facesmith.modelfiles.checkpoint import save_model
from facesmith.modelfiles.run_folder import MODEL
from facesmith.pictures.images import to_uint8, write_png

SIDE, W_DIM = 16, 6
# The direction of each part's brightness; the rows are mouth, hat and background.
PLANTED = torch.tensor([[1.0, 0.6, 0, 0, 0, 0], [0, 1.0, 0, 0, 0, 0], [0, 0, 0, 1.0, 0, 0]])


class PlantedG(contracts.Generator):
    """Draws a mouth, a hat and a background with brightness `PLANTED @ w`. Mouth and hat are correlated.

    With several latents per image, hat and background follow the first one and the mouth the last one.
    """

    def __init__(self, num_ws: int = 1) -> None:
        super().__init__(resolution=SIDE, channels=3, z_dim=W_DIM, num_ws=num_ws)
        self.first = torch.nn.Linear(W_DIM, 3, bias=False)
        self.first.weight.data.copy_(PLANTED)

    def synthesis(self, w):
        coarse, fine = (w, w) if w.ndim == 2 else (w[:, 0], w[:, -1])
        _, hat, background = self.first(coarse)[:, :, None, None, None].unbind(1)  # each [N, 1, 1, 1]
        mouth = self.first(fine)[:, 0, None, None, None]
        hat_mask, mouth_mask = w.new_zeros(SIDE, SIDE), w.new_zeros(SIDE, SIDE)
        hat_mask[:5], mouth_mask[10:14, 3:13] = 1, 1
        images = 0.3 * background * w.new_ones(len(w), 3, SIDE, SIDE)
        return (images + hat * hat_mask + mouth * mouth_mask).tanh()


@recipe("test-planted")
@dataclass(frozen=True, kw_only=True)
class PlantedRecipe(Tiny):
    num_ws: ClassVar[int] = 1

    def networks(self):
        return {"G": PlantedG(self.num_ws), "D": TinyD(SIDE, 3)}


@recipe("test-layered")
@dataclass(frozen=True, kw_only=True)
class LayeredRecipe(PlantedRecipe):
    num_ws: ClassVar[int] = 3


def planted_model(path: Path, name: str = "test-planted") -> Path:
    """A run folder with the planted generator."""
    path.mkdir(exist_ok=True)
    recipe = make_recipe(name, {})
    header = {"recipe": name, "hyperparameters": recipe.hyperparameters(), "seen": 0}
    save_model(path / MODEL, {"G": recipe.networks()["G"]}, header)
    return path


def write_labeled_faces(path: Path, count: int, seed: int = 1) -> Path:
    """A folder of its images, with noise, and their attributes in `metadata.csv`."""
    w = torch.randn(count, W_DIM, generator=torch.Generator().manual_seed(seed))
    images = to_uint8(PlantedG()(w)).numpy()
    noise = np.random.default_rng(seed).normal(0, 4, images.shape)
    mouth, hat, background = (w @ PLANTED.T).numpy().T
    lines = ["file_name,Bright Mouth,hat,background,constant"]
    for i, image in enumerate(np.clip(images + noise, 0, 255).astype(np.uint8)):
        write_png(path / f"{i:05d}.png", image)
        lines.append(f"{i:05d}.png,{int(mouth[i] > 0)},{int(hat[i] > 0)},{background[i] + 10:.4f},1")
    with atomic_write(path / "metadata.csv", "w") as stream:
        stream.write("\n".join(lines) + "\n")
    return path

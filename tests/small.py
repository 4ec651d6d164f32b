"""Small recipes, models and faces that the tests share. Each recipe uses a different part of the contract."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim import SGD, Adam, RMSprop

from facesmith.faces import Stream
from facesmith.gan import contracts
from facesmith.gan.contracts import Batch, Knobs, Loss, Objective, Player, Turn
from facesmith.gan.losses import NonSaturating, non_saturating_g
from facesmith.gan.recipe import Conditional, Recipe, condition_of, make_recipe, recipe
from facesmith.gan.recipe_options import option
from facesmith.modelfiles.checkpoint import save_model
from facesmith.modelfiles.run_folder import MODEL
from facesmith.pictures.images import Pixels
from facesmith.procedural import draw_many, face_labels, random_face, write_faces
from facesmith.training import train as train_module
from facesmith.training.averages import inference_networks
from facesmith.training.state import TrainState, new_state
from facesmith.training.step import train_step

QUIET = Console(quiet=True)
RESOLUTION = 16


class WithoutFloat64(Tensor):
    """A tensor as on a GPU that has no float64, such as Apple's, until it is moved by `cpu()`."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is Tensor.double:
            raise TypeError("this device has no float64")
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **(kwargs or {}))
            return result.as_subclass(Tensor) if func is Tensor.cpu else result


class TinyG(contracts.Generator):
    """A generator with BatchNorm and, like growing networks, a level."""

    def __init__(self, resolution: int, channels: int, z_dim: int = 8) -> None:
        super().__init__(resolution=resolution, channels=channels, z_dim=z_dim)
        self.dense = nn.Linear(z_dim, channels * resolution**2)
        self.norm = nn.BatchNorm2d(channels)
        self.register_buffer("level", torch.zeros(()))

    def synthesis(self, w: Tensor) -> Tensor:
        return self.norm(self.dense(w).view(-1, self.channels, self.resolution, self.resolution)).tanh()


class TinyD(contracts.Discriminator):
    def __init__(self, resolution: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(channels * resolution**2, 1))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(x).flatten().float()


class TinyE(contracts.Encoder):
    def __init__(self, resolution: int, channels: int, z_dim: int = 8) -> None:
        super().__init__()
        self.dense, self.norm = nn.Linear(channels * resolution**2, z_dim), nn.BatchNorm1d(z_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.norm(self.dense(x.flatten(1)))
        return mean, torch.zeros_like(mean)


@dataclass(frozen=True, kw_only=True)
class Tiny(Recipe):
    source: ClassVar[str] = "the tests"
    resolution: int = option(RESOLUTION, "side", at_least=4, at_most=64)
    batch_size: int = option(8, "batch", at_least=1, at_most=64)
    lr: float = option(1e-2, "learning rate", at_least=0)

    def networks(self):
        return {"G": TinyG(self.resolution, self.channels), "D": TinyD(self.resolution, self.channels)}

    def players(self):
        return {"D": Player(("D",), partial(RMSprop, lr=1.0), clip_norm=0.01), "G": Player(("G",), Adam)}

    def objective(self):
        return NonSaturating()

    def turns(self, step):
        return (Turn(("D", "G"), self.batch_size, self.batch_size),)

    def knobs(self, progress):
        return Knobs(lr={"D": self.lr, "G": self.lr}, level=progress)


@recipe("test-pretrained")
@dataclass(frozen=True, kw_only=True)
class Pretrained(Tiny):
    """Discriminator pretraining, then five discriminator steps per generator step, with replacement."""

    pretraining: int = option(3, "pretraining steps", at_least=0)

    def turns(self, step):
        if step < self.pretraining:
            return (Turn(("D",), 16, 16, phase="pretrain"),)
        d_turn = Turn(("D",), self.batch_size, self.batch_size, replacement=True)
        return (*[d_turn] * 5, Turn(("G",), 0, 2 * self.batch_size))


class EveryThirdSkipped(Objective):
    """The discriminator skips every third step. The counter is a buffer, so resuming must restore it."""

    def __init__(self) -> None:
        super().__init__()
        self.gan = NonSaturating()
        self.register_buffer("turns_seen", torch.zeros((), dtype=torch.long))

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        loss = self.gan.loss(player, nets, batch)
        if player == "D":
            self.turns_seen += 1
            loss.update = int(self.turns_seen) % 3 != 0
        return loss


@recipe("test-balanced")
@dataclass(frozen=True, kw_only=True)
class Balanced(Tiny):
    def objective(self):
        return EveryThirdSkipped()


class Reconstruction(Objective):
    """A GAN loss for the decoder, and a reconstruction loss for encoder and decoder."""

    def loss(self, player: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        if player == "D":
            return NonSaturating().loss("D", nets, batch)
        mean, _ = nets["E"](batch.real)
        reconstruction = mse_loss(nets["G"](mean), batch.real)
        gan = non_saturating_g(nets["D"](batch.fake))
        total = reconstruction + 0.1 * gan
        return Loss(total, {"G/reconstruction": reconstruction, "G/gan": gan})


@recipe("test-autoencoder")
@dataclass(frozen=True, kw_only=True)
class Autoencoder(Tiny):
    averaged: ClassVar[tuple[str, ...]] = ("G", "E")

    def networks(self):
        return {**super().networks(), "E": TinyE(self.resolution, self.channels)}

    def players(self):
        return {"D": Player(("D",), partial(SGD, lr=1.0)), "G": Player(("G", "E"), Adam)}

    def objective(self):
        return Reconstruction()


class ConditionalG(TinyG):
    """A generator whose w is a linear map of z, followed by the labels."""

    def __init__(self, resolution: int, channels: int, label_dim: int, z_dim: int = 8) -> None:
        contracts.Generator.__init__(
            self, resolution=resolution, channels=channels, z_dim=z_dim, w_dim=6 + label_dim, label_dim=label_dim
        )
        self.z_layer = nn.Linear(z_dim, 6)
        self.dense, self.norm = nn.Linear(6 + label_dim, channels * resolution**2), nn.BatchNorm2d(channels)
        self.register_buffer("level", torch.zeros(()))

    def mapping(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return torch.cat([self.z_layer(z), z.new_zeros(len(z), self.label_dim) if labels is None else labels], 1)


class ConditionalD(TinyD):
    def __init__(self, resolution: int, channels: int, label_dim: int) -> None:
        super().__init__(resolution, channels)
        self.label_layer = nn.Linear(channels * resolution**2, label_dim) if label_dim else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        logits = super().forward(x)
        if labels is None or self.label_layer is None:
            return logits
        return logits + (labels * self.label_layer(x.flatten(1))).mean(1).float()


@recipe("test-conditional")
@dataclass(frozen=True, kw_only=True)
class ConditionalTiny(Tiny, Conditional):
    """Conditional, with more fakes than real images in one turn and no real images in another."""

    def networks(self):
        label_dim = len(self.condition)
        return {
            "G": ConditionalG(self.resolution, self.channels, label_dim),
            "D": ConditionalD(self.resolution, self.channels, label_dim),
        }

    def turns(self, step):
        return (Turn(("D", "G"), self.batch_size, self.batch_size + 4), Turn(("G",), 0, self.batch_size))


TEST_RECIPES = ("test-pretrained", "test-balanced", "test-autoencoder")

SHARED_SMALL = {"resolution": RESOLUTION, "width": 4, "z_dim": 8, "batch_size": 8}
SMALL = {
    "balanced64": SHARED_SMALL,
    "dcgan32": SHARED_SMALL | {"scales": 2},
    "dcgan64": SHARED_SMALL,
    "elu36": {"z_dim": 8, "width": 4, "batch_size": 2},
    "gray-dcgan64": {"z_dim": 8, "width": 8, "batch_size": 2, "pretraining": 2, "pretraining_batch": 4},
    "progressive64": SHARED_SMALL | {"max_channels": 8},
    "quick": SHARED_SMALL | {"hidden": 16},
    "vae64": SHARED_SMALL,
    "vaegan64": SHARED_SMALL,
    "wgan-gp64": SHARED_SMALL,
}
RECIPES = tuple(SMALL)  # all recipes of the package, as a test checks


def small_recipe(name: str, **values) -> Recipe:
    """A recipe with networks and batches so small that a step takes milliseconds."""
    return make_recipe(name, {**SMALL.get(name, {}), **values})


@lru_cache
def procedural_pixels(count: int = 48, size_px: int = RESOLUTION, channels: int = 3) -> Pixels:
    faces = draw_many(range(count), size_px)
    return faces if channels == 3 else faces.mean(-1, keepdims=True).round().astype(np.uint8)


def procedural_labels(count: int, condition: tuple[str, ...]) -> np.ndarray | None:
    """The true labels of `procedural_pixels`, -1 or 1; None without a condition."""
    labels = [[2 * face_labels(random_face(seed))[name] - 1 for name in condition] for seed in range(count)]
    return np.array(labels, np.float32) if condition else None


def small_state(
    name: str = "dcgan64", *, seed: int = 0, budget: int = 400, mirror: bool = True, faces: int = 48, **values
) -> TrainState:
    recipe = small_recipe(name, **values)
    pixels = procedural_pixels(faces, size_px=recipe.resolution, channels=recipe.channels)
    labels = procedural_labels(faces, condition_of(recipe))
    stream = Stream(pixels, np.arange(len(pixels)), seed=seed, mirror=mirror, labels=labels)
    return new_state(recipe, stream, seed=seed, budget=budget, precision=torch.float32, device=torch.device("cpu"))


def saved_model(path: Path, name: str = "dcgan64", **values) -> Path:
    """A run folder with a model that was trained for three steps."""
    state = small_state(name, **values)
    state.stream.pixels = state.stream.pixels[..., : state.recipe.channels]
    for _ in range(3):
        train_step(state)
    path.mkdir(exist_ok=True)
    nets = {key: net for key, net in inference_networks(state).items() if key in state.recipe.averaged}
    header = {"recipe": name, "hyperparameters": state.recipe.hyperparameters(), "seen": state.seen}
    save_model(path / MODEL, nets, header)
    return path


def faces_folder(path: Path, count: int = 40, size_px: int = RESOLUTION) -> Path:
    return write_faces(path, count, size_px)


def train_to_end(state):
    """Train until the budget is used."""
    while state.seen < state.budget:
        train_step(state)


def stop_after(steps, monkeypatch, number=signal.SIGTERM):
    """Make the next training receive a signal in its step number `steps`; it stops after that step."""
    step, taken = train_module.train_step, 0
    if signal.getsignal(number) is signal.SIG_IGN:  # the tests run under nohup
        signal.signal(number, signal.SIG_DFL)

    def step_and_stop(state):
        nonlocal taken
        taken += 1
        if taken == steps:
            signal.raise_signal(number)
        return step(state)

    monkeypatch.setattr(train_module, "train_step", step_and_stop)

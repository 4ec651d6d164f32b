"""The inverter of a model: its encoder, its face template and the optimization, from the files next to the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from facesmith.errors import BadModel
from facesmith.gan.contracts import Encoder, Generator
from facesmith.inversion.encoder import MAX_WIDTH, InversionEncoder
from facesmith.inversion.face_template import FaceTemplate, estimate_template, extracted_template, read_template
from facesmith.inversion.optimize import STEPS, OnStep, optimize_latents
from facesmith.inversion.prior import latent_prior
from facesmith.io.batches import full_batches
from facesmith.io.commands import quoted
from facesmith.io.seeds import BATCH_SIZE, random_seeds
from facesmith.latent.synthesis import encode, synthesize_seeds
from facesmith.latent.whitening import Whitening
from facesmith.modelfiles.sidecar import load_sidecar, save_sidecar, sidecar_path
from facesmith.pictures.images import Pixels, to_float

KIND = "inversion"
TEMPLATE_SAMPLES = 100  # samples for the face template, if the recipe has its own encoder and no file has a template


@dataclass(frozen=True)
class Inverter:
    """Turns images into latents, by the encoder alone or with optimization.

    Attributes:
        prior: whitening of the model's latents.
        guess: returns the encoder's latents `[N, w_dim]` for faces uint8 `[N, S, S, C]`.
        template: where landmarks lie in the model's faces; None if unknown.
    """

    G: Generator
    prior: Whitening
    guess: Callable[[Pixels], Tensor]
    template: FaceTemplate | None

    def invert(self, faces: Pixels, *, optimize: bool, console: Console, on_step: OnStep | None = None) -> Tensor:
        """Return the latents of aligned faces `[N, S, S, C]`, on the CPU.

        Args:
            optimize: improve the encoder's guess by gradient descent.
            on_step: as in `optimize_latents`.

        Returns:
            `[N, w_dim]`, or `[N, num_ws, w_dim]` after optimization for a generator with layers.
        """
        start = self.guess(faces)
        if not optimize or not len(faces):
            return start
        device = self.G.w_avg.device
        images = to_float(torch.tensor(np.ascontiguousarray(faces), device=device))
        w = optimize_latents(
            self.G, self.prior, start.to(device), images, steps=STEPS, console=console, on_step=on_step
        )
        return w.cpu()


def open_inverter(G: Generator, E: Encoder | None, header: Mapping[str, Any], file: Path, model_hash: str) -> Inverter:
    """Return the inverter of a model.

    Args:
        E: the recipe's own encoder, if it has one; else the encoder that `facesmith train-inverter` wrote is loaded.
        header: of the model.
        file: of the model.

    Raises:
        BadModel: there is no encoder, or its file is damaged or belongs to another model.
    """
    prior = latent_prior(G)
    if E is not None:
        template = extracted_template(header) or estimate_template(
            synthesize_seeds(G, random_seeds(TEMPLATE_SAMPLES, 0))
        )
        return Inverter(G, prior, lambda faces: encode(G, E, faces), template)
    path = sidecar_path(file, KIND)
    if not path.exists():
        raise BadModel(
            "This model has no encoder, which inversion needs. Train one: facesmith train-inverter --model "
            f"{quoted(file)} --data FACES"
        )
    encoder, template = load_encoder(path, G, model_hash)
    return Inverter(G, prior, lambda faces: predict_latents(G, encoder, prior, faces), template)


@torch.inference_mode()
def predict_latents(G: Generator, encoder: InversionEncoder, prior: Whitening, faces: Pixels) -> Tensor:
    """Return the encoder's latents `[N, w_dim]`, on the CPU, for faces uint8 `[N, S, S, C]`.

    Args:
        encoder: in evaluation mode.
    """
    w = torch.empty(len(faces), G.w_dim)
    for rows, n in full_batches(len(faces), BATCH_SIZE):
        batch = to_float(torch.from_numpy(faces[rows]).to(G.w_avg.device))
        w[rows[:n]] = prior.to_w(encoder(batch))[:n].cpu()
    return w


def save_encoder(
    path: Path, encoder: InversionEncoder, template: FaceTemplate | None, details: Mapping[str, Any], model_hash: str
) -> None:
    """Write an encoder and the face template.

    Args:
        details: further header entries (JSON values): training and quality of the encoder.
        model_hash: sha256 of the model that the encoder belongs to.
    """
    tensors = {f"encoder.{name}": t for name, t in sorted(encoder.state_dict().items()) if t.is_floating_point()}
    header = {**details, "width": encoder.width, "template": template.to_values() if template else None}
    save_sidecar(path, KIND, tensors, header, model_hash)


def load_encoder(path: Path, G: Generator, model_hash: str) -> tuple[InversionEncoder, FaceTemplate | None]:
    """Return the encoder, in evaluation mode on the generator's device, and the template that `save_encoder` wrote.

    Raises:
        BadModel: the file is missing, damaged, or belongs to another model.
    """
    tensors, header = load_sidecar(path, KIND, model_hash)
    width, template = header.get("width"), header.get("template")
    if type(width) is not int or not 1 <= width <= MAX_WIDTH:
        raise BadModel(
            f"{path}: the encoder's width is {str(width)[:40]!r}; expected a whole number, 1 to {MAX_WIDTH}."
        )
    # On the meta device, so that a header can't make us allocate more memory than the file's tensors need.
    with torch.device("meta"):
        encoder = InversionEncoder(G.resolution, G.channels, G.w_dim, width)
    counters = {name for name, t in encoder.state_dict().items() if not t.is_floating_point()}
    expected = {f"encoder.{name}": t.shape for name, t in encoder.state_dict().items() if name not in counters}
    shapes = {name: t.shape for name, t in tensors.items()}
    if shapes != expected or any(t.dtype != torch.float32 for t in tensors.values()):
        raise BadModel(f"{path} does not contain the tensors of an encoder of width {width} for this model.")
    weights = {name.removeprefix("encoder."): t for name, t in tensors.items()}
    encoder.load_state_dict(weights | {name: torch.zeros((), dtype=torch.long) for name in counters}, assign=True)
    encoder.eval().requires_grad_(False).to(G.w_avg.device).to(memory_format=torch.channels_last)
    return encoder, read_template(template, str(path)) if template is not None else None

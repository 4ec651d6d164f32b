"""All that turns pictures into latents for one model: its encoder and its template, from the files beside it."""

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
from facesmith.gan import contracts
from facesmith.gan.contracts import Generator
from facesmith.inversion.encoder import MOST_WIDTH, InversionEncoder
from facesmith.inversion.face_template import FaceTemplate, estimate_template, extracted_template, read_template
from facesmith.inversion.optimize import STEPS, OnStep, optimize_latents
from facesmith.inversion.prior import latent_prior
from facesmith.io.batches import full_batches
from facesmith.io.images import Pixels, to_float
from facesmith.io.seeds import BATCH_SIZE, random_seeds
from facesmith.latent.synthesis import encode, synthesize_seeds
from facesmith.latent.whitening import Whitening
from facesmith.modelfiles.sidecar import load_sidecar, save_sidecar, sidecar_path

KIND = "inversion"
SAMPLES_LOOKED_AT = 100  # of a model whose own encoder makes an inverter needless


@dataclass(frozen=True)
class Inverter:
    """Pictures -> latents, by an encoder alone or refined.

    Attributes:
        prior: of the model's latents.
        guess: `w` `[N, w_dim]` of faces uint8 `[N, S, S, C]`.
        template: how the model's faces are framed; None where that isn't known.
    """

    G: Generator
    prior: Whitening
    guess: Callable[[Pixels], Tensor]
    template: FaceTemplate | None

    def invert(self, faces: Pixels, *, optimize: bool, console: Console, on_step: OnStep | None = None) -> Tensor:
        """Latents `[N, w_dim]` or, of a generator with layers, `[N, num_ws, w_dim]`, of faces `[N, S, S, C]`.

        Args:
            optimize: else the encoder's guess is all there is, always `[N, w_dim]`.
            on_step: as `refine` calls it.
        """
        start = self.guess(faces)
        if not optimize or not len(faces):
            return start
        device = self.G.w_avg.device
        images = to_float(torch.tensor(np.ascontiguousarray(faces), device=device))
        return optimize_latents(
            self.G, self.prior, start.to(device), images, steps=STEPS, console=console, on_step=on_step
        ).cpu()


def open_inverter(
    G: Generator, E: contracts.Encoder | None, header: Mapping[str, Any], file: Path, model_hash: str
) -> Inverter:
    """The inverter of a model: by its recipe's own encoder, or by the one that `facesmith train-inverter` trained.

    Args:
        header: the model's.
        file: the model's.

    Raises:
        BadModel: it has neither, or the file is damaged or another model's.
    """
    prior = latent_prior(G)
    if E is not None:
        template = extracted_template(header) or estimate_template(
            synthesize_seeds(G, random_seeds(SAMPLES_LOOKED_AT, 0))
        )
        return Inverter(G, prior, lambda faces: encode(G, E, faces), template)
    path = sidecar_path(file, KIND)
    if not path.exists():
        raise BadModel(
            f"This model has no encoder to invert pictures with. Train one beside it: facesmith train-inverter --model "
            f"{file} --data FACES"
        )
    encoder, template = load_encoder(path, G, model_hash)
    return Inverter(G, prior, lambda faces: guesses(G, encoder, prior, faces), template)


@torch.inference_mode()
def guesses(G: Generator, encoder: InversionEncoder, prior: Whitening, faces: Pixels) -> Tensor:
    """What an encoder in evaluation mode makes of faces `[N, S, S, C]`: `w` `[N, w_dim]`, on the CPU."""
    w = torch.empty(len(faces), G.w_dim)
    for rows, n in full_batches(len(faces), BATCH_SIZE):
        batch = to_float(torch.from_numpy(faces[rows]).to(G.w_avg.device))
        w[rows[:n]] = prior.to_w(encoder(batch))[:n].cpu()
    return w


def save_encoder(
    path: Path, encoder: InversionEncoder, template: FaceTemplate | None, told: Mapping[str, Any], model_hash: str
) -> None:
    """Write an encoder and the template.

    Args:
        told: plain values: how it was trained and how well it does.
    """
    tensors = {f"encoder.{name}": t for name, t in sorted(encoder.state_dict().items()) if t.is_floating_point()}
    header = {**told, "width": encoder.width, "template": template.to_values() if template else None}
    save_sidecar(path, KIND, tensors, header, model_hash)


def load_encoder(path: Path, G: Generator, model_hash: str) -> tuple[InversionEncoder, FaceTemplate | None]:
    """What `save_encoder` wrote, checked against this generator.

    Raises:
        BadModel: missing, damaged, another model's, or its tensors are not those of such an encoder.
    """
    tensors, header = load_sidecar(path, KIND, model_hash)
    width, template = header.get("width"), header.get("template")
    if type(width) is not int or not 1 <= width <= MOST_WIDTH:
        raise BadModel(f"{path}: its encoder's width {str(width)[:40]!r} is no whole number from 1 to {MOST_WIDTH}.")
    with torch.device("meta"):  # so that a header can't claim more memory than its file holds
        encoder = InversionEncoder(G.resolution, G.channels, G.w_dim, width)
    counters = {name for name, t in encoder.state_dict().items() if not t.is_floating_point()}
    expected = {f"encoder.{name}": t.shape for name, t in encoder.state_dict().items() if name not in counters}
    if {name: t.shape for name, t in tensors.items()} != expected or any(
        t.dtype != torch.float32 for t in tensors.values()
    ):
        raise BadModel(f"{path} does not hold the encoder that its header tells of ({len(tensors)} tensors found).")
    own = {name.removeprefix("encoder."): t for name, t in tensors.items()}
    encoder.load_state_dict(own | {name: torch.zeros((), dtype=torch.long) for name in counters}, assign=True)
    encoder.eval().requires_grad_(False).to(G.w_avg.device).to(memory_format=torch.channels_last)
    return encoder, read_template(template, str(path)) if template is not None else None

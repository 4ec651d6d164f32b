"""Trains the encoder with which a model inverts pictures, and learns how the model's faces are framed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from facesmith import __version__
from facesmith.errors import BadModel
from facesmith.faces import Faces, Stream, open_faces
from facesmith.inversion.encoder import BATCH, EncoderTraining, InversionEncoder
from facesmith.inversion.face_template import LOOKED_AT, FaceTemplate, estimate_template, extracted_template
from facesmith.inversion.inverter import KIND, guesses, save_encoder
from facesmith.inversion.prior import latent_prior
from facesmith.io.files import refuse_to_overwrite
from facesmith.io.images import Pixels
from facesmith.io.progress import progress
from facesmith.io.seeds import random_seeds
from facesmith.model import Model, load
from facesmith.modelfiles.sidecar import sidecar_path
from facesmith.training.reconstructions import reconstruction_errors

DEFAULT_KIMG = 20.0
MEASURED = 64  # held-out faces and samples on which the encoder is tried
MEASURED_SEED = 64_001


def train_inverter(
    path: Path | None, data: Path, *, kimg: float = DEFAULT_KIMG, seed: int = 0, force: bool = False, console: Console
) -> Iterator[str]:
    """Train the encoder of a model and write it beside the model's file.

    Ctrl-C ends the training early and keeps what was learnt.

    Args:
        data: faces like those that the model was trained on.
        kimg: thousands of real faces to be shown, and of samples as many.

    Yields:
        lines that tell how it went, and the file's path.

    Raises:
        BadModel: the model's recipe has an encoder of its own.
    """
    model = load(path)
    if model.E is not None:
        raise BadModel(
            f"Models of recipe {model.recipe.name} have an encoder of their own: facesmith invert works without this."
        )
    out = sidecar_path(model.path, KIND)
    refuse_to_overwrite(out, force)
    faces = open_faces(data, model.G.resolution, model.G.channels, console=console)
    template = extracted_template(model.header) or _estimated(faces)
    yield _told_template(template)
    encoder, seen = _learn(model, faces, round(kimg * 1000), seed, console)
    scores = _measured(model, encoder, faces)
    told = {"seen": seen, "seed": seed, "fingerprint": faces.fingerprint, "version": __version__, **scores}
    save_encoder(out, encoder, template, told, model.hash)
    yield (
        f"after {seen / 1000:.1f} kimg, at one glance: {scores['samples_psnr_db']:.1f} dB on the model's own samples, "
        f"{scores['faces_psnr_db']:.1f} dB on held-out faces"
    )
    yield str(out)


def _estimated(faces: Faces) -> FaceTemplate | None:
    rows = np.random.default_rng(0).permutation(faces.part("train"))[:LOOKED_AT]
    return estimate_template(np.asarray(faces.pixels[np.sort(rows)]))


def _told_template(template: FaceTemplate | None) -> str:
    if template is None:
        return "no landmarks are found in these faces: invert will take pictures as they are (--aligned)"
    if template.source == "extracted":
        return "faces are framed as extract did it"
    return f"how faces are framed was estimated from landmarks in {template.count} of them"


def _learn(model: Model, faces: Faces, budget: int, seed: int, console: Console) -> tuple[InversionEncoder, int]:
    """The trained encoder in evaluation mode, and how many real faces it has seen."""
    stream = Stream(faces.pixels, faces.part("train"), seed=seed, mirror=True)
    device = model.G.w_avg.device
    steps = max(1, -(-budget // BATCH))
    lesson = EncoderTraining(model.G, latent_prior(model.G), lambda count: stream.draw(count).to(device), steps, seed)
    done = 0
    with progress(console) as shown:
        task = shown.add_task("training the encoder", total=steps)
        try:
            for done in range(1, steps + 1):
                terms = lesson.step(done - 1)
                shown.update(task, advance=1, description=f"training the encoder, latents {terms['latent']:.2f}")
        except KeyboardInterrupt:
            console.print(f"stopped after {done} of {steps} steps; what was learnt is kept")
    encoder = lesson.E.eval().requires_grad_(False)
    return encoder, stream.position


def _measured(model: Model, encoder: InversionEncoder, faces: Faces) -> dict[str, float]:
    """Peak signal-to-noise ratios of the encoder alone, on samples and on held-out faces."""
    held = faces.part("validation")[:MEASURED]
    held = held if len(held) else faces.part("train")[:MEASURED]
    sets: dict[str, Pixels] = {
        "samples": model.sample(random_seeds(MEASURED, MEASURED_SEED)),
        "faces": np.asarray(faces.pixels[held]),
    }
    prior = latent_prior(model.G)
    with torch.inference_mode():
        rebuilt = {
            name: model.synthesize(guesses(model.G, encoder, prior, each).numpy()) for name, each in sets.items()
        }
    return {
        f"{name}_psnr_db": reconstruction_errors(each, rebuilt[name])["reconstruction/psnr_db"]
        for name, each in sets.items()
    }

"""The verb `train-inverter`: train the encoder with which `invert` works, and find the model's face template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from facesmith import __version__
from facesmith.errors import BadModel, BadOption
from facesmith.faces import Faces, Stream, open_faces
from facesmith.inversion.encoder import BATCH_SIZE, EncoderTraining, InversionEncoder
from facesmith.inversion.face_template import (
    MAX_ESTIMATION_FACES,
    FaceTemplate,
    estimate_template,
    extracted_template,
)
from facesmith.inversion.inverter import KIND, predict_latents, save_encoder
from facesmith.inversion.prior import latent_prior
from facesmith.io.files import refuse_to_overwrite
from facesmith.io.progress import Progress
from facesmith.io.seeds import random_seeds
from facesmith.model import Model, load
from facesmith.modelfiles.locate import refuse_to_write_beside_bundled
from facesmith.modelfiles.sidecar import sidecar_path
from facesmith.pictures.images import Pixels
from facesmith.training.plan import MAX_BUDGET
from facesmith.training.reconstructions import reconstruction_errors

DEFAULT_KIMG = 20.0
TEST_COUNT = 64  # held-out faces, and samples, on which the encoder is tested
TEST_SEED = 64_001


def train_inverter(
    path: Path, data: Path, *, kimg: float = DEFAULT_KIMG, seed: int = 0, force: bool = False, console: Console
) -> Iterator[str]:
    """Train a model's inversion encoder and write it next to the model.

    Ctrl-C ends the training early; the encoder is written as it is then. A second Ctrl-C skips its test.

    Args:
        path: a run folder or model file.
        data: faces like those that the model was trained on.
        kimg: thousands of real faces to show; as many samples are shown.
        seed: another seed gives another encoder.

    Yields:
        lines about the training, then the path of the file.

    Raises:
        BadModel: the model's recipe has its own encoder.
        BadOption: it is the bundled generator, or `kimg` is out of range.
        OutputExists: the model has an encoder, and `force` is not set.
    """
    if not 0 < kimg <= MAX_BUDGET:
        raise BadOption(f"--kimg must be more than 0 and at most {MAX_BUDGET:g}, not {kimg:g}.")
    model = load(path)
    if model.E is not None:
        raise BadModel(f"Recipe {model.recipe.name} has its own encoder, so facesmith invert works without this step.")
    refuse_to_write_beside_bundled(
        model.path, f"Copy {model.path.name} to a folder of your own, and give the copy with --model."
    )
    out = sidecar_path(model.path, KIND)
    refuse_to_overwrite(out, force, option="")
    faces = open_faces(data, model.G.resolution, model.G.channels, console=console)
    template = extracted_template(model.header) or _estimate_from(faces, console)
    yield _describe_template(template)
    encoder, seen = _train(model, faces, round(kimg * 1000), seed, console)
    scores = _test(model, encoder, faces)
    details = {"seen": seen, "seed": seed, "fingerprint": faces.fingerprint, "version": __version__, **scores}
    save_encoder(out, encoder, template, details, model.hash)
    yield f"after {seen / 1000:.1f} kimg, {_describe_scores(scores, faces)}"
    yield str(out)


def _estimate_from(faces: Faces, console: Console) -> FaceTemplate | None:
    rows = np.random.default_rng(0).permutation(faces.part("train"))[:MAX_ESTIMATION_FACES]
    return estimate_template(np.asarray(faces.pixels[np.sort(rows)]), console)


def _describe_template(template: FaceTemplate | None) -> str:
    if template is None:
        return "no landmarks found in these faces: invert will need aligned pictures (--aligned)"
    if template.source == "extracted":
        return "alignment of the faces: as stored by facesmith extract"
    return f"alignment of the faces: estimated from landmarks in {template.count} of them"


def _train(model: Model, faces: Faces, budget: int, seed: int, console: Console) -> tuple[InversionEncoder, int]:
    """Return the trained encoder in evaluation mode, and the number of real faces shown."""
    stream = Stream(faces.pixels, faces.part("train"), seed=seed, mirror=True)
    device = model.G.w_avg.device
    steps = max(1, -(-budget // BATCH_SIZE))
    training = EncoderTraining(model.G, latent_prior(model.G), lambda count: stream.draw(count).to(device), steps, seed)
    done = 0
    with Progress(console, "training the encoder, steps", steps) as progress:
        try:
            for done in range(1, steps + 1):
                terms = training.step(done - 1)
                progress.advance(description=f"training the encoder, latent loss {terms['latent']:.2f}, steps")
        except KeyboardInterrupt:
            console.print(f"stopped after {done} of {steps} steps; the encoder is written as it is now")
    encoder = training.E.eval().requires_grad_(False)
    return encoder, stream.position


def _test(model: Model, encoder: InversionEncoder, faces: Faces) -> dict[str, float]:
    """Return the PSNR of reconstructions by the encoder alone, for samples and for held-out faces.

    If none are held out, training faces take their place. After Ctrl-C, the result is empty.
    """
    try:
        return _scores(model, encoder, faces)
    except KeyboardInterrupt:  # the encoder must not be lost
        return {}


def _describe_scores(scores: Mapping[str, float], faces: Faces) -> str:
    if not scores:
        return "not tested"
    real = "held-out faces" if len(faces.part("validation")) else "training faces, because none are held out"
    return (
        f"by the encoder alone: {scores['samples_psnr_db']:.1f} dB on generated faces, "
        f"{scores['faces_psnr_db']:.1f} dB on {real}"
    )


def _scores(model: Model, encoder: InversionEncoder, faces: Faces) -> dict[str, float]:
    rows = faces.part("validation")[:TEST_COUNT]
    rows = rows if len(rows) else faces.part("train")[:TEST_COUNT]
    sets: dict[str, Pixels] = {
        "samples": model.sample(random_seeds(TEST_COUNT, TEST_SEED)),
        "faces": np.asarray(faces.pixels[rows]),
    }
    prior = latent_prior(model.G)
    with torch.inference_mode():
        rebuilt = {
            name: model.synthesize(predict_latents(model.G, encoder, prior, pictures).numpy())
            for name, pictures in sets.items()
        }
    return {
        f"{name}_psnr_db": reconstruction_errors(each, rebuilt[name])["reconstruction/psnr_db"]
        for name, each in sets.items()
    }

"""Validation during training, which shows whether the generator still improves.

It compares a few hundred samples with the validation split by KID, which is unbiased for small samples. The best model
is chosen on the validation split, so `facesmith evaluate` measures it on the test split.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from facesmith.errors import BadData
from facesmith.faces import Faces
from facesmith.latent.synthesis import synthesize_seeds
from facesmith.metrics import kid, prdc
from facesmith.metrics.comparison import K
from facesmith.metrics.features import BATCH_SIZE, Extractor, cached_features, extract_features
from facesmith.training.averages import inference_networks
from facesmith.training.curves import points
from facesmith.training.state import TrainState

EXTRACTOR = "lite0"
MAX_SHARE_OF_RUN = 0.05  # of the training time
# Plan with half of that share. Comparing and saving add to it, and a validation during training was measured to take
# twice as long as one before it, probably because of cold caches.
PLANNED_SHARE = 0.5 * MAX_SHARE_OF_RUN
MIN_SAMPLES, MAX_SAMPLES = 256, 1024
TIMED_SAMPLES = 16
MIN_VALIDATION_FACES = 50
KID_SUBSETS = 10
KID = "validation/kid"  # chooses the best model; lower is better
SECONDS = "validation/seconds"  # duration of a validation, with preparing the networks and saving the best model
BEST_BEFORE_ROLLBACK = "validation/best_before"  # best KID in lines that a rollback removed; the model is kept


@dataclass(frozen=True)
class Validation:
    """The features of the validation split, and the number of samples to compare with them."""

    extractor: Extractor
    real_features: NDArray[np.float32]
    samples: int


def check_validation_split(faces: Faces) -> None:
    """Raise BadData if the validation split has too few faces."""
    if (count := len(faces.part("validation"))) < MIN_VALIDATION_FACES:
        raise BadData(
            f"{faces.path} has {count} faces in its validation split; --validate-every needs {MIN_VALIDATION_FACES}. "
            "Give more faces, or leave out --validate-every."
        )


def prepare_validation(faces: Faces, extractor: Extractor, samples: int, console: Console) -> Validation:
    """Compute the features of the validation split; they are cached on disk."""
    pixels = np.asarray(faces.pixels[faces.part("validation")])
    return Validation(extractor, cached_features(extractor, pixels, "validation faces", console), samples)


def validate(G: nn.Module, validation: Validation) -> dict[str, float]:
    """Measure a generator in evaluation mode on the validation split.

    Returns:
        `validation/kid`, `validation/precision` and `validation/coverage`. The seeds are always 0, 1, 2, …, so
        the numbers depend on the generator, the faces and the number of samples only.
    """
    samples = synthesize_seeds(G, range(validation.samples))
    fake = extract_features(validation.extractor, samples, "samples", Console(quiet=True))
    scores = prdc(validation.real_features, fake, K)
    return {
        KID: kid(validation.real_features, fake, subsets=KID_SUBSETS),
        "validation/precision": scores["precision"],
        "validation/coverage": scores["coverage"],
    }


def best_kid(lines: Sequence[Mapping[str, Any]]) -> float:
    """The lowest KID in the log of a run; infinity if there is none."""
    return min((number for name in (KID, BEST_BEFORE_ROLLBACK) for number in points(lines, name)[1]), default=inf)


def affordable_validation(
    extractor: Extractor, state: TrainState, every: int, images_per_second: float
) -> tuple[int, int]:
    """The number of samples, and of images between two validations, that keep their share of the run small.

    Args:
        state: a run to measure with; not changed.
        every: images between two validations, as requested. The result is larger if even few samples would take
            too long.
        images_per_second: the speed of the training.
    """
    fixed_seconds, seconds_per_sample = _measure(extractor, state)
    seconds_per_image = PLANNED_SHARE / images_per_second
    samples = int((seconds_per_image * every - fixed_seconds) / seconds_per_sample)
    if samples >= MIN_SAMPLES:
        return min(samples, MAX_SAMPLES) // BATCH_SIZE * BATCH_SIZE, every
    return MIN_SAMPLES, int(np.ceil((fixed_seconds + MIN_SAMPLES * seconds_per_sample) / seconds_per_image))


def _measure(extractor: Extractor, state: TrainState) -> tuple[float, float]:
    """Seconds to prepare the networks for inference, and to draw one sample and extract its features."""
    G, quiet = inference_networks(state)["G"], Console(quiet=True)
    extract_features(extractor, synthesize_seeds(G, range(TIMED_SAMPLES)), "", quiet)  # the first call is slower
    start = time.monotonic()
    inference_networks(state)
    prepared = time.monotonic()
    extract_features(extractor, synthesize_seeds(G, range(TIMED_SAMPLES)), "", quiet)
    return prepared - start, (time.monotonic() - prepared) / TIMED_SAMPLES

"""A small, fixed evaluation during training, which shows whether the generator still improves.

It draws few samples and compares them with the validation split by KID, which is unbiased for small samples. The best
model is chosen on the validation split, so `facesmith evaluate` measures it on the test split.
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
# Plan with half of that share: comparing and saving add to it, and an evaluation during training was measured to take
# twice as long as one before it, because the training fills the CPU's caches.
PLANNED_SHARE = 0.5 * MAX_SHARE_OF_RUN
MIN_SAMPLES, MAX_SAMPLES = 256, 1024
TIMED_SAMPLES = 16
MIN_VALIDATION_FACES = 50
KID_SUBSETS = 10
KID = "eval/kid"  # chooses the best model; lower is better
SECONDS = "eval/seconds"  # duration of an evaluation, including the networks' statistics and saving the best model
BEST_BEFORE_ROLLBACK = "eval/best_before"  # the best KID among log lines that a rollback removed


@dataclass(frozen=True)
class Validation:
    """What a generator is compared with: features of the validation split, and the number of samples to draw."""

    extractor: Extractor
    real: NDArray[np.float32]
    samples: int


def check_validation_split(faces: Faces) -> None:
    """Raise BadData where the validation split has too few faces."""
    if (count := len(faces.part("validation"))) < MIN_VALIDATION_FACES:
        raise BadData(
            f"{faces.path} has {count} faces in its validation split; --eval-every needs {MIN_VALIDATION_FACES}. "
            "Give more faces, or leave out --eval-every."
        )


def prepare_validation(faces: Faces, extractor: Extractor, samples: int, console: Console) -> Validation:
    """Compute the features of the validation split; they are cached on disk."""
    pixels = np.asarray(faces.pixels[faces.part("validation")])
    return Validation(extractor, cached_features(extractor, pixels, "validation faces", console), samples)


def validate(G: nn.Module, validation: Validation) -> dict[str, float]:
    """Evaluate a generator in evaluation mode on the validation split.

    Returns:
        `eval/kid`, `eval/precision` and `eval/coverage`. The seeds are 0, 1, 2, …, so the numbers depend on the
        generator, the faces and the number of samples only.
    """
    samples = synthesize_seeds(G, range(validation.samples))
    fake = extract_features(validation.extractor, samples, "samples", Console(quiet=True))
    scores = prdc(validation.real, fake, K)
    return {
        KID: kid(validation.real, fake, subsets=KID_SUBSETS),
        "eval/precision": scores["precision"],
        "eval/coverage": scores["coverage"],
    }


def best_kid(lines: Sequence[Mapping[str, Any]]) -> float:
    """The lowest KID in the log of a run; infinity where no evaluation took place."""
    return min((number for name in (KID, BEST_BEFORE_ROLLBACK) for number in points(lines, name)[1]), default=inf)


def affordable_validation(
    extractor: Extractor, state: TrainState, every: int, images_per_second: float
) -> tuple[int, int]:
    """The number of samples, and of images between two evaluations, that keep their share of the run small.

    Args:
        state: a training to measure on; not changed.
        every: images between two evaluations, as requested. The result is larger where even few samples would take
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
    """Seconds to prepare the networks for inference, and to draw and examine one sample."""
    G, quiet = inference_networks(state)["G"], Console(quiet=True)
    extract_features(extractor, synthesize_seeds(G, range(TIMED_SAMPLES)), "", quiet)  # the first call is slower
    start = time.monotonic()
    inference_networks(state)
    prepared = time.monotonic()
    extract_features(extractor, synthesize_seeds(G, range(TIMED_SAMPLES)), "", quiet)
    return prepared - start, (time.monotonic() - prepared) / TIMED_SAMPLES

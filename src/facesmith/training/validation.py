"""A small, fixed evaluation for while a generator is being trained: is it still getting better?

It looks at few samples, so it holds them against the validation part by KID, which few samples don't bias; what is
chosen by that part is judged by the test part (`facesmith evaluate`).
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
from facesmith.training.curves import points
from facesmith.training.trainer import TrainState, inference_networks

EXTRACTOR = "lite0"
SHARE = 0.05  # of a run's time that may be spent on this
# Of that is planned with: comparing and keeping come on top, machines have slow hours, and amid a training, whose
# tensors fill the caches, an evaluation took twice as long as when it was measured.
SPARE = 0.5
FEWEST, MOST = 256, 1024  # samples looked at
DRAWN = 16  # to measure by
FEWEST_FACES = 50  # validation faces below which nothing is chosen by them
SUBSETS = 10
CHOSEN_BY = "eval/kid"  # lower is better
SECONDS = "eval/seconds"  # what an evaluation took, settling the averages and keeping the best included
BEST_BEFORE = "eval/best_before"  # CHOSEN_BY of a line that going back took away, while its model was kept


@dataclass(frozen=True)
class Validation:
    """What a generator is held against: features of the validation part, and how many samples are drawn."""

    extractor: Extractor
    real: NDArray[np.float32]
    samples: int


def check_validation(faces: Faces) -> None:
    """Raise BadData where too few faces fell to the validation part."""
    if (count := len(faces.part("validation"))) < FEWEST_FACES:
        raise BadData(
            f"{faces.path} has {count} faces in its validation part; choosing the best model by them needs "
            f"{FEWEST_FACES}. Give more faces, or leave out --eval-every."
        )


def prepare(faces: Faces, extractor: Extractor, samples: int, console: Console) -> Validation:
    """Look at the validation part, once: its features stay in the cache."""
    validation = np.asarray(faces.pixels[faces.part("validation")])
    return Validation(extractor, cached_features(extractor, validation, "validation faces", console), samples)


def watched(G: nn.Module, watch: Validation) -> dict[str, float]:
    """How good a settled generator is.

    Returns:
        `eval/kid`, `eval/precision` and `eval/coverage`. They follow from the generator, the faces and the number of
        samples: the seeds are 0 and up.
    """
    pictures = synthesize_seeds(G, range(watch.samples))
    fake = extract_features(watch.extractor, pictures, "samples", Console(quiet=True))
    shares = prdc(watch.real, fake, K)
    return {
        CHOSEN_BY: kid(watch.real, fake, subsets=SUBSETS),
        "eval/precision": shares["precision"],
        "eval/coverage": shares["coverage"],
    }


def best_so_far(lines: Sequence[Mapping[str, Any]]) -> float:
    """CHOSEN_BY of the best model of a run by its log's lines; infinity where none was looked at."""
    return min((number for name in (CHOSEN_BY, BEST_BEFORE) for number in points(lines, name)[1]), default=inf)


def affordable(extractor: Extractor, state: TrainState, every: int, images_per_second: float) -> tuple[int, int]:
    """How many samples to look at, and after how many images, so that it takes no more than SHARE of a run.

    Args:
        state: a training to measure on; read, never changed.
        every: images between two evaluations, as asked for; more are returned where few samples would take too long.
        images_per_second: of the training.
    """
    settling, one = _seconds(extractor, state)
    affords = SHARE * SPARE / images_per_second  # seconds for each image of the training
    samples = int((affords * every - settling) / one)
    if samples >= FEWEST:
        return min(samples, MOST) // BATCH_SIZE * BATCH_SIZE, every
    return FEWEST, int(np.ceil((settling + FEWEST * one) / affords))


def _seconds(extractor: Extractor, state: TrainState) -> tuple[float, float]:
    """What it takes to settle the averages, and to draw and look at one sample."""
    G, quiet = inference_networks(state)["G"], Console(quiet=True)
    extract_features(extractor, synthesize_seeds(G, range(DRAWN)), "", quiet)  # the first call is slower
    start = time.monotonic()
    inference_networks(state)
    between = time.monotonic()
    extract_features(extractor, synthesize_seeds(G, range(DRAWN)), "", quiet)
    return between - start, (time.monotonic() - between) / DRAWN

"""What the discriminator gives real faces and fakes at one moment: D(x) against D(G(z)).

Source: "Faces GAN" (notebook, 36x36), `sample_probas`: two histograms of 1,000 scores each. As in training, BatchNorm
      sees one kind of image at a time, or both if the objective mixes them; dropout is off.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from facesmith.gan.contracts import Generator
from facesmith.latent.label_shares import draw_labels
from facesmith.pictures.images import Pixels, to_float
from facesmith.training.state import TrainState
from facesmith.training.step import autocast

Labeled = Sequence[tuple[Tensor, Tensor | None]]  # batches of images with their labels
MAX_SCORES, MIN_SCORES = 1000, 64  # of each kind
MIN_HELD_OUT = 8  # held-out faces needed to look for overfitting; the diagnosis allows for small numbers
BINS = 40
SEED = 20_140_610
# Scoring one pair costs .2 (dcgan64) to .44 (elu36) of training on one image. One pair per 24 images therefore takes
# less than 2 % of a run, except where checkpoints are very frequent.
IMAGES_PER_PAIR = 24


@dataclass(frozen=True)
class Histogram:
    """Scores counted in equal bins from `low` to `high`, as plain values for the log.

    Attributes:
        probability: whether scores are probabilities that an image is real; otherwise logits.
        real_threshold: the score above which an image counts as real, or None where only the ranking has a meaning.
        real: counts for real faces.
        fake: counts for fakes.
    """

    low: float
    high: float
    probability: bool
    real_threshold: float | None
    real: tuple[int, ...]
    fake: tuple[int, ...]


@dataclass(frozen=True)
class Scores:
    """The discriminator's logits.

    Attributes:
        real: of training faces `[N]`.
        fake: of fakes `[N]`.
        real_threshold: the logit above which an image counts as real, or None.
        held_out: of held-out faces `[M]`; may be empty.
    """

    real: NDArray[np.float32]
    fake: NDArray[np.float32]
    real_threshold: float | None
    held_out: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def summary(self) -> dict[str, float]:
        """The scores as numbers for the log.

        `scores/auc` is the share of real-fake pairs that are ranked correctly. `scores/training_auc` is the share of
        pairs in which a training face scores above a held-out one: 0.5, unless the discriminator overfits.
        """
        summary = {"scores/auc": auc(self.real, self.fake)}
        if self.real_threshold is not None:
            summary["scores/accuracy_real"] = float((self.real > self.real_threshold).mean())
            summary["scores/accuracy_fake"] = float((self.fake <= self.real_threshold).mean())
        if len(self.held_out) >= MIN_HELD_OUT:
            summary["scores/training_auc"] = auc(self.real, self.held_out)
            summary |= {"scores/faces": len(self.real), "scores/held_out_faces": len(self.held_out)}
        return summary

    def histogram(self) -> Histogram:
        """Both kinds in the same bins: over probabilities where the loss defines them, else over the logits' range."""
        probability = self.real_threshold == 0
        real, fake = (_sigmoid(each) if probability else each for each in (self.real, self.fake))
        low, high = (0.0, 1.0) if probability else _range(np.concatenate([real, fake]))
        counts = (tuple(np.histogram(each, BINS, (low, high))[0].tolist()) for each in (real, fake))
        return Histogram(low, high, probability, 0.5 if probability else self.real_threshold, *counts)


def discriminator_scores(
    state: TrainState,
    new_images: int,
    held_out: Pixels | None = None,
    held_out_labels: NDArray[np.float32] | None = None,
) -> Scores | None:
    """Score faces and fakes with copies of the training networks; None without a discriminator or finite scores.

    Args:
        state: not changed.
        new_images: seen since the last scores. Their number determines how many images are scored, 64 to 1,000 of each
            kind; at the end of the budget 1,000. They are always the same, evenly spread over the training split.
        held_out: faces that are not trained on, uint8 `[M, S, S, C]`.
        held_out_labels: `[M, K]`, for a conditional recipe.
    """
    if "D" not in state.nets:
        return None
    D, G = _scoring_copy(state.nets["D"]), _scoring_copy(state.nets["G"])
    count = _scores_of_each_kind(state, new_images)
    with torch.no_grad(), autocast(state):
        rows, labels = _training_rows(state, count), state.stream.labels
        pixels = np.asarray(state.stream.pixels[rows])
        fakes = [(G(z, y), y) for z, y in _latent_batches(state, count)]
        reals = list(_batches(state, pixels, None if labels is None else labels[rows]))
        real, fake = _scored(D, reals, fakes, state), _scored(D, fakes, reals, state)[:count]
        held_out = pixels[:0] if held_out is None else held_out[: max(count, MIN_SCORES)]
        filled = _filled_up(state, held_out, held_out_labels, rows)
        new = _scored(D, list(_batches(state, *filled)), fakes, state)[: len(held_out)]
    scores = Scores(real[:count], fake, state.objective.real_threshold, new)
    return scores if all(np.isfinite(each).all() for each in (scores.real, scores.fake, scores.held_out)) else None


def auc(real: NDArray[np.float32], fake: NDArray[np.float32]) -> float:
    """The share of pairs in which a real image scores above a fake (area under the ROC curve); ties count half."""
    fake = np.sort(fake)
    below, up_to = np.searchsorted(fake, real, "left"), np.searchsorted(fake, real, "right")
    return float((below + up_to).mean() / 2 / len(fake))


def read_histogram(line: Mapping[str, Any]) -> Histogram | None:
    """The histogram in a line of the log; None where there is none, or it is invalid."""
    try:
        histogram = Histogram(**line["scores"])
        histogram = replace(histogram, real=tuple(histogram.real), fake=tuple(histogram.fake))  # JSON has no tuples
        counts = np.array([histogram.real, histogram.fake], np.int64)
        threshold = histogram.low if histogram.real_threshold is None else histogram.real_threshold
        is_valid = histogram.low < histogram.high and all(
            map(math.isfinite, (histogram.low, histogram.high, threshold))
        )
        if not is_valid or counts.shape != (2, BINS) or counts.min() < 0 or not counts.sum(1).all():
            return None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return histogram


def training_faces(state: TrainState, limit: int) -> Pixels:
    """At most `limit` training faces, uint8 `[N, S, S, C]`, evenly spread, since data may be sorted by class."""
    return np.asarray(state.stream.pixels[_training_rows(state, min(limit, len(_unique_rows(state))))])


def _scoring_copy(net: nn.Module) -> nn.Module:
    """A copy of a network that normalizes by batch as in training, but applies no dropout."""
    net = copy.deepcopy(net).eval()
    for layer in net.modules():
        if isinstance(layer, _BatchNorm):
            layer.train()
    return net


def _scores_of_each_kind(state: TrainState, new_images: int) -> int:
    """How many images of each kind to score, in whole batches."""
    batch = state.recipe.batch_size
    count = MAX_SCORES if state.seen >= state.budget else max(MIN_SCORES, new_images // IMAGES_PER_PAIR)
    return min(-(-count // batch) * batch, MAX_SCORES, len(_unique_rows(state)))


def _training_rows(state: TrainState, count: int) -> NDArray[np.int64]:
    indices = _unique_rows(state)
    rows: NDArray[np.int64] = indices[np.linspace(0, len(indices) - 1, count).astype(int)]
    return rows


def _unique_rows(state: TrainState) -> NDArray[np.int64]:
    """Each training face once; those with rare labels occur several times in an epoch."""
    return np.unique(state.stream.indices)


def _batches(
    state: TrainState, pixels: Pixels, labels: NDArray[np.float32] | None
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Faces and labels in batches of the training's size; the last is filled up from the beginning."""
    batch, count = state.recipe.batch_size, len(pixels)
    for start in range(0, count, batch):
        rows = np.arange(start, start + batch) % count
        batch_labels = None if labels is None else torch.from_numpy(labels[rows]).to(state.device)
        yield to_float(torch.from_numpy(pixels[rows])).to(state.device), batch_labels


def _filled_up(
    state: TrainState, held_out: Pixels, labels: NDArray[np.float32] | None, rows: NDArray[np.int64]
) -> tuple[Pixels, NDArray[np.float32] | None]:
    """Held-out faces and labels, with training faces added to complete the last batch.

    A discriminator with minibatch standard deviation sees how varied a batch is. Repeating a few held-out faces would
    make them look less varied than the training faces.
    """
    if not len(held_out):
        return held_out, None
    extra = rows[: -len(held_out) % state.recipe.batch_size]
    training_labels, joined = state.stream.labels, None
    if labels is not None and training_labels is not None:
        joined = np.concatenate([labels[: len(held_out)], training_labels[extra]])
    return np.concatenate([held_out, np.asarray(state.stream.pixels[extra])]), joined


def _latent_batches(state: TrainState, count: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    G, batch, rng = state.nets["G"], state.recipe.batch_size, torch.Generator().manual_seed(SEED)
    assert isinstance(G, Generator)
    for _ in range(0, count, batch):
        z, labels = G.draw_z(batch, rng), draw_labels(G, batch, rng)
        yield z.to(state.device), None if labels is None else labels.to(state.device)


def _scored(D: nn.Module, batches: Labeled, others: Labeled, state: TrainState) -> NDArray[np.float32]:
    """The logits of images in batches; if the objective mixes real images and fakes, each with a batch of `others`."""
    logits = [torch.zeros(0)]
    for number, (images, labels) in enumerate(batches):
        if state.objective.mixed_batch:
            other, _ = others[number % len(others)]
            batch = D(torch.cat([images, other.to(images.dtype)]), None)[: len(images)]
        else:
            batch = D(images, labels)
        logits.append(batch.float().cpu())
    scores: NDArray[np.float32] = torch.cat(logits).numpy()
    return scores


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    probabilities: NDArray[np.float32] = torch.from_numpy(logits).sigmoid().numpy()
    return probabilities


def _range(scores: NDArray[np.float32]) -> tuple[float, float]:
    low, high = float(scores.min()), float(scores.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)

"""What the critic says of real faces and of fakes at one moment: D(x) against D(G(z)), and how the game stands.

Text: "Faces GAN" (notebook, 36x36), `sample_probas`: two histograms of 1,000 each. As in training, BatchNorm sees one
      kind of picture at a time; dropout is off.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from facesmith.gan.contracts import Generator
from facesmith.io.images import Pixels, to_float
from facesmith.latent.label_shares import draw_labels
from facesmith.training.trainer import TrainState, autocast

MOST, LEAST = 1000, 64
# Unseen faces below which nothing is said of them: a few hundred faces leave a dozen unseen, and the doctor counts with
# how few they are.
LEAST_UNSEEN = 8
BINS = 40
SEED = 20_140_610
# A pair of scores costs .2 (dcgan64) to .44 (elu36) of what a face costs in training: with so many faces shown for each
# pair, the scores take less than 2 % of a run; more only where few faces lie between two saves.
SHOWN_FOR_A_PAIR = 24


@dataclass(frozen=True)
class Histogram:
    """Scores counted in equal bins from `low` to `high`, as plain values for the log.

    Attributes:
        probability: the scores are the critic's probabilities that a picture is real; else its bare logits.
        real_threshold: the score above which the critic calls a picture real, or None where only ranks mean anything.
        real: counts of real faces.
        fake: counts of fakes.
    """

    low: float
    high: float
    probability: bool
    real_threshold: float | None
    real: tuple[int, ...]
    fake: tuple[int, ...]


@dataclass(frozen=True)
class Scores:
    """The critic's logits of pictures of each kind.

    Attributes:
        real: of training faces `[N]`.
        fake: of fakes `[N]`.
        real_threshold: the logit above which the critic calls a picture real.
        unseen: of faces that nobody trained on, `[M]`; empty where there are none.
    """

    real: NDArray[np.float32]
    fake: NDArray[np.float32]
    real_threshold: float | None
    unseen: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def standing(self) -> dict[str, float]:
        """How the game stands: shares that the critic judges right, and of pairs in which the real face scores more.

        `scores/training_auc` is the share of pairs in which a training face scores above an unseen one: a half,
        unless the critic knows its training faces by heart.
        """
        shares = {"scores/auc": ranked(self.real, self.fake)}
        if self.real_threshold is not None:
            shares["scores/accuracy_real"] = float((self.real > self.real_threshold).mean())
            shares["scores/accuracy_fake"] = float((self.fake <= self.real_threshold).mean())
        if len(self.unseen) >= LEAST_UNSEEN:
            shares["scores/training_auc"] = ranked(self.real, self.unseen)
            shares |= {"scores/faces": len(self.real), "scores/unseen_faces": len(self.unseen)}
        return shares

    def histogram(self) -> Histogram:
        """Both kinds in the same bins: over probabilities where logits mean such, else over what the logits span."""
        probability = self.real_threshold == 0
        real, fake = (_sigmoid(held) if probability else held for held in (self.real, self.fake))
        low, high = (0.0, 1.0) if probability else _span(np.concatenate([real, fake]))
        counts = (tuple(np.histogram(held, BINS, (low, high))[0].tolist()) for held in (real, fake))
        return Histogram(low, high, probability, 0.5 if probability else self.real_threshold, *counts)


def discriminator_scores(
    state: TrainState, shown: int, unseen: Pixels | None = None, unseen_labels: NDArray[np.float32] | None = None
) -> Scores | None:
    """Scores by copies of the networks as they train; None for a recipe without critic, or where one is not finite.

    Args:
        state: read, never changed.
        shown: faces since the last scores. The more, the more pictures: from 64 to 1,000 of each kind, always the
            same, the faces spread evenly over the training part; at the end of the budget always 1,000.
        unseen: faces that are not trained on, uint8 `[M, S, S, C]`, and of a conditional recipe their labels `[M, K]`.
    """
    if "D" not in state.nets:
        return None
    D, G = _judging(state.nets["D"]), _judging(state.nets["G"])
    count = _count(state, shown)
    with torch.no_grad(), autocast(state):
        rows, told = _training_rows(state, count), state.stream.labels
        real_pixels = np.asarray(state.stream.pixels[rows])
        real = _all(D(x, y) for x, y in _batches(state, real_pixels, None if told is None else told[rows]))
        fake = _all(D(G(z, y), y) for z, y in _latents(state, count))[:count]
        unseen = real_pixels[:0] if unseen is None else unseen[: max(count, LEAST)]
        new = _all(D(x, y) for x, y in _batches(state, *_filled_up(state, unseen, unseen_labels, rows)))[: len(unseen)]
    scores = Scores(real[:count], fake, state.objective.real_threshold, new)
    return scores if all(np.isfinite(held).all() for held in (scores.real, scores.fake, scores.unseen)) else None


def ranked(real: NDArray[np.float32], fake: NDArray[np.float32]) -> float:
    """The share of pairs in which a real face scores above a fake; ties count half. Also known as AUC."""
    fake = np.sort(fake)
    below, up_to = np.searchsorted(fake, real, "left"), np.searchsorted(fake, real, "right")
    return float((below + up_to).mean() / 2 / len(fake))


def read_histogram(line: Mapping[str, Any]) -> Histogram | None:
    """The histogram in a line of the log; None where it holds none that could be ours."""
    try:
        held = Histogram(**line["scores"])
        held = replace(held, real=tuple(held.real), fake=tuple(held.fake))  # JSON knows no tuples
        counts = np.array([held.real, held.fake], np.int64)
        threshold = held.low if held.real_threshold is None else held.real_threshold
        sound = held.low < held.high and all(map(math.isfinite, (held.low, held.high, threshold)))
        if not sound or counts.shape != (2, BINS) or counts.min() < 0 or not counts.sum(1).all():
            return None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return held


def _judging(net: nn.Module) -> nn.Module:
    """A copy of a network that judges as in training, but drops nothing and learns nothing."""
    net = copy.deepcopy(net).eval()
    for layer in net.modules():
        if isinstance(layer, _BatchNorm):
            layer.train()
    return net


def _count(state: TrainState, shown: int) -> int:
    """How many of each kind: as many as the faces shown since the last scores pay for, in whole batches."""
    batch = state.recipe.batch_size
    paid = MOST if state.seen >= state.budget else max(LEAST, shown // SHOWN_FOR_A_PAIR)
    return min(-(-paid // batch) * batch, MOST, len(_trained_on(state)))


def training_faces(state: TrainState, most: int) -> Pixels:
    """Some training faces, uint8 `[N, S, S, C]`, spread evenly since classes may come one after the other."""
    return np.asarray(state.stream.pixels[_training_rows(state, min(most, len(_trained_on(state))))])


def _training_rows(state: TrainState, count: int) -> NDArray[np.int64]:
    indices = _trained_on(state)
    rows: NDArray[np.int64] = indices[np.linspace(0, len(indices) - 1, count).astype(int)]
    return rows


def _trained_on(state: TrainState) -> NDArray[np.int64]:
    """Each face once; in a pass some come several times, where labels are told."""
    return np.unique(state.stream.indices)


def _batches(
    state: TrainState, pixels: Pixels, labels: NDArray[np.float32] | None
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Faces and labels in batches of the size that is trained with; the last is filled up from the start."""
    batch, count = state.recipe.batch_size, len(pixels)
    for start in range(0, count, batch):
        rows = np.arange(start, start + batch) % count
        told = None if labels is None else torch.from_numpy(labels[rows]).to(state.device)
        yield to_float(torch.from_numpy(pixels[rows])).to(state.device), told


def _filled_up(
    state: TrainState, unseen: Pixels, labels: NDArray[np.float32] | None, rows: NDArray[np.int64]
) -> tuple[Pixels, NDArray[np.float32] | None]:
    """Unseen faces and labels, and training faces that fill up the last batch: a critic sees how varied a batch is.

    Filled up with themselves, a few faces would look less varied than all others.
    """
    if not len(unseen):
        return unseen, None
    beside = rows[: -len(unseen) % state.recipe.batch_size]
    told = state.stream.labels
    both = None if labels is None or told is None else np.concatenate([labels[: len(unseen)], told[beside]])
    return np.concatenate([unseen, np.asarray(state.stream.pixels[beside])]), both


def _latents(state: TrainState, count: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Latents and labels."""
    G, batch, rng = state.nets["G"], state.recipe.batch_size, torch.Generator().manual_seed(SEED)
    assert isinstance(G, Generator)
    for _ in range(0, count, batch):
        z, told = G.draw_z(batch, rng), draw_labels(G, batch, rng)
        yield z.to(state.device), None if told is None else told.to(state.device)


def _all(logits: Iterator[Tensor]) -> NDArray[np.float32]:
    joined: NDArray[np.float32] = torch.cat([torch.zeros(0), *(some.float().cpu() for some in logits)]).numpy()
    return joined


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    held: NDArray[np.float32] = torch.from_numpy(logits).sigmoid().numpy()
    return held


def _span(scores: NDArray[np.float32]) -> tuple[float, float]:
    low, high = float(scores.min()), float(scores.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)

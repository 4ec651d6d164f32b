"""What is wrong with a game of generator and critic, in plain words, told from signs that are taken at every save.

Losses don't tell how a game stands, pictures do: so two of the signs look at the faces of the fixed seeds, reduced to
8x8 in colour. `signs/variety` is how far a face lies from the nearest other, beside the same among real ones: 1 for
as varied as real. `signs/distance` is the energy distance (Szekely and Rizzo 2013, "Energy statistics") to real faces,
over the mean distance of real faces from one another: 0 for the same. The third asks the critic:
`scores/training_auc` is how often a training face is scored above one that nobody trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from facesmith.errors import BadOption
from facesmith.io.images import Pixels, to_float

ON_TROUBLE = ("warn", "rollback", "stop")
VARIETY, DISTANCE, TRAINING_AUC, AUC = "signs/variety", "signs/distance", "scores/training_auc", "scores/auc"
FACES, UNSEEN = "scores/faces", "scores/unseen_faces"
LEVEL = "knob/level"
LARGEST = 1e300
THUMBNAIL_PX = 8
LOOKED_AT = 512  # real faces

# Thresholds from runs of our recipes on CelebA and LFW, healthy and planted; docs/background/how-training-fails.md.
# A healthy dcgan64 goes from a variety of .25 and a distance of .27 at 7 kimg to .9 and .01 at 56.
IN_A_ROW = 3  # saves that must agree, as single ones are noisy
EARLY = 0.2  # of the budget, in which all faces may still be alike
ALIKE = 0.25  # variety below which faces repeat one another
FALLEN = 0.4  # of the best variety that there was
FAR = 0.1  # distance of samples that are no faces yet
TOLD_APART = 0.99  # pairs of a real face and a fake that the critic tells apart when it has won
STANDING_STILL = 0.95  # of the best distance before
WORSE, CLEARLY = 2.5, 0.05  # so many times the best distance, and so much more, is worse
NOISE, NEARLY = 0.02, 0.7  # a save within these of the best is as good
KNOWS = 0.6  # pairs in which a training face scores above an unseen one
DEVIATIONS = 3.5


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        name: collapse, critic won, overfitting or divergence.
        words: what is wrong, as it shows.
        advice: what to try.
    """

    name: str
    words: str
    advice: str

    def __str__(self) -> str:
        return f"{self.name}: {self.words} {self.advice}"


def check_on_trouble(asked: str) -> None:
    """Raise BadOption for what is no way to meet trouble."""
    if asked not in ON_TROUBLE:
        raise BadOption(f"--on-trouble {asked!r} is not one of {', '.join(ON_TROUBLE)}.")


def thumbnails(pictures: Pixels) -> Tensor:
    """What the signs see of pictures uint8 `[N, S, S, C]`: `[N, 64 C]` in `[-1, 1]`."""
    return adaptive_avg_pool2d(to_float(torch.tensor(pictures)), THUMBNAIL_PX).flatten(1)


def signs(fake: Tensor, real: Tensor) -> dict[str, float]:
    """Variety and distance of thumbnails `[n, D]` of fakes beside `[m, D]` of real faces; nothing of fewer than two."""
    fake = fake[: len(real)]
    if len(fake) < 2:
        return {}
    step = len(real) // len(fake)
    alike = torch.stack([_nearest(real[start::step][: len(fake)]) for start in range(step)]).mean()
    return {VARIETY: float(_nearest(fake) / alike.clamp_min(1e-6)), DISTANCE: float(_energy(fake, real))}


def diagnose(lines: Sequence[Mapping[str, Any]], budget: int) -> list[Problem]:
    """What is wrong now, by a log's lines; nothing where there are too few.

    Args:
        budget: of the run in images.
    """
    saves = _comparable(lines)
    return [problem for found in (_collapse, _won, _overfitting, _worse) for problem in found(saves, budget)]


def is_healthy(lines: Sequence[Mapping[str, Any]], budget: int) -> bool:
    """Whether the newest save is one to come back to: nothing is wrong, and its signs are about the best so far."""
    saves = _comparable(lines)
    if not saves or diagnose(lines, budget):
        return False
    best, most = min(line[DISTANCE] for line in saves), max(line[VARIETY] for line in saves)
    return bool(saves[-1][DISTANCE] <= best + NOISE and saves[-1][VARIETY] >= NEARLY * most)


def _collapse(saves: Sequence[Mapping[str, Any]], budget: int) -> Iterator[Problem]:
    variety = [float(line[VARIETY]) for line in saves]
    recent, before = variety[-IN_A_ROW:], variety[:-IN_A_ROW]
    if len(recent) < IN_A_ROW:
        return
    best = min(1.0, max(before, default=0.0))  # noise is more varied than faces are
    fallen = max(recent) < FALLEN * best
    distance = [float(line[DISTANCE]) for line in saves]
    still = bool(before) and _standing_still(distance[-IN_A_ROW:], distance[:-IN_A_ROW])  # else faces are in the making
    late = saves[-1]["seen"] > EARLY * budget
    if max(recent) < ALIKE and (fallen or (late and still)):
        yield Problem(
            "collapse",
            f"the faces are nearly all alike (variety {recent[-1]:.2f}, 1 is like real ones).",
            "Go back to an earlier model (--snapshots keeps some) and on with a lower learning rate or a larger batch.",
        )
    elif fallen:
        yield Problem(
            "collapse",
            f"the faces repeat themselves: variety fell from {best:.2f} to {recent[-1]:.2f} (1 is like real).",
            "If it goes on, go back to an earlier model and on with a lower learning rate or a larger batch.",
        )


def _won(saves: Sequence[Mapping[str, Any]], budget: int) -> Iterator[Problem]:
    held = [line for line in saves if _is_number(line.get(AUC))]
    recent, before = held[-IN_A_ROW:], held[:-IN_A_ROW]
    if len(before) < IN_A_ROW or min(float(line[AUC]) for line in recent) < TOLD_APART:
        return
    recently, earlier = ([float(line[DISTANCE]) for line in some] for some in (recent, before))
    now = min(recently)
    if now > FAR and _standing_still(recently, earlier):
        yield Problem(
            "critic won",
            f"it tells {float(recent[-1][AUC]):.1%} of pairs apart, and the faces no longer come nearer to real ones "
            f"(distance {now:.2f}).",
            "Lower the critic's learning rate, give it fewer turns or dropout, or smooth its labels.",
        )


def _overfitting(saves: Sequence[Mapping[str, Any]], budget: int) -> Iterator[Problem]:
    held = [line for line in saves if all(_is_number(line.get(name)) for name in (TRAINING_AUC, FACES, UNSEEN))]
    held = [line for line in held if min(line[FACES], line[UNSEEN]) >= 1][-IN_A_ROW:]
    if len(held) < IN_A_ROW:
        return
    # Mann and Whitney 1947: the variance of such a share, if both kinds are alike, is about (1 / n + 1 / m) / 12.
    chance = 0.5 + DEVIATIONS * max(sqrt((1 / line[FACES] + 1 / line[UNSEEN]) / 12) for line in held)
    lowest = min(float(line[TRAINING_AUC]) for line in held)
    if lowest > max(KNOWS, chance):
        yield Problem(
            "overfitting",
            f"the critic knows its training faces by heart: it scores them above unseen ones in {lowest:.0%} of pairs.",
            "More faces help most; else stop here, keep the best model (--eval-every), or begin anew with lower "
            "learning rates, and more dropout or augmentation where the recipe has them (facesmith recipes NAME).",
        )


def _worse(saves: Sequence[Mapping[str, Any]], budget: int) -> Iterator[Problem]:
    distance = [float(line[DISTANCE]) for line in saves]
    recent, before = distance[-IN_A_ROW:], distance[:-IN_A_ROW]
    if before and min(recent) > max(WORSE * min(before), min(before) + CLEARLY):
        yield Problem(
            "divergence",
            f"the faces move away from real ones: a distance of {recent[-1]:.2f} after {min(before):.2f} at best.",
            "Go back to an earlier model (--snapshots keeps some) and on with a lower learning rate.",
        )


def _standing_still(recent: Sequence[float], before: Sequence[float]) -> bool:
    """Whether faces no longer come nearer to real ones, by distances."""
    return min(recent) > STANDING_STILL * min(before)


def _comparable(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The saves at which growing networks had grown as far as now: a new scale undoes faces for a while."""
    saves = [line for line in lines if _is_save(line)]
    return [line for line in saves if line.get(LEVEL, 1.0) == saves[-1].get(LEVEL, 1.0)]


def _is_save(line: Mapping[str, Any]) -> bool:
    return all(_is_number(line.get(name)) for name in (VARIETY, DISTANCE))


def _is_number(held: Any) -> bool:
    return type(held) in (int, float) and abs(held) < LARGEST  # so no NaN either, and no int that no float can hold


def _nearest(points: Tensor) -> Tensor:
    """The median distance of points `[n, D]` from the nearest other."""
    apart = torch.cdist(points, points)
    apart.fill_diagonal_(torch.inf)
    return apart.min(1).values.median()


def _energy(fake: Tensor, real: Tensor) -> Tensor:
    between, among_fake, among_real = torch.cdist(fake, real).mean(), _among(fake), _among(real)
    return (2 * between - among_fake - among_real) / among_real.clamp_min(1e-6)


def _among(points: Tensor) -> Tensor:
    """The mean distance of two different points."""
    return torch.cdist(points, points).sum() / (len(points) * (len(points) - 1))

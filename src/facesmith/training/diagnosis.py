"""The diagnosis: recognize at every checkpoint how GAN training fails.

Losses do not show these failures; samples do. So two statistics compare the samples of fixed seeds with real faces.
All images are first reduced to 8x8 pixels:

- `samples/variety`: the median distance of a sample to the nearest other sample, relative to real faces. 1 means as
  varied as real faces; near 0 means mode collapse.
- `samples/distance`: the energy distance (Szekely and Rizzo 2013, "Energy statistics") of samples to real faces,
  relative to the mean distance between real faces. 0 means the same distribution.

Two more come from the discriminator. `scores/auc` is the share of pairs of a real face and a fake that it ranks
correctly. `scores/training_auc` is the same for a training face and a held-out one; 0.5 means no overfitting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from facesmith.modelfiles.run_folder import is_number
from facesmith.pictures.images import Pixels, to_float

VARIETY, DISTANCE, TRAINING_AUC, AUC = "samples/variety", "samples/distance", "scores/training_auc", "scores/auc"
FACES, HELD_OUT_FACES = "scores/faces", "scores/held_out_faces"
LEVEL = "knob/level"
THUMBNAIL_PX = 8
MAX_REAL_FACES = 512

# Thresholds from runs of the recipes on CelebA and LFW, healthy and with planted faults; see
# docs/background/how-training-fails.md. A healthy
# dcgan64 goes from a variety of .25 and a distance of .27 at 7 kimg to .9 and .01 at 56 kimg.
CHECKPOINTS_IN_A_ROW = 3  # with a problem, since single measurements are noisy
EARLY = 0.2  # in this first part of the budget, low variety is normal
LATE = 0.5  # from this part of the budget on, samples should be better than noise
COLLAPSED_VARIETY = 0.25
COLLAPSED_SHARE = 0.4  # variety below this share of the best so far is a collapse
NO_PROGRESS_CHECKPOINTS = 4  # in each half of the run, of which the second is no better than the first
NOT_STARTED_DISTANCE = 0.4  # above this distance, samples are noise or blots
NO_FACES_DISTANCE = 0.1  # above this distance, samples are not faces yet
TOO_STRONG_AUC = 0.99
IMPROVED_SHARE = 0.95  # a distance below this share of the best so far counts as an improvement
DIVERGED_FACTOR, DIVERGED_INCREASE = 2.5, 0.05  # compared with the best distance so far
HEALTHY_DISTANCE_INCREASE, HEALTHY_VARIETY_SHARE = 0.02, 0.7  # compared with the best distance and variety so far
OVERFIT_AUC = 0.6
OVERFIT_STANDARD_DEVIATIONS = 3.5  # distance of the AUC from 0.5


@dataclass(frozen=True)
class Problem:
    """A failure that was recognized.

    Attributes:
        name: such as "mode collapse".
        symptom: what was measured.
        advice: what to try.
        needs_rollback: whether going back to an earlier checkpoint, with lower learning rates, can help.
    """

    name: str
    symptom: str
    advice: str
    needs_rollback: bool = True

    def __str__(self) -> str:
        return f"{self.name}: {self.symptom} {self.advice}"


def thumbnails(images: Pixels) -> Tensor:
    """Images uint8 `[N, S, S, C]` reduced to 8x8: `[N, 64 C]` in `[-1, 1]`."""
    return adaptive_avg_pool2d(to_float(torch.tensor(images)), THUMBNAIL_PX).flatten(1)


def sample_statistics(fake: Tensor, real: Tensor) -> dict[str, float]:
    """Variety and distance of thumbnails `[n, D]` of samples, given `[m, D]` of real faces; empty if n < 2."""
    fake = fake[: len(real)]
    if len(fake) < 2:
        return {}
    # The distance to the nearest neighbor depends on the number of images, so real faces are measured in subsets.
    stride = len(real) // len(fake)
    nearest_real = torch.stack([_nearest_neighbor(real[start::stride][: len(fake)]) for start in range(stride)]).mean()
    variety = _nearest_neighbor(fake) / nearest_real.clamp_min(1e-6)
    return {VARIETY: float(variety), DISTANCE: float(_energy_distance(fake, real))}


def diagnose(lines: Sequence[Mapping[str, Any]], budget: int) -> list[Problem]:
    """The problems at the newest checkpoint; none if there are too few checkpoints to tell.

    Args:
        lines: of the run's log.
        budget: of the run, in images.
    """
    checkpoints = _comparable_checkpoints(lines)
    checks = (_mode_collapse, _discriminator_too_strong, _overfitting, _divergence)
    problems = [problem for check in checks for problem in check(checkpoints, budget)]
    return problems or list(_no_progress(checkpoints, budget))


def needing_rollback(problems: Sequence[Problem]) -> list[Problem]:
    """The problems that going back to an earlier checkpoint can help with."""
    return [problem for problem in problems if problem.needs_rollback]


def unexamined(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The problems that the diagnosis could not look for, each with the reason: "mode collapse (needs …)"."""
    checkpoints = _comparable_checkpoints(lines)
    scored = [line for line in checkpoints if is_number(line.get(AUC))]
    with_held_out = _checkpoints_with_held_out(checkpoints)
    names = []
    for name, needed, found, of in (
        ("mode collapse", CHECKPOINTS_IN_A_ROW, checkpoints, "checkpoints"),
        ("divergence", CHECKPOINTS_IN_A_ROW + 1, checkpoints, "checkpoints"),
        ("no progress", 2 * NO_PROGRESS_CHECKPOINTS, checkpoints, "checkpoints"),
        ("discriminator too strong", 2 * CHECKPOINTS_IN_A_ROW, scored, "checkpoints with discriminator scores"),
        ("overfitting", CHECKPOINTS_IN_A_ROW, with_held_out, "checkpoints with discriminator scores of held-out faces"),
    ):
        if len(found) < needed:
            names.append(f"{name} (needs {needed} {of}; there are {len(found)})")
    if len(with_held_out) >= CHECKPOINTS_IN_A_ROW and _overfit_threshold(with_held_out) >= 1:
        count = int(with_held_out[-1][HELD_OUT_FACES])
        names.append(f"overfitting (needs more held-out faces; there are {count})")
    return names


def is_healthy(lines: Sequence[Mapping[str, Any]], budget: int) -> bool:
    """Whether the newest checkpoint is worth returning to: no problem, and statistics close to the best so far."""
    checkpoints = _comparable_checkpoints(lines)
    if not checkpoints or diagnose(lines, budget):
        return False
    distance, variety = min(line[DISTANCE] for line in checkpoints), max(line[VARIETY] for line in checkpoints)
    newest = checkpoints[-1]
    return bool(
        newest[DISTANCE] <= distance + HEALTHY_DISTANCE_INCREASE and newest[VARIETY] >= HEALTHY_VARIETY_SHARE * variety
    )


def _mode_collapse(checkpoints: Sequence[Mapping[str, Any]], budget: int) -> Iterator[Problem]:
    """Variety has fallen far below its best, or is still low late in the run while the distance has stalled."""
    variety = [float(line[VARIETY]) for line in checkpoints]
    recent, before = variety[-CHECKPOINTS_IN_A_ROW:], variety[:-CHECKPOINTS_IN_A_ROW]
    if len(recent) < CHECKPOINTS_IN_A_ROW:
        return
    best = min(1.0, max(before, default=0.0))  # early samples are noise, which is more varied than faces
    has_fallen = max(recent) < COLLAPSED_SHARE * best
    distance = [float(line[DISTANCE]) for line in checkpoints]
    # Low variety is normal while the distance to real faces still falls.
    has_stalled = bool(before) and not _has_improved(distance[-CHECKPOINTS_IN_A_ROW:], distance[:-CHECKPOINTS_IN_A_ROW])
    is_late = checkpoints[-1]["seen"] > EARLY * budget
    if max(recent) < COLLAPSED_VARIETY and (has_fallen or (is_late and has_stalled)):
        yield Problem(
            "mode collapse",
            f"nearly all samples look alike (variety {recent[-1]:.2f}; real faces have 1).",
            "Go back to an earlier model (--snapshots keeps some) and use a lower learning rate or a larger batch.",
        )
    elif has_fallen:
        yield Problem(
            "mode collapse",
            f"samples repeat each other: variety fell from {best:.2f} to {recent[-1]:.2f} (real faces have 1).",
            "If this continues, go back to an earlier model and use a lower learning rate or a larger batch.",
        )


def _discriminator_too_strong(checkpoints: Sequence[Mapping[str, Any]], budget: int) -> Iterator[Problem]:
    """The discriminator ranks nearly all pairs correctly, and the distance has stalled before samples are faces."""
    scored = [line for line in checkpoints if is_number(line.get(AUC))]
    recent, before = scored[-CHECKPOINTS_IN_A_ROW:], scored[:-CHECKPOINTS_IN_A_ROW]
    if len(before) < CHECKPOINTS_IN_A_ROW or min(float(line[AUC]) for line in recent) < TOO_STRONG_AUC:
        return
    recent_distance, earlier_distance = ([float(line[DISTANCE]) for line in lines] for lines in (recent, before))
    distance = min(recent_distance)
    if distance > NO_FACES_DISTANCE and not _has_improved(recent_distance, earlier_distance):
        yield Problem(
            "discriminator too strong",
            f"it ranks {float(recent[-1][AUC]):.1%} of real-fake pairs correctly, and samples no longer approach real "
            f"faces (distance {distance:.2f}).",
            "Lower the discriminator's learning rate, give it fewer steps, add dropout, or smooth its labels.",
        )


def _overfitting(checkpoints: Sequence[Mapping[str, Any]], budget: int) -> Iterator[Problem]:
    """The discriminator scores training faces above held-out ones more often than chance explains."""
    scored = _checkpoints_with_held_out(checkpoints)
    if len(scored) < CHECKPOINTS_IN_A_ROW:
        return
    lowest = min(float(line[TRAINING_AUC]) for line in scored)
    if lowest > _overfit_threshold(scored):
        yield Problem(
            "overfitting",
            f"the discriminator memorizes its training faces: it scores them above held-out ones in {lowest:.0%} of "
            "pairs.",
            "More faces help most. Otherwise stop and use the best model (--validate-every), or train again with lower "
            "learning rates and, if the recipe has them, more dropout or augmentation (facesmith recipes NAME).",
        )


def _checkpoints_with_held_out(checkpoints: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The newest checkpoints, at most as many as a problem needs, with scores of training and of held-out faces."""
    names = (TRAINING_AUC, FACES, HELD_OUT_FACES)
    scored = [line for line in checkpoints if all(is_number(line.get(name)) for name in names)]
    return [line for line in scored if min(line[FACES], line[HELD_OUT_FACES]) >= 1][-CHECKPOINTS_IN_A_ROW:]


def _overfit_threshold(scored: Sequence[Mapping[str, Any]]) -> float:
    """The AUC above which the discriminator overfits. At 1 or more, there are too few faces to recognize it.

    Under the null hypothesis the variance of an AUC of n and m scores is about (1 / n + 1 / m) / 12
    (Mann and Whitney 1947).
    """
    deviation = max(sqrt((1 / line[FACES] + 1 / line[HELD_OUT_FACES]) / 12) for line in scored)
    return max(OVERFIT_AUC, 0.5 + OVERFIT_STANDARD_DEVIATIONS * deviation)


def _divergence(checkpoints: Sequence[Mapping[str, Any]], budget: int) -> Iterator[Problem]:
    """The distance has risen far above its best."""
    distance = [float(line[DISTANCE]) for line in checkpoints]
    recent, before = distance[-CHECKPOINTS_IN_A_ROW:], distance[:-CHECKPOINTS_IN_A_ROW]
    if before and min(recent) > max(DIVERGED_FACTOR * min(before), min(before) + DIVERGED_INCREASE):
        yield Problem(
            "divergence",
            f"samples move away from real faces: distance {recent[-1]:.2f}, after {min(before):.2f} at best.",
            "Go back to an earlier model (--snapshots keeps some) and use a lower learning rate.",
        )


def _no_progress(checkpoints: Sequence[Mapping[str, Any]], budget: int) -> Iterator[Problem]:
    """The distance has stalled far from real faces, and no other problem explains it."""
    distance = [float(line[DISTANCE]) for line in checkpoints]
    half = len(distance) // 2
    if half < NO_PROGRESS_CHECKPOINTS or checkpoints[-1]["seen"] <= LATE * budget:
        return
    best = min(distance[half:])
    if best > NOT_STARTED_DISTANCE and not _has_improved(distance[half:], distance[:half]):
        yield Problem(
            "no progress",
            f"samples are far from real faces (distance {best:.2f}) and no longer approach them.",
            "Raise the learning rates, or strengthen the discriminator: more channels, less dropout.",
            needs_rollback=False,
        )


def _has_improved(recent: Sequence[float], before: Sequence[float]) -> bool:
    """Whether the best recent distance is clearly below the best before."""
    return min(recent) <= IMPROVED_SHARE * min(before)


def _comparable_checkpoints(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The checkpoints since a growing network last grew, since growing disturbs samples; all for other networks."""
    checkpoints = [line for line in lines if all(is_number(line.get(name)) for name in (VARIETY, DISTANCE))]
    return [line for line in checkpoints if line.get(LEVEL, 1.0) == checkpoints[-1].get(LEVEL, 1.0)]


def _nearest_neighbor(points: Tensor) -> Tensor:
    """The median distance of points `[n, D]` to their nearest neighbor."""
    distances = torch.cdist(points, points)
    distances.fill_diagonal_(torch.inf)
    return distances.min(1).values.median()


def _energy_distance(fake: Tensor, real: Tensor) -> Tensor:
    between, within_fake, within_real = torch.cdist(fake, real).mean(), _mean_distance(fake), _mean_distance(real)
    return (2 * between - within_fake - within_real) / within_real.clamp_min(1e-6)


def _mean_distance(points: Tensor) -> Tensor:
    """The mean distance between two different points."""
    return torch.cdist(points, points).sum() / (len(points) * (len(points) - 1))

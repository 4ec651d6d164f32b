"""Faces and labels -> a classifier, and how often it is right on faces held out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from facesmith.attributes.classifier import Classifier, classifier_input, predict_logits
from facesmith.attributes.dataset_labels import DatasetLabels
from facesmith.attributes.degrade import degrade
from facesmith.errors import BadData
from facesmith.faces import Faces
from facesmith.faces.packed import cache_folder
from facesmith.io.files import atomic_write
from facesmith.io.images import to_float, to_uint8
from facesmith.io.progress import bar

Net = TypeVar("Net", bound=nn.Module)
FORMAT = 1
BATCH = 64
MAX_TRAINING_FACES = 9_000  # faces; the rest of the training part stays unseen, so that others can judge by it
MOST_HELD_OUT = 3_000
FEWEST_HELD_OUT = 10
LR, WEIGHT_DECAY, WARM_UP = 3e-3, 0.05, 0.1
SEED = 7


@dataclass(frozen=True)
class ClassifierBudget:
    """How long to learn.

    Attributes:
        max_images: pictures at most.
        max_epochs: passes over all faces at most.
    """

    max_images: int = 110_000
    max_epochs: int = 20


@dataclass(frozen=True)
class AttributeScores:
    """How well an attribute is told on faces held out.

    Attributes:
        accuracy: share of right verdicts.
        balanced: mean of the shares among faces with it and without; .5 is chance.
        balanced_soft: the same of these faces made as soft as generated ones.
        majority: the accuracy of always giving the more frequent answer.
        share: of the faces that have it.
    """

    accuracy: float
    balanced: float
    balanced_soft: float
    majority: float
    share: float


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier and what it is worth; `scores` has an entry for each of the labels' names."""

    classifier: Classifier
    names: tuple[str, ...]
    scores: dict[str, AttributeScores]


def classifier_training_rows(faces: Faces) -> NDArray[np.int64]:
    """Rows of the faces that teach: of the training part, 9,000 at most, whole groups, the same ones each time."""
    rows = faces.part("train")
    order = sorted(
        rows.tolist(),
        key=lambda row: (hashlib.sha256(faces.groups[row].encode("utf-8", "surrogateescape")).digest(), row),
    )
    kept = order[:MAX_TRAINING_FACES]
    if len(order) > len(kept):  # a group that is cut by the limit goes to the others as a whole
        cut = faces.groups[order[len(kept)]]
        kept = [row for row in kept if faces.groups[row] != cut]
    return np.array(sorted(kept), np.int64)


def held_out_rows(faces: Faces) -> NDArray[np.int64]:
    """Rows of the faces that judge: of the validation and test parts, 3,000 at most."""
    rows = np.sort(np.concatenate([faces.part("validation"), faces.part("test")]))
    if len(rows) < FEWEST_HELD_OUT:
        raise BadData(f"{faces.path} leaves {len(rows)} faces to judge by, of {len(faces.names)}. Give more faces.")
    return np.sort(np.random.default_rng(SEED).permutation(rows)[:MOST_HELD_OUT])


def trained_classifier(
    faces: Faces,
    labels: DatasetLabels,
    console: Console,
    *,
    precision: torch.dtype = torch.float32,
    budget: ClassifierBudget = ClassifierBudget(),
) -> TrainedClassifier:
    """A classifier of these labels; taken from the cache where the same faces taught the same before.

    Raises:
        BadData: no faces are left to judge it by.
    """
    held_out = held_out_rows(faces)
    file = cache_folder() / "classifiers" / f"{_key(faces, labels, precision, budget)}.safetensors"
    classifier = Classifier(len(labels.names))
    try:
        classifier.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError):  # none there, or damaged: made anew
        classifier = train_network(faces, labels, console, Classifier, precision, budget)
        try:
            with atomic_write(file) as stream:
                stream.write(save({name: t.contiguous() for name, t in classifier.state_dict().items()}))
        except OSError as error:
            console.print(f"notice: the classifier can't be kept in {cache_folder()} ({error.strerror})")
    classifier.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return TrainedClassifier(classifier, labels.names, evaluate_classifier(classifier, faces, labels, held_out))


def train_network(
    faces: Faces,
    labels: DatasetLabels,
    console: Console,
    make: Callable[[int], Net],
    precision: torch.dtype,
    budget: ClassifierBudget,
    rows: NDArray[np.int64] | None = None,
) -> Net:
    """A network taught by these rows (by default `classifier_training_rows`); torch's random state stays as it was."""
    rows = classifier_training_rows(faces) if rows is None else rows
    steps = max(1, min(budget.max_images, budget.max_epochs * len(rows)) // BATCH)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        net = make(len(labels.names)).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(net.parameters(), weight_decay=WEIGHT_DECAY, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, steps + 1, pct_start=WARM_UP)
        picks = np.random.default_rng(SEED)
        order = np.concatenate([picks.permutation(rows) for _ in range(-(-steps * BATCH // len(rows)))])
        for step in bar(
            range(steps), steps, f"learning {len(labels.names)} attributes, {BATCH} faces at a time", console
        ):
            some = order[step * BATCH : (step + 1) * BATCH]
            real = classifier_input(to_float(torch.from_numpy(np.asarray(faces.pixels[some]))))
            loss = _loss(net, degrade(real), torch.from_numpy(labels.targets[some]), precision)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return net.eval()


def _loss(net: nn.Module, pictures: Tensor, targets: Tensor, precision: torch.dtype) -> Tensor:
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        logits = net(pictures.contiguous(memory_format=torch.channels_last)).float()
    known = ~targets.isnan()
    each = cross_entropy(logits, targets.nan_to_num(0.5), reduction="none")
    return (each * known).sum() / known.sum().clamp_min(1)


def evaluate_classifier(
    net: nn.Module, faces: Faces, labels: DatasetLabels, rows: NDArray[np.int64]
) -> dict[str, AttributeScores]:
    """How often a network is right on these rows, as they are and degraded."""
    pixels = np.asarray(faces.pixels[rows])
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(SEED)
        parts = torch.split(torch.from_numpy(pixels), BATCH)
        soft = torch.cat([to_uint8(degrade(classifier_input(to_float(part)))) for part in parts]).numpy()
    says, says_soft = ((predict_logits(net, each) > 0).numpy() for each in (pixels, soft))
    targets = labels.targets[rows]
    return {name: _scores(targets[:, i], says[:, i], says_soft[:, i]) for i, name in enumerate(labels.names)}


def _scores(target: NDArray[np.float32], says: NDArray[np.bool_], says_soft: NDArray[np.bool_]) -> AttributeScores:
    told = ~np.isnan(target)
    truth, right, right_soft = target[told] > 0.5, None, None
    right, right_soft = (each[told] == truth for each in (says, says_soft))
    share = float(truth.mean()) if truth.size else 0.0

    def balanced(hits: NDArray[np.bool_]) -> float:
        return float(np.mean([hits[truth == side].mean() for side in (True, False) if (truth == side).any()] or [0.5]))

    accuracy = float(right.mean()) if truth.size else 0.0
    return AttributeScores(accuracy, balanced(right), balanced(right_soft), max(share, 1 - share), share)


def _key(faces: Faces, labels: DatasetLabels, precision: torch.dtype, budget: ClassifierBudget) -> str:
    """A hash of all that the classifier follows from."""
    made_by = [FORMAT, faces.fingerprint, list(faces.pixels.shape), labels.names, str(precision), asdict(budget)]
    digest = hashlib.sha256(json.dumps(made_by).encode())
    digest.update(np.ascontiguousarray(labels.targets).data)
    return digest.hexdigest()[:24]

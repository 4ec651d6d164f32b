"""Faces and labels -> a trained attribute classifier, and its accuracy on held-out faces."""

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
from torch.nn.functional import binary_cross_entropy_with_logits

from facesmith.attributes.classifier import Classifier, classifier_input, predict_logits
from facesmith.attributes.dataset_labels import DatasetLabels
from facesmith.attributes.degrade import degrade
from facesmith.errors import BadData
from facesmith.faces import Faces
from facesmith.faces.packed import cache_folder
from facesmith.io.files import atomic_write
from facesmith.io.progress import bar
from facesmith.pictures.images import to_float, to_uint8

Net = TypeVar("Net", bound=nn.Module)
FORMAT = 2
BATCH_SIZE = 64
MAX_TRAINING_FACES = 9_000  # the other training faces stay unused, so that other classifiers can be trained on them
MAX_HELD_OUT = 3_000
MIN_HELD_OUT = 10
LR, WEIGHT_DECAY, WARM_UP_SHARE = 3e-3, 0.05, 0.1
SEED = 7


@dataclass(frozen=True)
class ClassifierBudget:
    """How long to train; the smaller limit applies.

    Attributes:
        max_images: number of training images.
        max_epochs: number of epochs over the training faces.
    """

    max_images: int = 110_000
    max_epochs: int = 20


@dataclass(frozen=True)
class AttributeScores:
    """How well a classifier predicts one attribute of held-out faces.

    Attributes:
        accuracy: share of correct predictions.
        balanced_accuracy: balanced accuracy, the mean over faces with and without the attribute; 0.5 is chance.
        balanced_accuracy_degraded: balanced accuracy on the same faces after `degrade`.
        majority_accuracy: accuracy of always predicting the more frequent value.
        share: share of the faces that have the attribute.
    """

    accuracy: float
    balanced_accuracy: float
    balanced_accuracy_degraded: float
    majority_accuracy: float
    share: float


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier, the names of its attributes in the order of its logits, and its scores by name."""

    classifier: Classifier
    names: tuple[str, ...]
    scores: dict[str, AttributeScores]


def classifier_training_rows(faces: Faces) -> NDArray[np.int64]:
    """Rows of the faces that train the classifier: whole groups of the training split, at most MAX_TRAINING_FACES.

    The choice depends on the names of the groups alone.
    """
    rows = faces.part("train")
    order = sorted(
        rows.tolist(),
        key=lambda row: (hashlib.sha256(faces.groups[row].encode("utf-8", "surrogateescape")).digest(), row),
    )
    kept = order[:MAX_TRAINING_FACES]
    if len(order) > len(kept):  # drop the last group if the limit divides it
        divided = faces.groups[order[len(kept)]]
        kept = [row for row in kept if faces.groups[row] != divided]
    return np.array(sorted(kept), np.int64)


def held_out_rows(faces: Faces) -> NDArray[np.int64]:
    """Rows of the faces that test the classifier: of the validation and test splits, at most MAX_HELD_OUT.

    Raises:
        BadData: there are fewer than MIN_HELD_OUT.
    """
    rows = np.sort(np.concatenate([faces.part("validation"), faces.part("test")]))
    if len(rows) < MIN_HELD_OUT:
        raise BadData(
            f"{faces.path} has {len(rows)} faces in its validation and test splits, of {len(faces.names)} in all; "
            f"{MIN_HELD_OUT} are needed to test a classifier. Use more faces."
        )
    return np.sort(np.random.default_rng(SEED).permutation(rows)[:MAX_HELD_OUT])


def trained_classifier(
    faces: Faces,
    labels: DatasetLabels,
    console: Console,
    *,
    precision: torch.dtype = torch.float32,
    budget: ClassifierBudget = ClassifierBudget(),
) -> TrainedClassifier:
    """A classifier of these labels, from the cache if it was trained before.

    Raises:
        BadData: there are too few held-out faces.
    """
    held_out = held_out_rows(faces)
    file = cache_folder() / "classifiers" / f"{_cache_key(faces, labels, precision, budget)}.safetensors"
    classifier = Classifier(len(labels.names))
    try:
        classifier.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError):  # missing or damaged: train it
        classifier = train_network(faces, labels, console, Classifier, precision, budget)
        try:
            with atomic_write(file) as stream:
                stream.write(save({name: t.contiguous() for name, t in classifier.state_dict().items()}))
        except OSError as error:
            console.print(f"notice: can't save the classifier in {cache_folder()} ({error.strerror})")
    classifier.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return TrainedClassifier(classifier, labels.names, evaluate_classifier(classifier, faces, labels, held_out))


def train_network(
    faces: Faces,
    labels: DatasetLabels,
    console: Console,
    make_network: Callable[[int], Net],
    precision: torch.dtype,
    budget: ClassifierBudget,
    rows: NDArray[np.int64] | None = None,
) -> Net:
    """A network trained on these rows (by default `classifier_training_rows`). Torch's random state is unchanged.

    Args:
        make_network: called with the number of attributes.
    """
    rows = classifier_training_rows(faces) if rows is None else rows
    steps = max(1, min(budget.max_images, budget.max_epochs * len(rows)) // BATCH_SIZE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        net = make_network(len(labels.names)).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(net.parameters(), weight_decay=WEIGHT_DECAY, fused=True)
        warm_up = max(WARM_UP_SHARE, 2 / (steps + 1))  # a warm-up of a single step would divide by 0
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, steps + 1, pct_start=warm_up)
        rng = np.random.default_rng(SEED)
        order = np.concatenate([rng.permutation(rows) for _ in range(-(-steps * BATCH_SIZE // len(rows)))])
        title = f"learning {len(labels.names)} attributes, {BATCH_SIZE} faces at a time"
        for step in bar(range(steps), steps, title, console):
            batch = order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]
            real = classifier_input(to_float(torch.from_numpy(np.asarray(faces.pixels[batch]))))
            loss = _loss(net, degrade(real), torch.from_numpy(labels.targets[batch]), precision)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return net.eval()


def _loss(net: nn.Module, pictures: Tensor, targets: Tensor, precision: torch.dtype) -> Tensor:
    """Mean binary cross-entropy over the known targets `[N, A]`."""
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        logits = net(pictures.contiguous(memory_format=torch.channels_last)).float()
    known = ~targets.isnan()
    losses = binary_cross_entropy_with_logits(logits, targets.nan_to_num(0.5), reduction="none")
    return (losses * known).sum() / known.sum().clamp_min(1)


def evaluate_classifier(
    net: nn.Module, faces: Faces, labels: DatasetLabels, rows: NDArray[np.int64]
) -> dict[str, AttributeScores]:
    """The scores of a network on these rows, by attribute."""
    pixels = np.asarray(faces.pixels[rows])
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(SEED)
        batches = torch.split(torch.from_numpy(pixels), BATCH_SIZE)
        degraded = torch.cat([to_uint8(degrade(classifier_input(to_float(batch)))) for batch in batches]).numpy()
    predicted, predicted_degraded = ((predict_logits(net, images) > 0).numpy() for images in (pixels, degraded))
    targets = labels.targets[rows]
    return {
        name: _attribute_scores(targets[:, i], predicted[:, i], predicted_degraded[:, i])
        for i, name in enumerate(labels.names)
    }


def _attribute_scores(
    target: NDArray[np.float32], predicted: NDArray[np.bool_], predicted_degraded: NDArray[np.bool_]
) -> AttributeScores:
    known = ~np.isnan(target)
    truth = target[known] > 0.5
    correct, correct_degraded = (prediction[known] == truth for prediction in (predicted, predicted_degraded))
    share = float(truth.mean()) if truth.size else 0.0

    def balanced(hits: NDArray[np.bool_]) -> float:
        recalls = [hits[truth == value].mean() for value in (True, False) if (truth == value).any()]
        return float(np.mean(recalls or [0.5]))

    accuracy = float(correct.mean()) if truth.size else 0.0
    return AttributeScores(accuracy, balanced(correct), balanced(correct_degraded), max(share, 1 - share), share)


def _cache_key(faces: Faces, labels: DatasetLabels, precision: torch.dtype, budget: ClassifierBudget) -> str:
    """A hash of everything that decides the classifier."""
    inputs = [FORMAT, faces.fingerprint, list(faces.pixels.shape), labels.names, str(precision), asdict(budget)]
    digest = hashlib.sha256(json.dumps(inputs).encode())
    digest.update(np.ascontiguousarray(labels.targets).data)
    return digest.hexdigest()[:24]

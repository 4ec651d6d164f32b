"""Measure attribute directions independently: does the attribute appear, what else changes, is it the same person?

The evaluator is a network of another architecture than the classifier of `facesmith directions` (no residual blocks, no
BatchNorm; max-pooling and a dense layer). It is trained on training faces that the classifier did not use, if there are
enough, and tested on faces that neither has seen. Identity is judged by the package's network for face recognition.

For each attribute, N generated faces are edited by its direction at strength 1:

- appears: of the faces without the attribute, the share that has it afterwards (target: 70 %)
- others changed: the share of other attributes that changed, averaged over faces and attributes (target: at most 15 %),
  and those that changed most
- Fréchet ratio: Fréchet distance (Lite0) of edited faces to real test faces, divided by that of unedited ones (target:
  at most 1.3)
- identity: how often a face is nearer to its edit than to the edit of another face, by embeddings that tell people
  apart (AUC; target: .9)

Run: python benchmarks/editing.py runs/first --data celeba64.zip [--samples 1000]
With --evaluator evaluator.pt the trained evaluator is kept for the next run.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import nn
from torch.nn.functional import elu, max_pool2d

import facesmith
from facesmith.attributes import learnable_labels, predict_logits
from facesmith.attributes.classifier import classifier_input
from facesmith.attributes.train_classifier import (
    ClassifierBudget,
    classifier_training_rows,
    evaluate_classifier,
    held_out_rows,
    train_network,
)
from facesmith.device import fastest_precision
from facesmith.metrics.extractors.lite0 import Lite0
from facesmith.metrics.face_embedding import embed_faces, load_face_embedding
from facesmith.metrics.features import cached_features, extract_features
from facesmith.metrics.frechet import frechet_distance
from facesmith.training.discriminator_scores import auc

FIRST_SEED = 100_000  # directions were not fitted to or calibrated on these faces
EVALUATOR_BUDGET = ClassifierBudget(max_images=90_000)
MIN_UNUSED_FACES = 4_000  # that the classifier did not use; with fewer, the evaluator learns from the same faces


class Evaluator(nn.Module):
    """An attribute classifier: convolutions with max-pooling and ELU, and a dense layer, without normalization."""

    def __init__(self, attributes):
        super().__init__()
        widths = (3, 24, 48, 96, 128)
        sides = (5, 3, 3, 3)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, k, padding=k // 2) for a, b, k in zip(widths, widths[1:], sides, strict=False)
        )
        self.dense = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(128 * 16, 256), nn.ELU(), nn.Dropout(0.3))
        self.last = nn.Linear(256, attributes)

    def forward(self, pictures):
        x = classifier_input(pictures)
        for layer in self.layers:
            x = elu(max_pool2d(layer(x), 2))
        return self.last(self.dense(x))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="labeled faces")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--attributes", help="default: all directions of the model")
    parser.add_argument("--evaluator", type=Path, help="file to keep the trained evaluator in between runs")
    options = parser.parse_args()
    console, model, start = Console(stderr=True), facesmith.load(options.model), time.process_time()
    precision = fastest_precision(torch.device("cpu"))
    faces = facesmith.open_faces(options.data, model.G.resolution, model.G.channels, console=console)
    labels = learnable_labels(faces)
    evaluator = Evaluator(len(labels.names))
    if options.evaluator is not None and options.evaluator.exists():
        evaluator.load_state_dict(torch.load(options.evaluator, weights_only=True))
    else:
        evaluator = train_network(
            faces, labels, console, Evaluator, precision, EVALUATOR_BUDGET, evaluator_training_rows(faces)
        )
        if options.evaluator is not None:
            torch.save(evaluator.state_dict(), options.evaluator)
    report(options, model, faces, labels, evaluator.eval().requires_grad_(False), console)
    print(f"\n{time.process_time() - start:.0f} s of CPU time")


def evaluator_training_rows(faces):
    """The training faces that the classifier did not use, or all of them if too few are left."""
    training = faces.part("train")
    unused = np.setdiff1d(training, classifier_training_rows(faces))
    return unused if len(unused) >= MIN_UNUSED_FACES else training


def report(options, model, faces, labels, evaluator, console):
    scores = evaluate_classifier(evaluator, faces, labels, held_out_rows(faces))
    recognizer, rows = load_face_embedding(), np.arange(options.samples)
    names = options.attributes.split(",") if options.attributes else list(model.directions)
    w = model.latents(range(FIRST_SEED, FIRST_SEED + options.samples))
    lite0 = Lite0()
    real = cached_features(lite0, np.asarray(faces.pixels[faces.part("test")]), "test faces", console)
    before = model.synthesize(w)
    logits, points = predict_logits(evaluator, before).numpy(), embed_faces(recognizer, before, rows, "faces", console)
    unedited = frechet_distance(real, extract_features(lite0, before, "unedited faces", console))
    print(f"{options.samples} faces; Fréchet distance (Lite0) unedited: {unedited:.1f}\n")
    print(
        "| direction | evaluator accuracy (balanced) | had it before | appears | others changed | changed most "
        "| Fréchet ratio | identity |"
    )
    print("|---" * 8 + "|")
    for name in names:
        own = labels.names.index(name)
        after = model.synthesize(w + model.directions[name])
        logits_after = predict_logits(evaluator, after).numpy()
        points_after = embed_faces(recognizer, after, rows, f"{name}", console)
        lacking = logits[:, own] < 0
        appears = (logits_after[lacking, own] > 0).mean() if lacking.any() else float("nan")
        changed = ((logits_after > 0) != (logits > 0)).mean(0)
        others = np.delete(np.arange(len(labels.names)), own)
        most_changed = others[changed[others].argsort()[::-1][:3]]
        listed = ", ".join(f"{labels.names[i]} {changed[i]:.0%}" for i in most_changed)
        distance = frechet_distance(real, extract_features(lite0, after, f"{name}", console))
        others_after = np.roll(points_after, len(points) // 2, 0)
        identity = auc(distances(points, others_after), distances(points, points_after))
        accuracy = f"{scores[name].accuracy:.0%} ({scores[name].balanced_accuracy:.0%})"
        print(
            f"| {name} | {accuracy} | {1 - lacking.mean():.0%} | {appears:.0%} "
            f"| {changed[others].mean():.1%} | {listed} | {distance / unedited:.2f} | {identity:.3f} |"
        )


def distances(first, second):
    """Euclidean distances of embeddings, `[N]`."""
    return np.linalg.norm(first - second, axis=1)


if __name__ == "__main__":
    main()

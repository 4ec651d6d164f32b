"""Measure attribute directions independently: does the attribute appear, what else changes, is it the same person?

The evaluator is a network of another architecture than the classifier of `facesmith directions` (no residual blocks, no
BatchNorm; max-pooling and a dense layer). It is trained on training faces that the classifier did not use, and tested
on faces that neither has seen. An embedding for recognizing people starts from the evaluator. It is trained on pairs of
pictures of one person from Labeled Faces in the Wild. It is tested on other people.

For each attribute, N generated faces are edited by its direction at strength 1:

- appears: of the faces without the attribute, the share that has it afterwards (target: 70 %)
- others changed: the share of other attributes that changed, averaged over faces and attributes (target: at most 15 %),
  and those that changed most
- Fréchet ratio: Fréchet distance (Lite0) of edited faces to real test faces, divided by that of unedited ones (target:
  at most 1.3)
- identity: AUC of the embedding's similarity, for a face and its edit against two random faces (target: .9)

Run: python benchmarks/editing.py runs/first --data celeba64.zip --people lfw.zip [--samples 1000]
With --networks networks.pt the trained networks are kept for the next run.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import nn
from torch.nn.functional import cross_entropy, elu, max_pool2d, normalize

import facesmith
from facesmith.attributes import learnable_labels, predict_logits
from facesmith.attributes.classifier import classifier_input
from facesmith.attributes.degrade import degrade
from facesmith.attributes.train_classifier import (
    ClassifierBudget,
    classifier_training_rows,
    evaluate_classifier,
    held_out_rows,
    train_network,
)
from facesmith.device import has_bfloat16
from facesmith.io.archives import open_store
from facesmith.io.images import read_picture, resize, to_float
from facesmith.io.progress import bar
from facesmith.labels.folders import person_of
from facesmith.metrics.extractors.lite0 import Lite0
from facesmith.metrics.features import cached_features, extract_features
from facesmith.metrics.frechet import frechet_distance
from facesmith.photos.split import part_of

FIRST_SEED = 100_000  # directions were not fitted to or calibrated on these faces
PREFERRED = (
    "smiling", "eyeglasses", "male", "young", "blond_hair", "black_hair", "mouth_slightly_open", "heavy_makeup",
    "bangs", "wearing_lipstick", "no_beard", "gray_hair", "wearing_hat", "high_cheekbones",
)  # fmt: skip
EVALUATOR_BUDGET = ClassifierBudget(max_images=90_000)
# The window in LFW's deep-funneled pictures (250x250) in which faces lie as in the usual crop of CelebA. It follows
# from the mean landmarks that MTCNN finds in both: eyes are 43.2 pixels apart in LFW, and 20.4 of 64 in CelebA.
LEFT, TOP, SIDE = 57, 53, 136
PAIRS_PER_BATCH, EPOCHS, TEMPERATURE, LR = 64, 15, 0.1, 1e-3


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

    def hidden(self, pictures):
        x = classifier_input(pictures)
        for layer in self.layers:
            x = elu(max_pool2d(layer(x), 2))
        return self.dense(x)

    def forward(self, pictures):
        return self.last(self.hidden(pictures))


class Embedding(nn.Module):
    """Unit vectors that are similar for pictures of the same person."""

    def __init__(self, evaluator):
        super().__init__()
        self.evaluator, self.last = evaluator, nn.Linear(256, 128)

    def forward(self, pictures):
        return normalize(self.last(self.evaluator.hidden(pictures)).float(), dim=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="labeled faces")
    parser.add_argument("--people", type=Path, required=True, help="lfw.zip, deep-funneled")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--attributes", help="default: ten of the model's directions")
    parser.add_argument("--networks", type=Path, help="file to keep the trained networks in between runs")
    options = parser.parse_args()
    console, model, start = Console(stderr=True), facesmith.load(options.model), time.process_time()
    precision = torch.bfloat16 if has_bfloat16(torch.device("cpu")) else torch.float32
    faces = facesmith.open_faces(options.data, model.G.resolution, model.G.channels, console=console)
    labels = learnable_labels(faces)
    evaluator, embedding = Evaluator(len(labels.names)), Embedding(Evaluator(len(labels.names)))
    people = pictures_of_people(options.people, model.G.resolution, console)
    if options.networks is not None and options.networks.exists():
        for net, weights in zip((evaluator, embedding), torch.load(options.networks, weights_only=True), strict=True):
            net.load_state_dict(weights)
    else:
        rows = np.setdiff1d(faces.part("train"), classifier_training_rows(faces))
        evaluator = train_network(faces, labels, console, Evaluator, precision, EVALUATOR_BUDGET, rows)
        embedding.evaluator.load_state_dict(evaluator.state_dict())
        train_embedding(embedding, people, precision, console)
        if options.networks is not None:
            torch.save((evaluator.state_dict(), embedding.state_dict()), options.networks)
    for net in (evaluator, embedding):
        net.eval().requires_grad_(False)
    report(options, model, faces, labels, evaluator, embedding, people, console)
    print(f"\n{time.process_time() - start:.0f} s of CPU time")


def report(options, model, faces, labels, evaluator, embedding, people, console):
    scores = evaluate_classifier(evaluator, faces, labels, held_out_rows(faces))
    auc, count = verification(embedding, people)
    print(f"embedding: AUC {auc:.3f} on {count} pairs of people outside its training set, against random pairs")
    names = (
        options.attributes.split(",") if options.attributes else [n for n in PREFERRED if n in model.directions][:10]
    )
    w = model.latents(range(FIRST_SEED, FIRST_SEED + options.samples))
    lite0 = Lite0()
    real = cached_features(lite0, np.asarray(faces.pixels[faces.part("test")]), "test faces", console)
    before = model.synthesize(w)
    logits, points = predict_logits(evaluator, before).numpy(), predict_logits(embedding, before)
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
        logits_after, points_after = predict_logits(evaluator, after).numpy(), predict_logits(embedding, after)
        lacking = logits[:, own] < 0
        appears = (logits_after[lacking, own] > 0).mean() if lacking.any() else float("nan")
        changed = ((logits_after > 0) != (logits > 0)).mean(0)
        others = np.delete(np.arange(len(labels.names)), own)
        most_changed = others[changed[others].argsort()[::-1][:3]]
        listed = ", ".join(f"{labels.names[i]} {changed[i]:.0%}" for i in most_changed)
        distance = frechet_distance(real, extract_features(lite0, after, f"{name}", console))
        random_pairs = (points * points_after.roll(len(points) // 2, 0)).sum(1)
        identity = auc_of((points * points_after).sum(1), random_pairs)
        accuracy = f"{scores[name].accuracy:.0%} ({scores[name].balanced_accuracy:.0%})"
        print(
            f"| {name} | {accuracy} | {1 - lacking.mean():.0%} | {appears:.0%} "
            f"| {changed[others].mean():.1%} | {listed} | {distance / unedited:.2f} | {identity:.3f} |"
        )


def pictures_of_people(path, resolution, console):
    """Return a pair of pictures per person, uint8 `[P, 2, S, S, 3]`, and whether the person is in the training set."""
    store = open_store(path)
    by_person = {}
    for entry in store.files():
        if person := person_of(entry.name):
            by_person.setdefault(person, []).append(entry)
    pairs = {person: entries[:2] for person, entries in sorted(by_person.items()) if len(entries) > 1}
    crops = [
        [
            resize(read_picture(store.read(each.name))[TOP : TOP + SIDE, LEFT : LEFT + SIDE], resolution)
            for each in entries
        ]
        for entries in bar(pairs.values(), len(pairs), "reading pairs of pictures", console)
    ]
    return np.array(crops), np.array([part_of(f"person/{person}") == "train" for person in pairs])


def train_embedding(embedding, people, precision, console):
    """Train with InfoNCE (van den Oord et al. 2018): two pictures of a person against those of others in the batch."""
    pairs, in_training = people
    rows = np.flatnonzero(in_training)
    steps = EPOCHS * (len(rows) // PAIRS_PER_BATCH)
    torch.manual_seed(0)
    order = np.concatenate(
        [
            np.random.default_rng(i).permutation(rows)[: len(rows) // PAIRS_PER_BATCH * PAIRS_PER_BATCH]
            for i in range(EPOCHS)
        ]
    )
    optimizer = torch.optim.AdamW(embedding.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, steps + 1, pct_start=0.1)
    embedding.train()
    for step in bar(range(steps), steps, f"training on {len(rows)} people", console):
        batch = pairs[order[step * PAIRS_PER_BATCH : (step + 1) * PAIRS_PER_BATCH]]
        pictures = degrade(
            classifier_input(to_float(torch.from_numpy(batch.swapaxes(0, 1).reshape(-1, *batch.shape[2:]))))
        )
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            points = embedding(pictures)
        first, second = points.float().chunk(2)
        similarity = first @ second.T / TEMPERATURE
        targets = torch.arange(len(similarity))
        loss = cross_entropy(similarity, targets) + cross_entropy(similarity.T, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def verification(embedding, people):
    """Return the AUC of same-person pairs against different-person pairs outside the training set, and their number."""
    pairs, in_training = people
    first, second = (predict_logits(embedding, pairs[~in_training][:, i]) for i in (0, 1))
    different = torch.cat([(first * second.roll(shift, 0)).sum(1) for shift in (1, 2, 3)])
    return auc_of((first * second).sum(1), different), len(first)


def auc_of(same, other):
    """Return how often a value of `same` is larger than a value of `other`; ties count half."""
    return float((same[:, None] > other[None]).float().mean() + 0.5 * (same[:, None] == other[None]).float().mean())


if __name__ == "__main__":
    main()

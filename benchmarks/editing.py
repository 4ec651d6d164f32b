"""What directions do, as others see it: does the attribute come, what else changes, is it still the same person?

The judge is a network of another architecture than the classifier that made the labels (no residuals, no BatchNorm;
max-pooling and a dense layer), taught by other people: training faces that the classifier has not seen. Both are
measured on faces that neither saw. The embedding that tells people apart grows out of the judge: it learns from pairs
of pictures of one person in Labeled Faces in the Wild, and is measured on people who taught it nothing.

For each attribute, each of N generated faces is edited by its direction at strength 1, and by that alone:

- came: of the faces that the judge says lack it, the share that have it afterwards (target: 70 %)
- others: the share of the judge's verdicts on all other attributes that changed, the mean of faces and attributes
  (target: 15 % at most), and which changed most
- frechet: the Fréchet distance (Lite0) of all edited faces to real test faces, over that of the unedited (1.3 at most)
- same: how often a face and its edit lie nearer in the embedding than two random faces do, an AUC (.9)

Run: python benchmarks/editing.py runs/first --data celeba64.zip --people lfw.zip [--samples 1000] [--judges judges.pt]
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
from facesmith.faces.store import open_store
from facesmith.io.images import read_picture, resize, to_float
from facesmith.io.progress import bar
from facesmith.metrics.extractors.lite0 import Lite0
from facesmith.metrics.features import cached_features, extract_features
from facesmith.metrics.frechet import frechet_distance
from facesmith.photos.split import part_of, person_of

FIRST_SEED = 100_000  # of faces that no direction was fitted to or measured on
TEN = ("smiling", "eyeglasses", "male", "young", "blond_hair", "black_hair", "mouth_slightly_open", "heavy_makeup",
       "bangs", "wearing_lipstick", "no_beard", "gray_hair", "wearing_hat", "high_cheekbones")  # fmt: skip
JUDGE_EFFORT = ClassifierBudget(max_images=90_000)
# The window of LFW's deep-funneled pictures (250x250) in which faces lie as in CelebA's usual crop: by the mean
# landmarks that MTCNN finds in either, eyes 43.2 pixels apart there and 20.4 of 64 here.
LEFT, TOP, SIDE = 57, 53, 136
PAIRS, PASSES, TEMPERATURE, LR = 64, 15, 0.1, 1e-3


class Judge(nn.Module):
    """Convolutions with max-pooling, ELU and a dense layer, without any normalisation."""

    def __init__(self, attributes):
        super().__init__()
        widths = (3, 24, 48, 96, 128)
        sides = (5, 3, 3, 3)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, k, padding=k // 2) for a, b, k in zip(widths, widths[1:], sides, strict=False)
        )
        self.dense = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(128 * 16, 256), nn.ELU(), nn.Dropout(0.3))
        self.last = nn.Linear(256, attributes)

    def inner(self, pictures):
        x = classifier_input(pictures)
        for layer in self.layers:
            x = elu(max_pool2d(layer(x), 2))
        return self.dense(x)

    def forward(self, pictures):
        return self.last(self.inner(pictures))


class Embedding(nn.Module):
    """Points on a sphere, near each other for pictures of one person."""

    def __init__(self, judge):
        super().__init__()
        self.judge, self.last = judge, nn.Linear(256, 128)

    def forward(self, pictures):
        return normalize(self.last(self.judge.inner(pictures)).float(), dim=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="labelled faces")
    parser.add_argument("--people", type=Path, required=True, help="lfw.zip, deep-funneled")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--attributes", help="by default ten of the model's directions")
    parser.add_argument("--judges", type=Path, help="where the judges are kept from one run to the next")
    options = parser.parse_args()
    console, model, began = Console(stderr=True), facesmith.load(options.model), time.process_time()
    precision = torch.bfloat16 if has_bfloat16(torch.device("cpu")) else torch.float32
    faces = facesmith.open_faces(options.data, model.G.resolution, model.G.channels, console=console)
    labels = learnable_labels(faces)
    judge, embedding = Judge(len(labels.names)), Embedding(Judge(len(labels.names)))
    people = pictures_of_people(options.people, model.G.resolution, console)
    if options.judges is not None and options.judges.exists():
        for net, kept in zip((judge, embedding), torch.load(options.judges, weights_only=True), strict=True):
            net.load_state_dict(kept)
    else:
        others = np.setdiff1d(faces.part("train"), classifier_training_rows(faces))
        judge = train_network(faces, labels, console, Judge, precision, JUDGE_EFFORT, others)
        embedding.judge.load_state_dict(judge.state_dict())
        teach_people(embedding, people, precision, console)
        if options.judges is not None:
            torch.save((judge.state_dict(), embedding.state_dict()), options.judges)
    for net in (judge, embedding):
        net.eval().requires_grad_(False)
    report(options, model, faces, labels, judge, embedding, people, console)
    print(f"\n{time.process_time() - began:.0f} s of processor time")


def report(options, model, faces, labels, judge, embedding, people, console):
    known = evaluate_classifier(judge, faces, labels, held_out_rows(faces))
    auc, count = verification(embedding, people)
    print(f"embedding: AUC {auc:.3f} on {count} pairs of people who taught it nothing, against random pairs")
    chosen = options.attributes.split(",") if options.attributes else [n for n in TEN if n in model.directions][:10]
    w = model.latents(range(FIRST_SEED, FIRST_SEED + options.samples))
    lite0 = Lite0()
    real = cached_features(lite0, np.asarray(faces.pixels[faces.part("test")]), "test faces", console)
    before = model.synthesize(w)
    told, where = predict_logits(judge, before).numpy(), predict_logits(embedding, before)
    plain = frechet_distance(real, extract_features(lite0, before, "unedited faces", console))
    print(f"{options.samples} faces; Fréchet distance (Lite0) unedited: {plain:.1f}\n")
    print(
        "| direction | judge right (balanced) | had it | came | others changed | most | Fréchet, of unedited | same |"
    )
    print("|---" * 8 + "|")
    for name in chosen:
        own = labels.names.index(name)
        after = model.synthesize(w + model.directions[name])
        said, there = predict_logits(judge, after).numpy(), predict_logits(embedding, after)
        lacking = told[:, own] < 0
        came = (said[lacking, own] > 0).mean() if lacking.any() else float("nan")
        changed = ((said > 0) != (told > 0)).mean(0)
        rest = np.delete(np.arange(len(labels.names)), own)
        worst = rest[changed[rest].argsort()[::-1][:3]]
        most = ", ".join(f"{labels.names[i]} {changed[i]:.0%}" for i in worst)
        distance = frechet_distance(real, extract_features(lite0, after, f"{name}", console))
        same = auc_of((where * there).sum(1), (where * there.roll(len(there) // 2, 0)).sum(1))
        right = f"{known[name].accuracy:.0%} ({known[name].balanced:.0%})"
        print(
            f"| {name} | {right} | {1 - lacking.mean():.0%} | {came:.0%} "
            f"| {changed[rest].mean():.1%} | {most} | {distance / plain:.2f} | {same:.3f} |"
        )


def pictures_of_people(path, resolution, console):
    """Pairs of pictures uint8 `[P, 2, S, S, 3]` and whether a pair's person teaches."""
    store = open_store(path)
    by_person = {}
    for entry in store.files():
        if person := person_of(entry.name):
            by_person.setdefault(person, []).append(entry)
    pairs = {person: entries[:2] for person, entries in sorted(by_person.items()) if len(entries) > 1}
    cut = [
        [
            resize(read_picture(store.read(each.name))[TOP : TOP + SIDE, LEFT : LEFT + SIDE], resolution)
            for each in entries
        ]
        for entries in bar(pairs.values(), len(pairs), "reading pairs of pictures", console)
    ]
    return np.array(cut), np.array([part_of(f"person/{person}") == "train" for person in pairs])


def teach_people(embedding, people, precision, console):
    """Contrast each person's two pictures with those of all others in a batch (InfoNCE; van den Oord et al. 2018)."""
    pairs, teaches = people
    rows = np.flatnonzero(teaches)
    steps = PASSES * (len(rows) // PAIRS)
    torch.manual_seed(0)
    order = np.concatenate(
        [np.random.default_rng(i).permutation(rows)[: len(rows) // PAIRS * PAIRS] for i in range(PASSES)]
    )
    optimizer = torch.optim.AdamW(embedding.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, steps + 1, pct_start=0.1)
    embedding.train()
    for step in bar(range(steps), steps, f"telling {len(rows)} people apart", console):
        some = pairs[order[step * PAIRS : (step + 1) * PAIRS]]
        pictures = degrade(
            classifier_input(to_float(torch.from_numpy(some.swapaxes(0, 1).reshape(-1, *some.shape[2:]))))
        )
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            points = embedding(pictures)
        first, second = points.float().chunk(2)
        near = first @ second.T / TEMPERATURE
        right = torch.arange(len(near))
        loss = cross_entropy(near, right) + cross_entropy(near.T, right)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def verification(embedding, people):
    """AUC of one person's pairs against pairs of two persons, of people who taught nothing; and how many pairs."""
    pairs, teaches = people
    first, second = (predict_logits(embedding, pairs[~teaches][:, i]) for i in (0, 1))
    apart = torch.cat([(first * second.roll(shift, 0)).sum(1) for shift in (1, 2, 3)])
    return auc_of((first * second).sum(1), apart), len(first)


def auc_of(same, other):
    """How often one of the same lies nearer than one of the others."""
    return float((same[:, None] > other[None]).float().mean() + 0.5 * (same[:, None] == other[None]).float().mean())


if __name__ == "__main__":
    main()

"""The bias of the data, and what a generator makes of it: shares of attributes among real and generated faces.

A generated face has no labels, so a probe gives them: a logistic regression on features of EfficientNet-Lite0 for each
attribute, learnt from training faces. The same probe judges real test faces and samples, so that its own leanings
strike both; its accuracy on the test faces says how far to trust it. Where it is hardly better than always saying the
more frequent answer, the attribute is left out.

Run: python benchmarks/attribute_shares.py runs/dcgan32 --data celeba64.zip [--samples 2000]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

import facesmith
from facesmith.metrics.features import cached_features, extract, open_extractor

WEIGHT_DECAY = 1e-3
STEPS = 60
GAIN = 0.2  # of the errors of always giving the more frequent answer, the share that a usable probe avoids


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--training", type=int, default=4000, help="faces that the probe learns from")
    parser.add_argument("--test", type=int, default=2000)
    options = parser.parse_args()
    console, extractor = Console(stderr=True), open_extractor("lite0")
    models = [facesmith.load(path) for path in options.models]
    size = models[0].recipe.resolution
    faces = facesmith.open_faces(options.data, size)
    names, labels = attributes_of(faces)
    learnt, judged = (spread(faces.part(p), n) for p, n in (("train", options.training), ("test", options.test)))

    def features(rows, what):
        return cached_features(extractor, np.asarray(faces.pixels[rows]), what, console)

    probe = Probe(features(learnt, "training faces"), labels[learnt])
    answers = probe(features(judged, "test faces"))
    usable, accuracy = trusted(answers, labels[judged])
    shares = [
        probe(extract(extractor, model.sample(range(options.samples)), f"samples of {path}", console)).mean(0)
        for model, path in zip(models, options.models, strict=True)
    ]
    print(
        f"{len(learnt)} training and {len(judged)} test faces at {size} px, {options.samples} samples of each model; "
        f"{usable.sum()} of {len(names)} attributes are judged well enough\n"
    )
    print(f"| attribute | labelled | {' | '.join(['real, by the probe', *map(str, options.models)])} | probe right |")
    print("|---" * (len(models) + 4) + "|")
    real, first = answers.mean(0), shares[0]
    for i in sorted(np.flatnonzero(usable), key=lambda i: first[i] - real[i]):
        told = " | ".join(f"{share[i]:.0%}" for share in (real, *shares))
        print(f"| {names[i]} | {labels[judged][:, i].mean():.0%} | {told} | {accuracy[i]:.0%} |")
    for path, share in zip(options.models, shares, strict=True):
        print(f"\n{path}: mean difference {np.abs(share - real)[usable].mean():.1%}")


def attributes_of(faces):
    """Names and labels bool `[N, A]` of the attributes that are known of every face."""
    known = {name: column > 0 for name, column in faces.attributes.items() if not np.isnan(column).any()}
    return list(known), np.stack(list(known.values()), 1)


class Probe:
    """Logistic regressions of all attributes at once; answers are 0 or 1, at a threshold that keeps the shares."""

    def __init__(self, features, labels):
        self.mean, self.scale = features.mean(0), features.std(0) + 1e-6
        x, y = self._scaled(features), torch.from_numpy(labels.astype(np.float32))
        self.linear = torch.nn.Linear(x.shape[1], y.shape[1])
        torch.nn.init.zeros_(self.linear.weight)
        optimizer = torch.optim.LBFGS(self.linear.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            loss = cross_entropy(self.linear(x), y) * y.shape[1] + WEIGHT_DECAY * self.linear.weight.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        logits = self.linear(x).detach().numpy()
        self.threshold = np.array(
            [np.quantile(column, 1 - held) for column, held in zip(logits.T, labels.mean(0), strict=True)]
        )

    def __call__(self, features):
        with torch.no_grad():
            return (self.linear(self._scaled(features)).numpy() > self.threshold).astype(np.float64)

    def _scaled(self, features):
        return torch.from_numpy((features - self.mean) / self.scale)


def trusted(answers, labels):
    """Which attributes the probe knows, and how often it is right on each."""
    accuracy, lazy = (answers == labels).mean(0), np.maximum(labels.mean(0), 1 - labels.mean(0))
    return 1 - accuracy < (1 - GAIN) * (1 - lazy), accuracy


def spread(rows, count):
    """Some of the rows, evenly, since sources may come one after the other."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


if __name__ == "__main__":
    main()

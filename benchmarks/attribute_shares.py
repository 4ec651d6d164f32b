"""The bias of the data, and what a generator makes of it: shares of attributes among real and generated faces.

A generated face has no labels, so a probe gives them: a logistic regression on features of EfficientNet-Lite0 for each
attribute. Samples are softer than photos, and a probe that knows photos alone takes a soft woman for a man. So real
faces are given the samples' spectrum (`Softening`), and the probe learns from training faces of which every other is
made as soft. The table holds the samples against real test faces made as soft; how well the probe tells such faces with
an attribute from those without stands beside it (AUC: 50 % is guessing), as does its answer on the sharp ones.

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
from facesmith.metrics.features import cached_features, extract_features, open_extractor
from facesmith.training.discriminator_scores import auc

WEIGHT_DECAY = 1e-3
STEPS = 60
KNOWN = 0.8  # AUC from which an attribute counts as known


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--training", type=int, default=4000, help="faces that the probe learns from")
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    console, extractor, model = Console(stderr=True), open_extractor("lite0"), facesmith.load(options.model)
    faces = facesmith.open_faces(options.data, model.recipe.resolution, model.recipe.channels)
    names, labels = attributes_of(faces)
    learnt, judged = (spread(faces.part(p), n) for p, n in (("train", options.training), ("test", options.test)))
    samples, sharp = model.sample(range(options.samples)), np.asarray(faces.pixels[judged])
    softened = Softening(np.asarray(faces.pixels[learnt]), samples)
    training = np.asarray(faces.pixels[learnt]).copy()
    training[::2] = softened(training[::2], seed=1)

    probe = Probe(extract_features(extractor, training, "training faces, half of them soft", console), labels[learnt])
    soft = probe.logits(extract_features(extractor, softened(sharp, seed=2), "test faces, soft", console))
    fake = probe.logits(extract_features(extractor, samples, "samples", console))
    answers = probe.answers(probe.logits(cached_features(extractor, sharp, "test faces", console)))
    known = np.array([auc(column[own], column[~own]) for column, own in zip(soft.T, labels[judged].T, strict=True)])
    told(names, labels[judged], answers.mean(0), probe.answers(soft).mean(0), probe.answers(fake).mean(0), known)
    gains = " ".join(f"{gain:.2f}" for gain in softened.gain[:: max(1, len(softened.gain) // 8)])
    print(
        f"\n{len(learnt)} training and {len(judged)} test faces at {model.recipe.resolution} px, "
        f"{len(samples)} samples; {(known >= KNOWN).sum()} of {len(names)} attributes are known. Made as soft: "
        f"amplitudes from the coarsest to the finest detail times {gains}, noise of {softened.noise_levels:.1f} levels."
    )


def told(names, labels, sharp, soft, fake, known):
    print("| attribute | labelled | real | real, made as soft | samples | difference | AUC |")
    print("|---" * 7 + "|")
    for i in sorted(range(len(names)), key=lambda i: (known[i] < KNOWN, fake[i] - soft[i])):
        shares = " | ".join(f"{share:.0%}" for share in (labels[:, i].mean(), sharp[i], soft[i], fake[i]))
        name = names[i].replace("_", " ")
        print(f"| {name} | {shares} | {(fake[i] - soft[i]) * 100:+.0f} | {known[i]:.0%} |")


class Softening:
    """Gives real faces the mean spectrum of samples: detail that they lack is weakened, what they have more is noise.

    Args:
        real, fake: uint8 `[N, S, S, C]`.
    """

    def __init__(self, real, fake):
        size = real.shape[1]
        rows, columns = np.fft.fftfreq(size) * size, np.fft.rfftfreq(size) * size
        self.ring = np.hypot(rows[:, None], columns[None]).round().astype(int)  # [S, S / 2 + 1]
        power_real, power_fake = self._power(real), self._power(fake)
        self.gain = np.sqrt(np.minimum(1, power_fake / power_real))
        self.noise = np.sqrt(np.maximum(0, power_fake - power_real)) / size  # standard deviation of white noise there
        self.noise_levels = float(np.sqrt((self.noise[self.ring] ** 2).mean()))

    def __call__(self, faces, seed):
        rng = np.random.default_rng(seed)
        out = np.empty_like(faces)
        for start in range(0, len(faces), 256):
            some = faces[start : start + 256].astype(np.float32)
            spectrum = np.fft.rfft2(some, axes=(1, 2)) * self.gain[self.ring][..., None]
            noise = np.fft.rfft2(rng.standard_normal(some.shape), axes=(1, 2)) * self.noise[self.ring][..., None]
            made = np.fft.irfft2(spectrum + noise, s=some.shape[1:3], axes=(1, 2))
            out[start : start + 256] = made.round().clip(0, 255)
        return out

    def _power(self, pictures):
        """Mean power of each ring of frequencies; the mean brightness is left alone."""
        power = np.mean(
            [
                (np.abs(np.fft.rfft2(some.astype(np.float32), axes=(1, 2))) ** 2).mean((0, 3))
                for some in np.array_split(pictures, max(1, len(pictures) // 256))
            ],
            0,
        )
        rings = np.bincount(self.ring.ravel(), power.ravel()) / np.bincount(self.ring.ravel())
        rings[0] = 1
        return rings


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
        logits = self.logits(features)
        self.threshold = np.array(
            [np.quantile(column, 1 - held) for column, held in zip(logits.T, labels.mean(0), strict=True)]
        )

    def logits(self, features):
        with torch.no_grad():
            return self.linear(self._scaled(features)).numpy()

    def answers(self, logits):
        return (logits > self.threshold).astype(np.float64)

    def _scaled(self, features):
        return torch.from_numpy((features - self.mean) / self.scale)


def spread(rows, count):
    """Some of the rows, evenly, since sources may come one after the other."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


if __name__ == "__main__":
    main()

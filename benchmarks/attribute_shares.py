"""Measure bias: how often attributes occur among real faces and among generated ones.

Generated faces have no labels, so a probe predicts them: a logistic regression on EfficientNet-Lite0 features for each
attribute. Samples are softer than photos, and a probe trained on photos only confuses softness with attributes. So real
faces are given the spectrum of the samples (`SpectrumMatch`), and half of the probe's training faces are softened in
this way. The table compares samples with softened test faces. It also has the probe's AUC on softened faces (50 % is
chance) and its prediction for the original ones.

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
MIN_AUC = 0.8  # from which predictions of an attribute are reliable


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--training", type=int, default=4000, help="faces to train the probe on")
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    console, extractor, model = Console(stderr=True), open_extractor("lite0"), facesmith.load(options.model)
    faces = facesmith.open_faces(options.data, model.recipe.resolution, model.recipe.channels)
    names, labels = attributes_of(faces)
    training_rows, test_rows = (
        evenly_spaced(faces.part(p), n) for p, n in (("train", options.training), ("test", options.test))
    )
    samples, test = model.sample(range(options.samples)), np.asarray(faces.pixels[test_rows])
    soften = SpectrumMatch(np.asarray(faces.pixels[training_rows]), samples)
    training = np.asarray(faces.pixels[training_rows]).copy()
    training[::2] = soften(training[::2], seed=1)

    probe = Probe(
        extract_features(extractor, training, "training faces, half of them softened", console), labels[training_rows]
    )
    soft = probe.logits(extract_features(extractor, soften(test, seed=2), "softened test faces", console))
    fake = probe.logits(extract_features(extractor, samples, "samples", console))
    original = probe.predict(probe.logits(cached_features(extractor, test, "test faces", console)))
    aucs = np.array([auc(column[own], column[~own]) for column, own in zip(soft.T, labels[test_rows].T, strict=True)])
    print_table(
        names, labels[test_rows], original.mean(0), probe.predict(soft).mean(0), probe.predict(fake).mean(0), aucs
    )
    gains = " ".join(f"{gain:.2f}" for gain in soften.gain[:: max(1, len(soften.gain) // 8)])
    print(
        f"\n{len(training_rows)} training and {len(test_rows)} test faces at {model.recipe.resolution} px, "
        f"{len(samples)} samples; the probe is reliable for {(aucs >= MIN_AUC).sum()} of {len(names)} attributes. "
        f"Softening: amplitudes, from coarse to fine, times {gains}; noise of {soften.noise_levels:.1f} levels."
    )


def print_table(names, labels, original, soft, fake, aucs):
    print("| attribute | labels | real | real, softened | samples | difference | AUC |")
    print("|---" * 7 + "|")
    for i in sorted(range(len(names)), key=lambda i: (aucs[i] < MIN_AUC, fake[i] - soft[i])):
        shares = " | ".join(f"{share:.0%}" for share in (labels[:, i].mean(), original[i], soft[i], fake[i]))
        name = names[i].replace("_", " ")
        print(f"| {name} | {shares} | {(fake[i] - soft[i]) * 100:+.0f} | {aucs[i]:.0%} |")


class SpectrumMatch:
    """Gives real faces the mean spectrum of samples: attenuates weaker frequencies, adds noise to stronger ones.

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
            batch = faces[start : start + 256].astype(np.float32)
            spectrum = np.fft.rfft2(batch, axes=(1, 2)) * self.gain[self.ring][..., None]
            noise = np.fft.rfft2(rng.standard_normal(batch.shape), axes=(1, 2)) * self.noise[self.ring][..., None]
            softened = np.fft.irfft2(spectrum + noise, s=batch.shape[1:3], axes=(1, 2))
            out[start : start + 256] = softened.round().clip(0, 255)
        return out

    def _power(self, pictures):
        """Return the mean power in each ring of frequencies; that of the mean brightness is set to 1."""
        power = np.mean(
            [
                (np.abs(np.fft.rfft2(part.astype(np.float32), axes=(1, 2))) ** 2).mean((0, 3))
                for part in np.array_split(pictures, max(1, len(pictures) // 256))
            ],
            0,
        )
        rings = np.bincount(self.ring.ravel(), power.ravel()) / np.bincount(self.ring.ravel())
        rings[0] = 1
        return rings


def attributes_of(faces):
    """Return the names and labels, bool `[N, A]`, of attributes that are known for all faces."""
    known = {name: column > 0 for name, column in faces.attributes.items() if not np.isnan(column).any()}
    return list(known), np.stack(list(known.values()), 1)


class Probe:
    """Logistic regressions for all attributes; predictions are 0 or 1, with the same shares as in training."""

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
            [np.quantile(column, 1 - share) for column, share in zip(logits.T, labels.mean(0), strict=True)]
        )

    def logits(self, features):
        with torch.no_grad():
            return self.linear(self._scaled(features)).numpy()

    def predict(self, logits):
        return (logits > self.threshold).astype(np.float64)

    def _scaled(self, features):
        return torch.from_numpy((features - self.mean) / self.scale)


def evenly_spaced(rows, count):
    """Return `count` of the rows, evenly spaced, since a dataset may list its sources one after the other."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


if __name__ == "__main__":
    main()

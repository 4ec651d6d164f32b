"""Measure how well the face embedding tells people apart: are two photos of the same person?

As in the LFW protocol, there are as many pairs of the same person as of two people. The threshold is chosen on nine
tenths of the pairs and tested on the last tenth, ten times. Pairs of the same person are the first two faces of each
person with several faces; pairs of two people are drawn at random with a fixed seed.

Run: facesmith extract lfw.zip --out faces --size 128
    python benchmarks/face_verification.py --data faces [--sizes 128,64,48,32]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

import facesmith
from facesmith.metrics.face_embedding import embed_faces, load_face_embedding

FOLDS = 10
THRESHOLDS = np.linspace(0.2, 1.2, 201)
FALSE_MATCHES = 0.01


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="faces with the names of persons")
    parser.add_argument("--sizes", default="128,64,48,32", help="sides of the faces in pixels")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    network, console = load_face_embedding(), Console(stderr=True)
    print(f"| side | pairs | accuracy | standard error | threshold | same person found at {FALSE_MATCHES:.0%} errors |")
    print("|---" * 6 + "|")
    for side in map(int, options.sizes.split(",")):
        faces = facesmith.open_faces(options.data, side)
        embeddings = embed_faces(network, faces.pixels, np.arange(len(faces.names)), f"faces of {side} px", console)
        same, different = pairs(faces.groups)
        distances = [np.linalg.norm(embeddings[a] - embeddings[b], axis=1) for a, b in (same.T, different.T)]
        accuracies, threshold = verification_accuracy(*distances)
        found = (distances[0] < np.quantile(distances[1], FALSE_MATCHES)).mean()
        error = accuracies.std() / np.sqrt(FOLDS)
        print(
            f"| {side} px | {2 * len(same)} | {accuracies.mean():.1%} | {error:.1%} | {threshold:.2f} | {found:.1%} |"
        )


def pairs(groups):
    """Row numbers of pairs of the same person `[P, 2]`, and of as many pairs of two people."""
    people, first = np.unique(groups, return_index=True)
    rows = [np.flatnonzero(np.array(groups) == person)[:2] for person in people]
    same = np.array([each for each in rows if len(each) == 2])
    rng = np.random.default_rng(0)
    different = [first[rng.permutation(len(people))[:2]] for _ in same]
    return same, np.array(different)


def verification_accuracy(same, different):
    """The accuracy on each fold, and the threshold of the last one."""
    accuracies = []
    for fold in range(FOLDS):
        tested = [np.arange(len(each)) % FOLDS == fold for each in (same, different)]
        training = [accuracy(same[~tested[0]], different[~tested[1]], threshold) for threshold in THRESHOLDS]
        threshold = THRESHOLDS[int(np.argmax(training))]
        accuracies.append(accuracy(same[tested[0]], different[tested[1]], threshold))
    return np.array(accuracies), threshold


def accuracy(same, different, threshold):
    return np.concatenate([same < threshold, different >= threshold]).mean()


if __name__ == "__main__":
    main()

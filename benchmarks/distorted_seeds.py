"""Measure how well a judge recognizes distorted faces of a generator, compared with a person's verdicts.

The verdicts are a table with the columns seed and verdict: good, mild or bad. For each judge, prints the share of pairs
of a good and a bad face in which the bad one gets the worse score (AUC, 50 % is chance), and the verdicts of the worst
tenth of the seeds. Judges: the distortion scorer of the package, the run's own discriminator, the distance of w from
its mean, and brightness (a dark face shows few distortions). Writes a sheet of the worst tenth, and one of the bad
faces that the scorer misses.

Run: python benchmarks/distorted_seeds.py runs/long verdicts.csv --out distorted
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import facesmith
from facesmith.distortion.scorer import distortion_scores
from facesmith.pictures.images import Pixels, enlarge, grid, to_float, write_picture
from facesmith.training.discriminator_scores import auc
from facesmith.training.finetune import open_pretrained

WORST_SHARE = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("verdicts", type=Path)
    parser.add_argument("--out", type=Path, default=Path("distorted"))
    options = parser.parse_args()
    with options.verdicts.open(newline="") as table:
        verdicts = {int(row["seed"]): row["verdict"] for row in csv.DictReader(table)}
    seeds, verdict = list(verdicts), np.array(list(verdicts.values()))
    model = facesmith.load(options.model)
    faces = model.sample(seeds)
    w = model.latents(seeds)
    judges = {
        "distortion scorer": distortion_scores(faces),
        "distance of w from its mean": np.linalg.norm(w - w.mean(0), axis=1),
        "darkness": -faces.mean((1, 2, 3)),
    }
    if (logits := discriminator_logits(options.model, faces)) is not None:
        judges["discriminator"] = -logits
    print(f"{len(seeds)} seeds: " + ", ".join(f"{(verdict == name).sum()} {name}" for name in ("good", "mild", "bad")))
    for name, scores in judges.items():
        worst = verdict[np.argsort(scores)[-round(WORST_SHARE * len(seeds)) :]]
        counts = ", ".join(f"{(worst == each).sum()} {each}" for each in ("bad", "mild", "good"))
        print(f"{name:28} AUC {auc(scores[verdict == 'bad'], scores[verdict == 'good']):6.1%}; worst tenth: {counts}")
    order = np.argsort(-judges["distortion scorer"])
    n_worst = round(WORST_SHARE * len(seeds))
    missed = [row for row in order[::-1] if verdict[row] == "bad"][:n_worst]
    options.out.mkdir(parents=True, exist_ok=True)
    for name, rows in (("worst", order[:n_worst]), ("missed", missed)):
        metadata = model.provenance({"Seeds": str([seeds[row] for row in rows])})
        write_picture(options.out / f"{name}.png", grid(enlarge(faces[rows], 1), len(rows)), metadata)
        print(f"{options.out / name}.png: seeds {', '.join(str(seeds[row]) for row in rows)}")


def discriminator_logits(path: Path, faces: Pixels) -> NDArray[np.float32] | None:
    """The logits of the discriminator of a run, or None without one; higher is more real."""
    pretrained = open_pretrained(path, None)
    if "D" not in pretrained.weights:
        return None
    D = pretrained.model.recipe.networks()["D"].eval()
    D.load_state_dict(pretrained.weights["D"])
    with torch.inference_mode():
        logits: NDArray[np.float32] = torch.cat([D(batch) for batch in to_float(torch.tensor(faces)).split(16)]).numpy()
    return logits


if __name__ == "__main__":
    main()

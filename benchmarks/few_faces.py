"""From how many faces on is it better to train from scratch than to fine-tune the bundled generator?

For each number of faces and each budget, trains both ways and evaluates both against the test faces of the whole
dataset, which none of the runs sees. "Nearer" is the share of samples that are nearer to a training face than to as
many test faces, by face recognition: 50 % means that the model drew new people, 100 % that it drew those of the photos.
Prints a Markdown table. Finished runs and evaluations are kept, so an interrupted benchmark continues.

Run: python benchmarks/few_faces.py --data lfw128 --out few --counts 300 1000 3000 7000 --minutes 10 30 --threads 2
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from facesmith.faces import open_faces
from facesmith.metrics.face_embedding import embed_faces, load_face_embedding
from facesmith.model import load

SAMPLES = 1000  # that are compared with training faces and test faces
WAYS = {"fine-tuned": ("--from", "bundled"), "from scratch": ("--from-scratch",)}
COLUMNS = {"fd5k_lite0": 1, "kid5k_lite0": 4, "recall5k_lite0": 2, "coverage5k_lite0": 2}  # and their decimals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="faces of at least the bundled generator's size")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[300, 1000, 3000, 7000])
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 30])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print(f"| faces | minutes | way | kimg | {' | '.join(COLUMNS)} | face rate | nearer |")
    print("|---|---|---|---|" + "---|" * (len(COLUMNS) + 2))
    for count in options.counts:
        for minutes in options.minutes:
            for way in WAYS:
                print(row(options, count, minutes, way), flush=True)


def row(options: argparse.Namespace, count: int, minutes: float, way: str) -> str:
    """Train and evaluate one run, and return its row of the table."""
    run = options.out / f"{count}-{minutes:g}-{way.replace(' ', '-')}"
    report = run / "evaluation" / "report.json"
    common, data = ["--threads", str(options.threads)], ["--data", str(options.data)]
    if not report.exists():
        budget = ["--limit", str(count), "--minutes", f"{minutes:g}", "--seed", "0"]
        facesmith(*common, "train", *data, *WAYS[way], *budget, "--out", str(run))
        facesmith(*common, "evaluate", "--model", str(run), *data, "--out", str(report.parent), "--force")
    (model,) = json.loads(report.read_text())["models"]
    values = [f"{model['metrics'][name]['value']:.{decimals}f}" for name, decimals in COLUMNS.items()]
    cells = [str(count), f"{minutes:g}", way, f"{model['seen'] / 1000:.0f}", *values]
    cells += [f"{model['face_rate']['value']:.1%}", f"{nearer_to_training(options.data, count, run):.0%}"]
    return f"| {' | '.join(cells)} |"


def nearer_to_training(data: Path, count: int, run: Path) -> float:
    """The share of samples that are nearer to a training face than to as many test faces. It is kept in the run."""
    kept = run / "nearer.json"
    if not kept.exists():
        network, console = load_face_embedding(), Console(stderr=True)
        model = load(run)
        faces = open_faces(data, model.G.resolution, console=console)
        trained_on = open_faces(data, model.G.resolution, limit=count, console=console)
        names = {trained_on.names[row] for row in trained_on.part("train")}
        training = np.array([row for row, name in enumerate(faces.names) if name in names])
        test = faces.part("test")
        rng, equal = np.random.default_rng(0), min(len(training), len(test))
        parts = [rng.permutation(part)[:equal] for part in (training, test)]
        known, unknown = (embed_faces(network, faces.pixels, part, "photos", console) for part in parts)
        drawn = embed_faces(network, model.sample(range(SAMPLES)), np.arange(SAMPLES), "samples", console)
        to_known, to_unknown = (distances(drawn, each).min(1) for each in (known, unknown))
        kept.write_text(json.dumps(float((to_known < to_unknown).mean())))
    share: float = json.loads(kept.read_text())
    return share


def distances(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean distances of all pairs of embeddings, `[N, M]`."""
    squared = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * first @ second.T
    lengths: NDArray[np.float32] = np.sqrt(np.maximum(squared, 0))
    return lengths


def facesmith(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "facesmith", *arguments], check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()

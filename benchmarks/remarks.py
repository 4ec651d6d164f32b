"""Measure the remarks of two texts: every variant of a recipe is trained for the same time, with several seeds.

`--text dcgan32` has the remarks of "Face Generation": residual blocks, dropout, deeper and wider networks, least
squares, batches of 16 to 256, brightness, rotation, flip and translation. `--text balanced64` has that of "Generating
Faces with Torch": a discriminator with fewer features.

Each variant has a run folder in --out for each seed. The script resumes: finished runs and evaluations are kept. It
prints a table of means and standard deviations over the seeds, writes it as remarks.csv, and draws a sheet of the same
seeds for all variants. Let nothing else use the machine, because the budget is a time.

Run: python benchmarks/remarks.py --data celeba64.zip --out remarks [--text dcgan32] [--minutes 10] [--seeds 3]
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from rich.console import Console

import facesmith
from facesmith.explore.compare import CompareOptions, compare
from facesmith.metrics.comparison import protocol_name
from facesmith.modelfiles.checkpoint import read_header
from facesmith.modelfiles.evaluation_file import EVALUATION

# The options of `facesmith.train` of each variant; `set` has hyperparameters.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "dcgan32": {
        "defaults": {},
        "residual blocks": {"set": {"blocks": "residual"}},
        "dropout .2": {"set": {"dropout": 0.2}},
        "deeper": {"set": {"deeper": 1}},
        "wider": {"set": {"width": 96}},
        "least squares": {"set": {"loss": "lsgan"}},
        "batch 16": {"batch": 16},
        "batch 32": {"batch": 32},
        "batch 128": {"batch": 128},
        "batch 256": {"batch": 256},
        "brightness .5": {"set": {"brightness": 0.5}},
        "rotation 15": {"set": {"rotation_degrees": 15.0}},
        "translation .125": {"set": {"translation": 0.125}},
        "no flip": {"mirror": False},
    },
    "balanced64": {f"d_width {width}": {"set": {"d_width": width}} for width in (32, 24, 16, 8)},
}
EXTRACTOR = "lite0"
METRICS = ("fd", "kid", "precision", "coverage")
COLUMNS = ("variant", "seed", "kimg", "steps", *METRICS, "face_rate")
SHEET_SEEDS = range(12)
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--text", choices=list(VARIANTS), default="dcgan32")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--limit", type=int, help="use this many faces")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="only these variants")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    variants = {name: each for name, each in VARIANTS[options.text].items() if name in (options.only or [name])}
    rows = list(measure(options, variants))
    write_csv(options.out / "remarks.csv", rows)
    print_table(rows)
    runs = [run_folder(options.out, name, 0) for name in variants]
    for path in compare(
        CompareOptions(runs, options.out / "sheet", SHEET_SEEDS, list(variants), force=True), Console(stderr=True)
    ):
        print(path)


def measure(options: argparse.Namespace, variants: dict[str, dict[str, Any]]) -> Iterator[Row]:
    """Train and evaluate each variant with each seed, seed by seed, so that an interruption leaves whole rounds."""
    for seed in range(options.seeds):
        for name, extra in variants.items():
            run = run_folder(options.out, name, seed)
            report = facesmith.train(
                options.data, run, options.text, minutes=options.minutes, seed=seed, limit=options.limit,
                threads=options.threads, **extra,
            )  # fmt: skip
            if not report.finished:
                raise SystemExit("stopped; the same command continues")
            yield {"variant": name, "seed": seed, **counts(run), **scores(options, run)}


def scores(options: argparse.Namespace, run: Path) -> Row:
    """The metrics of a run, from its evaluation, which is made if there is none."""
    folder = run / "evaluation"
    if not (folder / EVALUATION).exists():
        facesmith.evaluate(
            run, options.data, out=folder, samples=options.samples, limit=options.limit, pictures=False, force=True
        )
    (model,) = json.loads((folder / EVALUATION).read_text(encoding="utf-8"))["models"]
    metrics = model["metrics"]
    values = {name: metrics[protocol_name(name, options.samples, EXTRACTOR)]["value"] for name in METRICS}
    return {**values, "face_rate": model["face_rate"]["value"]}


def counts(run: Path) -> Row:
    """The images and steps of a finished run."""
    *_, last = (run / "losses.csv").read_text(encoding="utf-8").split()
    return {"kimg": read_header(run)["seen"] / 1000, "steps": int(last.split(",")[0]) + 1}


def run_folder(out: Path, variant: str, seed: int) -> Path:
    return out / f"{variant.replace(' ', '-')}-seed{seed}"


def write_csv(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)


def print_table(rows: list[Row]) -> None:
    """Print a Markdown table: the mean over the seeds, and their standard deviation."""
    names = COLUMNS[2:]
    print("| " + " | ".join(("variant", *names)) + " |")
    print("|---" * (1 + len(names)) + "|")
    for variant in dict.fromkeys(row["variant"] for row in rows):
        numbers = [[row[name] for row in rows if row["variant"] == variant and name in row] for name in names]
        print("| " + " | ".join((variant, *map(as_text, numbers))) + " |")


def as_text(numbers: list[float]) -> str:
    if not numbers:
        return "not measured"
    deviation = f" ± {stdev(numbers):.2g}" if len(numbers) > 1 else ""
    return f"{mean(numbers):.4g}{deviation}"


if __name__ == "__main__":
    main()

"""From how many faces on is it better to train from scratch than to fine-tune the bundled generator?

For each number of faces and each budget, trains both ways and evaluates both against the test faces of the whole
dataset, which none of the runs sees. Prints a Markdown table. Finished runs and evaluations are kept, so an interrupted
benchmark continues.

Run: python benchmarks/few_faces.py --data lfw128 --out few --counts 300 1000 3000 7000 --minutes 10 30 --threads 2
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

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
    print(f"| faces | minutes | way | kimg | {' | '.join(COLUMNS)} | face rate |")
    print("|---|---|---|---|" + "---|" * (len(COLUMNS) + 1))
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
    cells.append(f"{model['face_rate']['value']:.1%}")
    return f"| {' | '.join(cells)} |"


def facesmith(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "facesmith", *arguments], check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()

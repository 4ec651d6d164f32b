"""How much faster do two processes train than one?

Trains each recipe as one process with one thread, as one process with two threads, and as two processes with one thread
each, which `torchrun` starts. The batch per process is always that of the recipe. The three take turns, so that other
work on the machine affects all. The targets on two idle cores are 1.85 times the speed of one thread, and 1.1 times
that of two threads. Images per second are those between the first and the last checkpoint of a run, including the
checkpoints between them, of which there is one every 20 seconds.

Run on an idle machine: python benchmarks/processes.py [RECIPE ...] [--minutes 1] [--rounds 2]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from facesmith.io.cpus import usable_cpus
from facesmith.procedural import write_faces

FACES = 500
ONE, THREADS, PROCESSES = "one process, one thread", "one process, two threads", "two processes, one thread each"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
COMMANDS = {ONE: ([sys.executable], 1), THREADS: ([sys.executable], 2), PROCESSES: (TORCHRUN, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=["quick", "dcgan64"])
    parser.add_argument("--minutes", type=float, default=1, help="training time of each run")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    print(f"{torch.__version__=}, {usable_cpus()} usable CPUs, load {os.getloadavg()[0]:.1f}", flush=True)
    print("| recipe | " + " | ".join(f"{name}, images/s" for name in COMMANDS) + " | 2 processes : 1 | : 2 threads |")
    print("|---|" + "--:|" * (len(COMMANDS) + 2))
    for recipe in options.recipes:
        speeds: dict[str, list[float]] = {name: [] for name in COMMANDS}
        with tempfile.TemporaryDirectory(prefix="processes-") as folder:
            write_faces(Path(folder) / "faces", FACES)
            for _ in range(options.rounds):
                for name, measured in speeds.items():
                    measured.append(images_per_second(Path(folder), recipe, name, options.minutes))
        gains = [gain(speeds, name) for name in (ONE, THREADS)]
        cells = [f"{statistics.median(measured):.1f}" for measured in speeds.values()]
        print(f"| `{recipe}` | {' | '.join(cells + gains)} |", flush=True)


def gain(speeds: dict[str, list[float]], baseline: str) -> str:
    """The median of the ratios within each round, and their range."""
    ratios = [two / one for two, one in zip(speeds[PROCESSES], speeds[baseline], strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def images_per_second(folder: Path, recipe: str, name: str, minutes: float) -> float:
    python, threads = COMMANDS[name]
    run = folder / "run"
    command = [*python, "-m", "facesmith", "--threads", str(threads), "train", recipe, "--from-scratch"]
    command += ["--data", str(folder / "faces"), "--out", str(run), "--minutes", str(minutes), "--force"]
    finished = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if finished.returncode != 0:
        sys.exit(f"The training failed: {finished.stderr.strip()}")
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return (lines[-1]["seen"] - lines[0]["seen"]) / (lines[-1]["seconds"] - lines[0]["seconds"])


if __name__ == "__main__":
    main()

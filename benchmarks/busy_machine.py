"""Does training suit a machine that someone is using? Measures the choice of threads, and whether budgets are kept.

The machine is idle, then one other process keeps a core busy, then it becomes busy in the middle of a run.

Threads: trains with each fixed number of threads, and with the one that `train` chooses ("auto"). The target is that
auto is at least 0.9 times as fast as the best fixed number. Images per second are those of the second half of a run,
because a run needs two checkpoints to adjust.

Budget: trains with `--minutes`. The target is an end within 10 % of that time, with the final learning rate.

Run on an idle machine: python benchmarks/busy_machine.py [--minutes 3]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from facesmith.io.cpus import usable_cpus
from facesmith.procedural import write_faces

FACES = 500
RECIPE = "quick"
SAVE_EVERY_KIMG = 0.8
MIN_CHECKPOINTS = 4
IDLE, BUSY, BECOMES_BUSY = "idle", "one busy process", "busy from half of the time on"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3, help="of each of the seven runs")
    options = parser.parse_args()
    print(f"{torch.__version__=}, {usable_cpus()} usable CPUs, load {os.getloadavg()[0]:.1f}, {RECIPE}", flush=True)
    with tempfile.TemporaryDirectory(prefix="busy-machine-") as folder:
        data = Path(folder) / "faces"
        write_faces(data, FACES)
        numbers = sorted({1, usable_cpus()})
        print("| machine | threads | images/s | seconds, of those asked for | final learning rate |")
        print("|---|--:|--:|--:|--:|")
        for machine in (IDLE, BUSY, BECOMES_BUSY):
            speeds = {}
            for threads in ("auto",) if machine == BECOMES_BUSY else (*map(str, numbers), "auto"):
                run = Path(folder) / f"{machine} {threads}"
                with load(machine, options.minutes * 60):
                    seconds = train(data, run, threads, options.minutes)
                lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
                speeds[threads] = images_per_second(lines)
                used = lines[-1]["threads"]
                print(
                    f"| {machine} | {threads}{f' ({used})' if threads == 'auto' else ''} | {speeds[threads]:.1f} "
                    f"| {seconds:.0f} of {options.minutes * 60:.0f} | {lines[-1]['lr/G']:.2g} |",
                    flush=True,
                )
            if len(speeds) > 1:
                ratio = speeds["auto"] / max(speed for name, speed in speeds.items() if name != "auto")
                print(f"{machine}: auto is {ratio:.2f} times as fast as the best fixed number", flush=True)


@contextmanager
def load(machine: str, seconds: float) -> Iterator[None]:
    """Keep one core busy by another process, from the start or from half of these seconds on."""
    if machine == IDLE:
        yield
        return
    other = multiprocessing.get_context("spawn").Process(target=compute_forever, daemon=True)
    timer = threading.Timer(0 if machine == BUSY else seconds / 2, other.start)
    timer.start()
    if machine == BUSY:
        time.sleep(3)  # until it computes
    try:
        yield
    finally:
        timer.cancel()
        if other.pid is not None:
            other.kill()


def compute_forever() -> None:
    """Multiply matrices on one thread."""
    torch.set_num_threads(1)
    x = torch.rand(512, 512)
    while True:
        x @ x


def train(data: Path, run: Path, threads: str, minutes: float) -> float:
    """Train, and return the seconds that training took, without preparation."""
    fixed = [] if threads == "auto" else ["--threads", threads]
    command = [sys.executable, "-m", "facesmith", *fixed, "train", RECIPE, "--data", data, "--out", run]
    command += ["--minutes", minutes, "--save-every", SAVE_EVERY_KIMG]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = (run / "log.jsonl").read_text().splitlines()
    return float(json.loads(lines[-1])["seconds"])


def images_per_second(lines: list[dict[str, float]]) -> float:
    """The speed over the second half of the checkpoints."""
    if len(lines) < MIN_CHECKPOINTS:
        sys.exit(f"The run had {len(lines)} checkpoints; {MIN_CHECKPOINTS} are needed. Use more --minutes.")
    start, end = lines[len(lines) // 2 - 1], lines[-1]
    return (end["seen"] - start["seen"]) / (end["seconds"] - start["seconds"])


if __name__ == "__main__":
    main()

"""Does a command lose anything if it is killed at a random moment? Prints the table of docs/reference/safety.md.

Each trial starts a small run of one command, kills it with SIGKILL at one to three random moments, and starts it again
each time. In the end it runs undisturbed. Its files must then be the same, byte by byte, as those of a run that was
never killed. After no kill may there be less saved work than before it.

Not compared: measured times and speeds (fields of log.jsonl, run.json, state.pt and report.json), pictures and pages
that show them (curves.png, report.html), and TensorBoard's files. The pictures and pages must exist.

Run: python benchmarks/kill_anywhere.py [--kills 200] [--seed 0] [--commands train extract evaluate train-inverter]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

# Imported here, so that the child processes, which are forked, need not import them again.
import facesmith.evaluation.evaluate
import facesmith.explore.train_inverter
import facesmith.photos.extract
import facesmith.training.train  # noqa: F401
from facesmith import cli
from facesmith.modelfiles.checkpoint import load_state
from facesmith.photos import journal
from facesmith.procedural import draw_many, write_faces

COMMANDS = ("train", "extract", "evaluate", "train-inverter")
SIZE_PX = 16
FACES, PHOTOS = 400, 160
MAX_KILLS = 3  # of one trial
TIMES = {"seconds", "images_per_second", "memory_mib"}
SHOW_TIMES = ("curves.png", "report.html")
SMALL = ("--set", f"resolution={SIZE_PX}", "--set", "width=4", "--set", "z_dim=8", "--set", "hidden=16", "--batch", "8")


class Tally:
    """What happened to one command in all trials.

    Attributes:
        seconds: that an undisturbed run takes.
        in_time: kills of a process that was still running.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.trials = self.kills = self.in_time = self.losses = self.differences = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="in all, over all commands")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=COMMANDS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="kill-anywhere-") as folder:
        root = Path(folder)
        prepare(root)
        wholes, tallies = {}, {}
        for name in options.commands:
            start = time.monotonic()
            run_to_the_end(root, name, root / f"whole {name}")
            tallies[name] = Tally(time.monotonic() - start)
            wholes[name] = contents(root / f"whole {name}")
        while sum(tally.in_time for tally in tallies.values()) < options.kills:
            name = min(tallies, key=lambda name: tallies[name].in_time)
            trial(root, name, wholes[name], tallies[name], rng)
    header = "command|seconds|trials|kills|kills while it ran|kills that lost work|trials with different files"
    print(f"|{header}|")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, tally in tallies.items():
        print(
            f"| `{name}` | {tally.seconds:.1f} | {tally.trials} | {tally.kills} | {tally.in_time} | {tally.losses} "
            f"| {tally.differences} |"
        )
    sys.exit(any(tally.losses or tally.differences for tally in tallies.values()))


def prepare(root: Path) -> None:
    """Make photos, faces and a small model."""
    write_faces(root / "faces", FACES, SIZE_PX)
    (root / "photos").mkdir()
    for i, pixels in enumerate(draw_many(range(PHOTOS), 48)):
        Image.fromarray(np.asarray(pixels)).save(root / "photos" / f"{i:03d}.png")
    training = ["train", "quick", "--data", root / "faces", "--kimg", "0.08", *SMALL]
    finish(start(root, [*training, "--out", root / "model"], root / "first"), root / "first")


def arguments(root: Path, name: str, out: Path) -> list[object]:
    """The command of a trial, which writes to the folder `out`."""
    budget = ("--kimg", "0.24", "--save-every", "0.08", "--snapshots", "2", "--precision", "float32")
    return {
        "train": ["train", "quick", "--data", root / "faces", "--out", out / "run", *budget, *SMALL],
        "extract": ["extract", root / "photos", "--out", out / "faces", "--crop", "48", "--size", "32"],
        "evaluate": [
            *("evaluate", "--model", root / "model", "--data", root / "faces", "--samples", "200"),
            *("--out", out / "evaluation"),
        ],
        "train-inverter": ["train-inverter", "--model", out / "model", "--data", root / "faces", "--kimg", "0.08"],
    }[name]


def start(root: Path, command: list[object], out: Path) -> int:
    """Start a command in a child process, with an own cache in `out`, and return the process id."""
    out.mkdir(exist_ok=True)
    child = os.fork()
    if child:
        return child
    log = os.open(out / "output.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["FACESMITH_CACHE"] = str(out / "cache")
    sys.argv = ["facesmith", "--threads", "1", *map(str, command)]
    code = 1
    try:
        cli.main()
        code = 0
    except SystemExit as exit:
        code = int(exit.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def finish(child: int, out: Path) -> None:
    """Wait for a command, which must succeed."""
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"The command failed with status {status}:\n{(out / 'output.txt').read_text()}")


def make_folder(root: Path, name: str, out: Path) -> None:
    out.mkdir()
    if name == "train-inverter":  # writes next to the model
        (out / "model").mkdir()
        shutil.copy(root / "model" / "model.safetensors", out / "model")


def run_to_the_end(root: Path, name: str, out: Path) -> None:
    if not out.exists():
        make_folder(root, name, out)
    finish(start(root, arguments(root, name, out), out), out)


def trial(root: Path, name: str, whole: dict[str, Any], tally: Tally, rng: random.Random) -> None:
    """Kill a command at random moments, finish it, and compare its files with those of the run `whole`."""
    out = root / "trial"
    make_folder(root, name, out)
    tally.trials += 1
    moments = [rng.uniform(0, tally.seconds) for _ in range(rng.randint(1, MAX_KILLS))]
    saved = 0
    for moment in moments:
        child = start(root, arguments(root, name, out), out)
        seconds = run_for(child, moment)
        is_running = seconds is None
        tally.kills += 1
        if is_running:
            tally.in_time += 1
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        before, saved = saved, saved_work(name, out)
        if saved < before:
            tally.losses += 1
            print(f"{name}: {before} before a kill at {moment:.2f} s, {saved} after it", file=sys.stderr)
        if seconds is not None:
            tally.seconds = seconds  # later moments are chosen within this time: the machine may be less busy now
            break
    if contents(out) != whole:
        run_to_the_end(root, name, out)
    found = contents(out)
    if found != whole:
        tally.differences += 1
        names = sorted(each for each in found.keys() | whole.keys() if found.get(each) != whole.get(each))
        print(f"{name}: after kills at {moments}, these files differ: {', '.join(names)}", file=sys.stderr)
    print(f"{name}: {vars(tally)}", file=sys.stderr, flush=True)
    shutil.rmtree(out)


def run_for(child: int, seconds: float) -> float | None:
    """Let a process run for a time. Returns the seconds that it took if it ended before, else None."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        if os.waitpid(child, os.WNOHANG)[0]:
            return passed
        time.sleep(0.002)
    return None


def saved_work(name: str, out: Path) -> int:
    """How much of a command's work is on the disk: images, photos or finished files."""
    if name == "train":
        return int(load_state(out / "run" / "state.pt")["seen"]) + 1 if (out / "run" / "state.pt").exists() else 0
    if name == "extract":
        if (out / "faces" / "faces.json").exists():
            return PHOTOS
        return sum(record.n_photos for record in journal.records(out / "faces"))
    return sum((out / file).exists() for file in ("evaluation/report.json", "model/inversion.safetensors"))


def contents(out: Path) -> dict[str, Any]:
    """The content of each file by name; times are left out (see above)."""
    result: dict[str, Any] = {}
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        name = str(path.relative_to(out))
        if name.startswith("cache") or "tensorboard" in name or path.name in ("output.txt", ".lock", ".extract.lock"):
            continue
        if path.name in SHOW_TIMES:
            result[name] = path.stat().st_size > 0
        elif path.name == "state.pt":
            result[name] = comparable({key: value for key, value in load_state(path).items() if key not in TIMES})
        elif path.suffix in (".json", ".jsonl"):
            lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
            result[name] = [without_times(json.loads(line)) for line in lines]
        else:
            result[name] = path.read_bytes()
    return result


def without_times(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name.rpartition("/")[2] not in TIMES}


def comparable(value: object) -> object:
    """A value in which tensors are replaced by their shape and bytes."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape), value.contiguous().flatten().view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return {key: comparable(each) for key, each in value.items()}
    return [comparable(each) for each in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    main()

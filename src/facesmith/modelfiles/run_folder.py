"""Names of the files in a run folder, and the run's log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeGuard

from facesmith.io.files import atomic_write

MAX_LOGGED = 1e300  # also excludes NaN, infinity and integers that no float can hold

PLAN = "run.json"
LOCK = ".lock"
STATE = "state.pt"
HEALTHY_STATE = "state-healthy.pt"  # the last state without problems, for --on-trouble rollback
MODEL = "model.safetensors"
BEST = "best.safetensors"  # the model with the best validation score so far
SNAPSHOTS = "snapshots"
NETWORKS = "networks"  # beside each snapshot: all networks with their current weights
LOG = "log.jsonl"
LOSSES = "losses.csv"  # of every step
SHEETS, SHEET = "samples", "samples.png"  # contact sheets of fixed seeds: one per checkpoint, and the latest
RECIPE_SHEETS = "shown"  # images that the recipe's objective logs
CURVES = "curves.png"
SCORES = "scores.png"
RECONSTRUCTION_PAIRS = "reconstructions.png"  # photos above their reconstructions, from the latest checkpoint
RECONSTRUCTIONS = "reconstructions"  # reconstructions of the same photos, one sheet per checkpoint
REPORT = "report.html"
TENSORBOARD = "tensorboard"
RUN_FOLDERS = ("", SNAPSHOTS, NETWORKS, SHEETS, RECIPE_SHEETS, RECONSTRUCTIONS)
# Everything that a run writes; --force deletes these from the last to the first, and nothing else.
RUN_FILES = (
    *(PLAN, STATE, HEALTHY_STATE, MODEL, BEST, SNAPSHOTS, NETWORKS, LOG, LOSSES, SHEETS, SHEET, RECIPE_SHEETS),
    *(CURVES, SCORES, RECONSTRUCTION_PAIRS, RECONSTRUCTIONS, REPORT, TENSORBOARD),
)


def ways_on(run: Path) -> str:
    """What to do about a run that can't be resumed. Its model may be intact, and --force would delete it."""
    if not (run / MODEL).is_file():
        return "Start the run over with --force."
    return (
        f"To keep what the run has learned, copy its {MODEL} to another folder and fine-tune the copy with --from. "
        "Then start the run over with --force."
    )


def sheets(run: Path, folder: str = SHEETS) -> list[Path]:
    """The contact sheets of a run in order, one per checkpoint. Files whose names are not numbers are ignored."""
    return sorted(path for path in (run / folder).glob("*.png") if path.stem.isdecimal() and path.is_file())


def read_log(log: Path) -> tuple[list[dict[str, Any]], int]:
    """Read a log: its lines in the order of images seen, and the number of damaged lines, which are skipped."""
    if not log.is_file():
        return [], 0
    texts = log.read_text(encoding="utf-8", errors="replace").split("\n")
    lines = [line for text in texts if (line := _parse_line(text)) is not None]
    return sorted(lines, key=lambda line: line["seen"]), sum(map(bool, texts)) - len(lines)


def _parse_line(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
        return line if type(line["seen"]) is int and 0 <= line["seen"] < 2**63 else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def write_log(log: Path, lines: list[dict[str, Any]]) -> None:
    """Replace a log by these lines."""
    with atomic_write(log, "w") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in lines)


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value read from a log is a finite number of a size that charts can draw."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_LOGGED

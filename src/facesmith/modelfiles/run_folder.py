"""The files in a run folder: their names, and the log of the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from facesmith.io.files import atomic_write

PLAN = "run.json"
LOCK = ".lock"
STATE = "state.pt"
HEALTHY_STATE = "state-healthy.pt"  # the last state without problems, for --on-trouble rollback
MODEL = "model.safetensors"
BEST = "best.safetensors"  # the best model of the run by its validation split
SNAPSHOTS = "snapshots"
LOG = "log.jsonl"
SHEETS, SHEET = "samples", "samples.png"
RECIPE_SHEETS = "shown"  # pictures that a recipe logs itself
CURVES = "curves.png"
SCORES = "scores.png"
RECONSTRUCTION_PAIRS, RECONSTRUCTIONS = "reconstructions.png", "reconstructions"
REPORT = "report.html"
TENSORBOARD = "tensorboard"
RUN_FILES = (
    *(
        PLAN,
        STATE,
        HEALTHY_STATE,
        MODEL,
        BEST,
        SNAPSHOTS,
        LOG,
        SHEETS,
        SHEET,
        RECIPE_SHEETS,
        CURVES,
        SCORES,
        RECONSTRUCTION_PAIRS,
        RECONSTRUCTIONS,
    ),
    *(REPORT, TENSORBOARD),
)


def sheets(run: Path, folder: str = SHEETS) -> list[Path]:
    """The sheets of a run, one a save, in order; pictures of other names are not ours."""
    return sorted(path for path in (run / folder).glob("*.png") if path.stem.isdecimal())


def read_log(log: Path) -> tuple[list[dict[str, Any]], int]:
    """The lines of a log in the order of images seen, and how many others are damaged: no reason not to go on."""
    if not log.is_file():
        return [], 0
    texts = log.read_text(encoding="utf-8", errors="replace").split("\n")
    lines = [line for text in texts if (line := _line(text)) is not None]
    return sorted(lines, key=lambda line: line["seen"]), sum(map(bool, texts)) - len(lines)


def _line(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
        return line if type(line["seen"]) is int and 0 <= line["seen"] < 2**63 else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def write_log(log: Path, lines: list[dict[str, Any]]) -> None:
    with atomic_write(log, "w") as stream:
        stream.writelines(json.dumps(line) + "\n" for line in lines)

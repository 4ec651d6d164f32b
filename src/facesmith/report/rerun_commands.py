"""The command lines that do a run again, and that show its faces."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facesmith.training.plan import Plan

WIDEST = 76


def train_command(plan: Plan, values: Mapping[str, Any], out: Path) -> str:
    """Trains the same run again: with every value, since defaults may change, and a budget in images."""
    words = [f"facesmith train {plan.recipe}", f"--data {shlex.quote(plan.data)}", f"--out {shlex.quote(str(out))}"]
    words += [f"--kimg {kimg_text(plan.budget)}", f"--save-every {kimg_text(plan.save_every)}", f"--seed {plan.seed}"]
    words += [f"--from {shlex.quote(plan.finetuned_from['model'])}"] if plan.finetuned_from else []
    words += [f"--limit {plan.limit}"] if plan.limit is not None else []
    words += [] if plan.mirror else ["--no-mirror"]
    words += [f"--precision {plan.precision}", f"--device {plan.device}", f"--threads {plan.threads}"]
    words += [f"--on-trouble {plan.on_trouble}"] if plan.on_trouble != "warn" else []
    words += [f"--eval-every {plan.validation['kimg']:g}"] if plan.validation else []
    words += [f"--set {shlex.quote(f'{name}={_text(held)}')}" for name, held in values.items()]
    return _wrapped(words)


def show_commands(run: Path) -> str:
    """Draw faces of the model, walk between them, and make the film of its progress."""
    model = shlex.quote(str(run))
    return "\n".join(
        (
            f"facesmith sample --model {model} --seeds 0-63 --out faces.png",
            f"facesmith walk --model {model} --out walk.mp4",
            f"facesmith film {model} --out progress.mp4",
        )
    )


def kimg_text(images: int) -> str:
    """Thousands of images, all digits."""
    return f"{images / 1000:.15g}"


def _text(held: Any) -> str:
    """A value as `--set` reads it."""
    if isinstance(held, bool):
        return "true" if held else "false"
    return ",".join(map(_text, held)) if isinstance(held, list | tuple) else str(held)


def _wrapped(words: list[str]) -> str:
    """Words as one command over several lines."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) > WIDEST:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {word}"
    return "\n".join(lines)

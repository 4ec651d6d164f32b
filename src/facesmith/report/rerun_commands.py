"""The commands that reproduce a run and show its faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facesmith.io.commands import quoted, wrapped
from facesmith.training.plan import Plan


def is_exact(plan: Plan, log: Sequence[Mapping[str, Any]]) -> bool:
    """Whether `train_command` gives the identical model: one process on a CPU, whose budget and threads never changed.

    A budget in minutes may have changed at the first checkpoint, before anything was logged.
    """
    settings = {(line["budget"], line["threads"]) for line in log if "budget" in line and "threads" in line}
    is_reproducible = plan.processes == 1 and plan.device == "cpu" and "minutes" not in plan.budget_request
    return is_reproducible and settings <= {(plan.budget, plan.threads)}


def train_command(plan: Plan, hyperparameters: Mapping[str, Any], out: Path) -> str:
    """The command that trains a run again, into the folder `out`.

    It states every hyperparameter, since defaults may change, and the budget in kimg.
    """
    program = "facesmith" if plan.processes == 1 else f"torchrun --nproc-per-node {plan.processes} -m facesmith"
    parts = [f"{program} train {plan.recipe}", f"--data {quoted(plan.data)}", f"--out {quoted(out)}"]
    parts += [f"--kimg {kimg_text(plan.budget)}", f"--save-every {kimg_text(plan.save_every)}", f"--seed {plan.seed}"]
    parts += [f"--from {quoted(plan.finetuned_from['model'])}"] if plan.finetuned_from else []
    parts += [f"--limit {plan.limit}"] if plan.limit is not None else []
    parts += [] if plan.mirror else ["--no-mirror"]
    parts += [] if plan.average else ["--no-average"]
    parts += [] if plan.hold_out else ["--no-hold-out"]
    parts += [f"--precision {plan.precision}", f"--device {plan.device}", f"--threads {plan.threads}"]
    parts += [f"--on-trouble {plan.on_trouble}"] if plan.on_trouble != "warn" else []
    parts += [f"--validate-every {plan.validation['kimg']:g}"] if plan.validation else []
    parts += [f"--set {quoted(f'{name}={_option_text(value)}')}" for name, value in hyperparameters.items()]
    return wrapped(parts)


def show_commands(run: Path) -> str:
    """The commands that draw faces, walk between them, and make the film of the training."""
    model = quoted(run)
    return "\n".join(
        (
            f"facesmith sample --model {model} --seeds 0-63 --out faces.png",
            f"facesmith walk --model {model} --out walk.mp4",
            f"facesmith film {model} --out progress.mp4",
        )
    )


def kimg_text(images: int) -> str:
    """A number of images in thousands, with all digits."""
    return f"{images / 1000:.15g}"


def _option_text(value: Any) -> str:
    """A hyperparameter as `--set` reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(_option_text, value)) if isinstance(value, list | tuple) else str(value)

"""Commands to try Facesmith on a machine: demo and info."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import Force, app, console, show


@app.command()
def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The folder for all results.")] = Path("demo"),
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 3.0,
    force: Force = False,
) -> None:
    """Run the whole pipeline in a few minutes, without photos.

    The bundled generator draws faces, and a new generator is trained on them.
    """
    from facesmith.demo import demo

    for line in demo(out, minutes=minutes, force=force, threads=context.obj, console=console):
        show(line)


@app.command()
def info() -> None:
    """Show version, devices, precision, training speed, weights, free memory and free disk space."""
    from facesmith.info import info

    for line in info(console):
        show(line)

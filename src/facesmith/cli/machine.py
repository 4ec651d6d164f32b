"""The whole way without photos, and what this machine can do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import Force, app, console


@app.command()
def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="A folder for faces, run, sheet and film.")] = Path("demo"),
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 3.0,
    force: Force = False,
) -> None:
    """Do the main job without any photos: faces of the generator that ships, and one that learns from them."""
    from facesmith.demo import demo

    for line in demo(out, minutes=minutes, force=force, threads=context.obj, console=console):
        typer.echo(line)


@app.command()
def info() -> None:
    """Show version, devices, precision, speed, weights, free memory and disk."""
    from facesmith.info import info

    for line in info(console):
        typer.echo(line)

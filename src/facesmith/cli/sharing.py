"""Models that travel: to programs without torch, to other people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import Force, ModelPath, app, console


@app.command()
def export(
    onnx: Annotated[Path, typer.Option(help="The file to write, an .onnx.")] = Path("model.onnx"),
    model: ModelPath = None,
    license: Annotated[
        str | None, typer.Option(help="The model's licence in words, to travel in the file; by default its card's.")
    ] = None,
    force: Force = False,
) -> None:
    """Write a model as ONNX, to draw from it without torch; checked against torch first.

    Example: facesmith export --model runs/first --onnx model.onnx
    """
    from facesmith.onnx.export import export

    for line in export(model, onnx, licence=license, force=force, console=console):
        typer.echo(line)

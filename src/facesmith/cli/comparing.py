"""The command that shows several models side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import (
    Certificates,
    Force,
    NoWatermark,
    SigningKey,
    WatermarkKey,
    app,
    console,
    fetch_models,
    marking,
    show,
)


@app.command()
def compare(
    models: Annotated[
        list[Path],
        typer.Argument(callback=fetch_models, help="Run folders, model.safetensors files or hf://user/name."),
    ],
    out: Annotated[Path, typer.Option(help="A folder for the pictures.")] = Path("comparison"),
    seeds: Annotated[str, typer.Option(help="Faces that each model draws: 3 or 0-15 or 1,4,7-9.")] = "0-7",
    data: Annotated[
        Path | None, typer.Option(help="Faces: also reconstruct held-out ones, with models that have an encoder.")
    ] = None,
    faces: Annotated[int, typer.Option(min=1, max=1000, help="How many faces to reconstruct.")] = 8,
    columns: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="Arrange the faces of each model in N columns. Default: one row of up to 32."
        ),
    ] = None,
    gap: Annotated[int, typer.Option(min=0, max=64, help="White pixels between the faces.")] = 2,
    titles: Annotated[
        str | None, typer.Option(help="Titles of the models, separated by commas. Default: their names.")
    ] = None,
    no_watermark: NoWatermark = False,
    watermark_key: WatermarkKey = None,
    sign: Certificates = None,
    key: SigningKey = None,
    force: Force = False,
) -> None:
    """Compare models or runs: the same seeds, the same faces reconstructed, and discriminator accuracies.

    Example: facesmith compare runs/vae runs/vaegan --data faces

    Sheets of 10x10: facesmith compare runs/vae runs/vaegan --data faces --faces 100 --columns 10
    """
    from facesmith.explore.compare import CompareOptions, compare
    from facesmith.io.seeds import parse_seeds

    names = [title.strip() for title in titles.split(",")] if titles is not None else []
    marks = marking(no_watermark, sign, key, watermark_key)
    options = CompareOptions(models, out, parse_seeds(seeds), names, data, faces, force, marks, columns, gap)
    for path in compare(options, console):
        show(path)

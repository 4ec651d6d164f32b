"""Attribute directions, and edits along them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import (
    Certificates,
    Conditions,
    Force,
    ModelPath,
    NoWatermark,
    Psi,
    Scale,
    SigningKey,
    WatermarkKey,
    app,
    console,
    marking,
    show,
)
from facesmith.errors import BadOption


@app.command()
def directions(
    model: ModelPath = None,
    data: Annotated[
        Path | None, typer.Option(help="Labeled faces: a folder or zip with a label table, such as metadata.csv.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for directions.safetensors and its contact sheet. Default: the model's.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="supervised; means (recipes with an encoder); or, without labels, pca or sefa.")
    ] = "supervised",
    attributes: Annotated[
        str | None,
        typer.Option(
            help="Only these columns: smiling,eyeglasses. Default: those that the classifier recognizes best."
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(help="Columns that edits must not change. Default: sex, age, hair color and glasses."),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=0, help="Steps of refinement through the generator; 0 keeps the linear fit.")
    ] = 400,
    no_watermark: NoWatermark = False,
    watermark_key: WatermarkKey = None,
    sign: Certificates = None,
    key: SigningKey = None,
    force: Force = False,
) -> None:
    """Learn attribute directions (smiling, eyeglasses, ...) from labeled faces.

    A classifier learns the labels, then labels generated faces. A linear fit gives the directions, which are refined
    and scaled: at strength 1 the attribute is clearly visible.

    Example: facesmith directions --model runs/first --data celeba.zip
    """
    from facesmith.directions.direction_options import DirectionOptions
    from facesmith.directions.find import find_directions

    def split(text: str | None) -> list[str] | None:
        return None if text is None else [name for name in text.split(",") if name.strip()]

    if split(attributes) == []:
        raise BadOption("--attributes is empty. Leave it out for the default, or name columns: smiling,male.")
    options = DirectionOptions(
        model, data, out, method, split(attributes), split(keep), steps, force=force,
        marking=marking(no_watermark, sign, key, watermark_key),
    )  # fmt: skip
    for line in find_directions(options, console):
        show(line)


@app.command()
def edit(
    edits: Annotated[
        list[str], typer.Option("--edit", help="A direction and its strength, such as smiling=1; repeatable.")
    ],
    model: ModelPath = None,
    seeds: Annotated[
        str, typer.Option(help="Which faces: seeds such as 3 or 0-15 or 1,4,7-9, and latent files.")
    ] = "0-15",
    out: Annotated[Path, typer.Option(help="The contact sheet, a .png.")] = Path("edited.png"),
    steps: Annotated[int, typer.Option(min=1, max=32, help="Pictures from before to after.")] = 3,
    film: Annotated[
        Path | None, typer.Option(help="Also write a film of the edit, forward and back: .mp4 or .gif.")
    ] = None,
    directions: Annotated[
        Path | None, typer.Option(help="Directions file. Default: directions.safetensors next to the model.")
    ] = None,
    psi: Psi = 1.0,
    conditions: Conditions = None,
    scale: Scale = None,
    no_watermark: NoWatermark = False,
    watermark_key: WatermarkKey = None,
    sign: Certificates = None,
    key: SigningKey = None,
    force: Force = False,
) -> None:
    """Change attributes of faces and show them before, in between and after.

    Example: facesmith edit --seeds 0-15 --edit smiling=1 --edit eyeglasses=-1
    """
    from facesmith.explore.edit import EditOptions, edit
    from facesmith.io.attribute_options import parse_condition_values
    from facesmith.latent.edits import parse_edits

    condition = parse_condition_values(conditions or [])
    options = EditOptions(
        model,
        seeds,
        parse_edits(edits),
        out,
        steps,
        film,
        directions,
        psi,
        scale,
        force,
        condition,
        marking(no_watermark, sign, key, watermark_key),
    )
    for path in edit(options, console):
        show(path)

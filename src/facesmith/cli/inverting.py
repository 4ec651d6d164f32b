"""Photos of people and a generator: an encoder for it, the latents of faces, faces back in their photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import Data, Force, ModelPath, Psi, app, console


@app.command("train-inverter")
def train_inverter(
    data: Data,
    model: ModelPath = None,
    kimg: Annotated[float, typer.Option(min=0.001, help="Thousands of real faces to be shown, and of samples.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives another encoder.")] = 0,
    force: Force = False,
) -> None:
    """Train the encoder that lets invert find faces in a model, and learn how its faces are framed.

    Example: facesmith train-inverter --model runs/first --data faces
    """
    from facesmith.explore.train_inverter import train_inverter as train_encoder

    for line in train_encoder(model, data, kimg=kimg, seed=seed, force=force, console=console):
        typer.echo(line)


@app.command()
def invert(
    pictures: Annotated[list[Path], typer.Argument(help="Photos with faces; folders and zips of them.")],
    model: ModelPath = None,
    out: Annotated[Path, typer.Option(help="A .png for the sheet, or me.latent for one face.")] = Path("inverted.png"),
    latents: Annotated[Path | None, typer.Option(help="A folder for latent files, one for each face.")] = None,
    edit: Annotated[list[str] | None, typer.Option(help="Change the face: smiling=1. Repeatable.")] = None,
    paste: Annotated[Path | None, typer.Option(help="Photos with the new face in them: a .png, or a folder.")] = None,
    face: Annotated[int, typer.Option(min=1, help="Which face of a photo: 1 is the largest.")] = 1,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The pictures are faces framed like the model's; look for none.")
    ] = False,
    psi: Psi = 1.0,
    quick: Annotated[bool, typer.Option("--quick", help="The encoder's guess is enough.")] = False,
    force: Force = False,
) -> None:
    """Find a photo's face in a model, and tell how near it comes. Its latent file stands wherever a seed does.

    Example: facesmith invert --model runs/first me.jpg --out me.latent
    """
    from facesmith.explore.invert import InvertOptions, invert

    options = InvertOptions(face, aligned, not quick, tuple(edit or ()), latents, paste, psi)
    for line in invert(model, pictures, out, options, force=force, console=console):
        typer.echo(line)

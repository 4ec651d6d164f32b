"""Photos and a generator: train an inversion encoder, find the latents of faces, put edited faces back into photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import (
    Certificates,
    Data,
    Force,
    ModelPath,
    NoWatermark,
    Psi,
    SigningKey,
    WatermarkKey,
    app,
    console,
    fetch_model,
    marking,
    show,
)


@app.command("train-inverter")
def train_inverter(
    data: Data,
    model: Annotated[
        Path,
        typer.Option(
            callback=fetch_model, help="A run folder or a model.safetensors. The encoder is written next to it."
        ),
    ],
    kimg: Annotated[
        float, typer.Option(min=0.001, help="Thousands of real faces to train on, with as many generated ones.")
    ] = 20,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Another seed gives another encoder.")] = 0,
    force: Force = False,
) -> None:
    """Train the encoder that invert needs, and find out how the model's faces are aligned.

    Example: facesmith train-inverter --model runs/first --data faces
    """
    from facesmith.explore.train_inverter import train_inverter as train_encoder

    for line in train_encoder(model, data, kimg=kimg, seed=seed, force=force, console=console):
        show(line)


@app.command()
def invert(
    pictures: Annotated[list[Path], typer.Argument(help="Photos with faces; or folders and zips of photos.")],
    model: ModelPath = None,
    out: Annotated[
        Path, typer.Option(help="A .png for a sheet of reconstructions, or a .latent file for a single face.")
    ] = Path("inverted.png"),
    latents: Annotated[Path | None, typer.Option(help="Folder for latent files, one per face.")] = None,
    edit: Annotated[
        list[str] | None, typer.Option(help="Edit the reconstructions, such as smiling=1; repeatable.")
    ] = None,
    paste: Annotated[
        Path | None, typer.Option(help="Write photos with the new face in them: a .png for one photo, or a folder.")
    ] = None,
    face: Annotated[int, typer.Option(min=1, help="Which face of a photo: 1 is the largest.")] = 1,
    aligned: Annotated[
        bool, typer.Option("--aligned", help="The pictures are faces aligned like the model's; don't search for faces.")
    ] = False,
    psi: Psi = 1.0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Skip the optimization and use the encoder's guess: faster, less similar.")
    ] = False,
    no_watermark: NoWatermark = False,
    watermark_key: WatermarkKey = None,
    sign: Certificates = None,
    key: SigningKey = None,
    force: Force = False,
) -> None:
    """Find the latent that reproduces a photo's face, and print how similar the reconstruction is.

    A latent file can be used wherever a seed can: facesmith edit --seeds me.latent --edit smiling=1

    Example: facesmith invert --model runs/first me.jpg --out me.latent
    """
    from facesmith.explore.invert import InvertOptions, invert

    marks = marking(no_watermark, sign, key, watermark_key)
    options = InvertOptions(face, aligned, not quick, tuple(edit or ()), latents, paste, psi, marks)
    for line in invert(model, pictures, out, options, force=force, console=console):
        show(line)

"""Faces from a generator: drawn, walked between, added up, found again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import Force, ModelPath, Psi, Scale, app, console, given
from facesmith.errors import BadOption


@app.command()
def sample(
    context: typer.Context,
    model: ModelPath = None,
    out: Annotated[Path, typer.Option(help="A .png for one sheet, or a folder for single faces.")] = Path("faces.png"),
    seeds: Annotated[str, typer.Option(help="Which faces: 3 or 0-15 or 1,4,7-9.")] = "0-63",
    psi: Psi = 1.0,
    conditions: Annotated[
        list[str] | None,
        typer.Option("--given", help="Of a model trained with --condition: smiling=1 or smiling=1,male=0; repeatable."),
    ] = None,
    like: Annotated[Path | None, typer.Option(help="Draw again what this picture of ours shows.")] = None,
    force: Force = False,
) -> None:
    """Draw one face per seed. The same model, seed and psi always give the same face."""
    if like is not None and {"seeds", "psi", "conditions"} & given(context):
        raise BadOption("--like takes all from the picture; leave out --seeds, --psi and --given.")
    from facesmith.conditions import parse_given
    from facesmith.latent import parse_seeds
    from facesmith.sample import sample, sample_like

    asked_for = parse_given(conditions or [])
    paths = (
        sample(model, parse_seeds(seeds), out, psi=psi, given=asked_for, force=force, console=console)
        if like is None
        else sample_like(model, like, out, force=force, console=console)
    )
    for path in paths:
        typer.echo(path)


@app.command()
def walk(
    context: typer.Context,
    model: ModelPath = None,
    out: Annotated[Path, typer.Option(help="The film, an .mp4 or .gif.")] = Path("walk.mp4"),
    seeds: Annotated[str | None, typer.Option(help="The faces on the way: 3,17,40 or 0-15.")] = None,
    random: Annotated[int, typer.Option(min=2, max=10_000, help="So many random faces instead, on each walk.")] = 6,
    seed: Annotated[int, typer.Option(help="Another seed chooses other random faces.")] = 0,
    grid: Annotated[str, typer.Option(help="Walks side by side: columns x rows.")] = "1x1",
    closed: Annotated[
        bool, typer.Option("--closed/--open", help="Return to the first face, or end at the last one.")
    ] = True,
    linear: Annotated[
        bool, typer.Option("--linear", help="Walk on straight lines, not on the latents' sphere.")
    ] = False,
    seconds: Annotated[float | None, typer.Option(help="Length; by default 2 from face to face.")] = None,
    fps: Annotated[int, typer.Option(min=1, max=120, help="Frames a second.")] = 25,
    scale: Scale = None,
    psi: Psi = 1.0,
    gif: Annotated[bool, typer.Option("--gif", help="Write a .gif beside the film, too.")] = False,
    force: Force = False,
) -> None:
    """Make a film that walks through the latent space, from face to face.

    Example: facesmith walk --model runs/first --random 8 --grid 4x2 --gif
    """
    if seeds is not None and {"random", "seed"} & given(context):
        raise BadOption("--seeds names the faces; leave out --random and --seed.")
    from facesmith.latent import parse_seeds, random_seeds
    from facesmith.walk import Way, parse_grid, walk

    size = parse_grid(grid)
    chosen = parse_seeds(seeds) if seeds is not None else random_seeds(random * size[0] * size[1], seed)
    way = Way(chosen, size, closed, linear, seconds, fps, psi)
    outs = [out, out.with_suffix(".gif")] if gif and out.suffix.lower() != ".gif" else [out]
    for path in walk(model, way, outs, scale=scale, force=force, console=console):
        typer.echo(path)


@app.command()
def mix(
    terms: Annotated[str, typer.Argument(help="A sum of seeds in quotes: '29 - 3 + 34' or '0.5*29 + 0.5*3'.")],
    model: ModelPath = None,
    out: Annotated[Path, typer.Option(help="The sheet, a .png.")] = Path("mix.png"),
    plain: Annotated[bool, typer.Option("--plain", help="Leave the sum as long as it is.")] = False,
    layers: Annotated[
        str | None,
        typer.Option(help="No sum: the first face with these layers of the second, such as 0-1; 0 is the coarsest."),
    ] = None,
    scale: Scale = None,
    psi: Psi = 1.0,
    force: Force = False,
) -> None:
    """Add and subtract faces: the terms and their sum, side by side.

    Example: facesmith mix "29 - 3 + 34"
    """
    if plain and layers is not None:
        raise BadOption("--layers adds nothing up, so it can't go with --plain.")
    from facesmith.mix import mix

    typer.echo(mix(model, terms, out, psi=psi, plain=plain, layers=layers, scale=scale, force=force))


@app.command()
def invert(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures of faces; folders and zips of them.")],
    model: Annotated[Path, typer.Option(help="A run folder or a model.safetensors, of a recipe with an encoder.")],
    out: Annotated[Path, typer.Option(help="The sheet, a .png.")] = Path("inverted.png"),
    force: Force = False,
) -> None:
    """Reconstruct pictures through a model's encoder, and tell how well.

    Example: facesmith invert --model runs/vae me.png you.png
    """
    from facesmith.invert import invert

    for line in invert(model, pictures, out, force=force, console=console):
        typer.echo(line)

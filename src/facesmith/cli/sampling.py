"""Draw faces from a generator: samples, walks through the latent space, sums of faces."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from facesmith.cli.shared import (
    MODEL_HELP,
    Certificates,
    Conditions,
    Force,
    ModelPath,
    NoWatermark,
    Psi,
    Quality,
    Scale,
    SigningKey,
    WatermarkKey,
    app,
    console,
    explicit_options,
    fetch_model,
    marking,
    show,
)
from facesmith.errors import BadOption

if TYPE_CHECKING:
    from facesmith.explore.sample import SamplingModel

SPARE_SEEDS = 20


@app.command()
def sample(
    context: typer.Context,
    model: Annotated[Path | None, typer.Option(callback=fetch_model, help=f"{MODEL_HELP} Or a model.onnx.")] = None,
    out: Annotated[
        Path, typer.Option(help="A .png or .jpg for a contact sheet, or a folder for one PNG per face.")
    ] = Path("faces.png"),
    seeds: Annotated[str, typer.Option(help="Which faces: 3 or 0-15 or 1,4,7-9.")] = "0-63",
    psi: Psi = 1.0,
    conditions: Conditions = None,
    prior: Annotated[
        Literal["own", "normal"],
        typer.Option(help="Draw latents from the model's own distribution, or from N(0, 1) as texts on VAEs do."),
    ] = "own",
    quality: Quality = False,
    like: Annotated[
        Path | None, typer.Option(help="Draw the faces of this picture again, from the seeds in its metadata.")
    ] = None,
    columns: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Columns of the sheet. Default: about as many as rows.")
    ] = None,
    gap: Annotated[int, typer.Option(min=0, max=64, help="White pixels between the faces of the sheet.")] = 2,
    scale: Annotated[int, typer.Option(min=1, max=32, help="Enlarge each face N times, after it was drawn.")] = 1,
    filter: Annotated[
        str, typer.Option(help="How --scale enlarges: nearest (blocks), bilinear, bicubic or lanczos.")
    ] = "nearest",
    no_watermark: NoWatermark = False,
    watermark_key: WatermarkKey = None,
    sign: Certificates = None,
    key: SigningKey = None,
    force: Force = False,
) -> None:
    """Draw one face per seed. The same model, seed and psi always give the same face.

    Example: facesmith sample --seeds 0-15 --out faces.png

    A sheet of 8 rows without gaps: facesmith sample --seeds 0-127 --columns 16 --gap 0 --scale 2
    """
    if like is not None and {"seeds", "psi", "conditions", "prior", "quality"} & explicit_options(context):
        raise BadOption(
            "--like reads all this from the picture; leave out --seeds, --psi, --condition, --prior and --quality."
        )
    from facesmith.explore.sample import sample as sample_faces
    from facesmith.explore.sample import sample_like
    from facesmith.io.attribute_options import parse_condition_values
    from facesmith.io.seeds import parse_seeds
    from facesmith.pictures.sheet_layout import SheetLayout, parse_filter

    condition = parse_condition_values(conditions or [])
    layout: dict[str, Any] = {"columns": columns, "gap_px": gap, "scale": scale, "filter": parse_filter(filter)}
    requested = {name for name in layout if name.removesuffix("_px") in explicit_options(context)}
    marks = marking(no_watermark, sign, key, watermark_key)
    open_model = _opener(model, context.obj)
    paths = (
        sample_faces(
            open_model,
            parse_seeds(seeds),
            out,
            psi=psi,
            condition=condition,
            normal_prior=prior == "normal",
            quality=quality,
            layout=SheetLayout(**layout),
            marking=marks,
            force=force,
            console=console,
        )
        if like is None
        else sample_like(
            open_model,
            like,
            out,
            layout={name: layout[name] for name in requested},
            marking=marks,
            force=force,
            console=console,
        )
    )
    for path in paths:
        show(path)


def _opener(model: Path | None, threads: int | None) -> Callable[[], SamplingModel]:
    """Return a function that opens the model; an ONNX file is opened without importing torch."""
    if model is not None and model.suffix.lower() == ".onnx":
        from facesmith.export.run_onnx import load as load_onnx

        return lambda: load_onnx(model, threads)
    from facesmith.model import load

    return lambda: load(model)


@app.command()
def walk(
    context: typer.Context,
    model: ModelPath = None,
    out: Annotated[Path, typer.Option(help="The film, an .mp4 or .gif.")] = Path("walk.mp4"),
    seeds: Annotated[
        str | None, typer.Option(help="Faces to visit: seeds such as 3,17,40 or 0-15, and latent files: 3,me.latent.")
    ] = None,
    random: Annotated[int, typer.Option(min=2, max=10_000, help="Random faces per walk, instead of --seeds.")] = 6,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Another seed selects other random faces.")] = 0,
    grid: Annotated[str, typer.Option(help="Walks side by side: columns x rows.")] = "1x1",
    closed: Annotated[
        bool, typer.Option("--closed/--open", help="Return to the first face, or end at the last.")
    ] = True,
    linear: Annotated[
        bool, typer.Option("--linear", help="Interpolate along straight lines instead of arcs on a sphere.")
    ] = False,
    seconds: Annotated[
        float | None, typer.Option(help="Length of the film. Default: 2 seconds from face to face.")
    ] = None,
    fps: Annotated[int, typer.Option(min=1, max=120, help="Frames per second.")] = 25,
    scale: Scale = None,
    psi: Psi = 1.0,
    conditions: Conditions = None,
    quality: Quality = False,
    gif: Annotated[bool, typer.Option("--gif", help="Also write the film as a .gif.")] = False,
    no_watermark: NoWatermark = False,
    watermark_key: WatermarkKey = None,
    sign: Certificates = None,
    key: SigningKey = None,
    force: Force = False,
) -> None:
    """Make a film of a walk through the latent space, from face to face.

    Example: facesmith walk --model runs/first --random 8 --grid 4x2 --gif
    """
    if seeds is not None and {"random", "seed"} & explicit_options(context):
        raise BadOption("--seeds names the faces; leave out --random and --seed.")
    from facesmith.explore.walk import WalkOptions, parse_grid, walk
    from facesmith.io.attribute_options import parse_condition_values
    from facesmith.io.seeds import random_seeds
    from facesmith.latent.arithmetic import parse_face_names

    size = parse_grid(grid)
    count = random * size[0] * size[1]
    spare = count // 2 + SPARE_SEEDS if quality else 0  # to replace those that are left out
    faces = parse_face_names(seeds) if seeds is not None else random_seeds(count + spare, seed)
    condition, marks = parse_condition_values(conditions or []), marking(no_watermark, sign, key, watermark_key)
    n_faces = count if seeds is None else None
    options = WalkOptions(faces, size, closed, linear, seconds, fps, psi, condition, marks, quality, n_faces)
    outs = [out, out.with_suffix(".gif")] if gif and out.suffix.lower() != ".gif" else [out]
    for path in walk(model, options, outs, scale=scale, force=force, console=console):
        show(path)


@app.command()
def mix(
    terms: Annotated[str, typer.Argument(help="A sum of seeds or latent files: '29 - 3 + me.latent' or '0.5*29'.")],
    model: ModelPath = None,
    out: Annotated[Path, typer.Option(help="The contact sheet, a .png.")] = Path("mix.png"),
    plain: Annotated[bool, typer.Option("--plain", help="Don't rescale the sum to the norm of its terms.")] = False,
    layers: Annotated[
        str | None,
        typer.Option(
            help="Instead of a sum, draw the first face with these layers of the second: 0-1; 0 is the coarsest."
        ),
    ] = None,
    scale: Scale = None,
    psi: Psi = 1.0,
    conditions: Conditions = None,
    no_watermark: NoWatermark = False,
    watermark_key: WatermarkKey = None,
    sign: Certificates = None,
    key: SigningKey = None,
    force: Force = False,
) -> None:
    """Add and subtract faces: the terms and their sum, side by side.

    Example: facesmith mix "29 - 3 + 34"
    """
    if plain and layers is not None:
        raise BadOption("--plain applies to sums, and --layers draws none; leave out one of them.")
    from facesmith.explore.mix import mix
    from facesmith.io.attribute_options import parse_condition_values

    condition = parse_condition_values(conditions or [])
    path = mix(
        model,
        terms,
        out,
        psi=psi,
        plain=plain,
        layers=layers,
        condition=condition,
        scale=scale,
        marking=marking(no_watermark, sign, key, watermark_key),
        force=force,
    )
    show(path)

"""Faces to a generator, and what a person sees of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import Data, Force, app, console


@app.command()
def train(
    context: typer.Context,
    data: Data,
    out: Annotated[Path, typer.Option(help="The run folder; where it holds this run already, it is resumed.")],
    recipe: Annotated[
        str | None, typer.Argument(help="A recipe's name; facesmith recipes lists them. Default quick64.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Begin from this model or run, by its recipe; shipped: from the one that ships.",
        ),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget in minutes, measured at the start. Default 30.")] = None,
    kimg: Annotated[float | None, typer.Option(help="Budget in thousands of real faces shown.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A recipe's value, as name=value; repeatable.")
    ] = None,
    condition: Annotated[
        str | None, typer.Option(help="Attributes that the generator is told, columns of metadata.csv: smiling,male.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Faces in a batch: the same as --set batch_size=N.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Another seed gives another training.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto (measured), float32 or bfloat16.")] = "auto",
    limit: Annotated[int | None, typer.Option(min=1, help="Use only so many of the faces.")] = None,
    mirror: Annotated[bool, typer.Option(help="Show every other face mirrored.")] = True,
    snapshots: Annotated[int, typer.Option(min=0, help="Keep the models of the last N saves.")] = 0,
    save_every: Annotated[
        float | None, typer.Option(help="Kimg between saves: what a killed process can lose.")
    ] = None,
    eval_every: Annotated[
        float | None, typer.Option(help="Kimg between small evaluations; the best model is kept, as best.safetensors.")
    ] = None,
    on_trouble: Annotated[
        str, typer.Option(help="Where the doctor finds something wrong: warn, rollback (to a healthy state), or stop.")
    ] = "warn",
    extend: Annotated[bool, typer.Option("--extend", help="Train a run on to the larger budget given now.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Start over, removing the run that --out holds.")] = False,
) -> None:
    """Train a generator by a recipe. The same command again resumes; Ctrl-C saves first.

    Example: facesmith train --data faces --out runs/first --minutes 40

    By the recipe of a tutorial: facesmith train dcgan64 --data faces --out runs/dcgan

    Go on from the generator that ships: facesmith train --from bundled --data mine --out runs/mine
    """
    from facesmith.gan.recipe import parse_condition, parse_settings
    from facesmith.training.plan import TrainOptions
    from facesmith.training.train import recipe_name, train

    name = recipe_name(recipe, start, out, force=force)
    values = parse_settings(name, settings or [])
    if batch is not None:
        values["batch_size"] = batch
    if condition is not None:
        values["condition"] = parse_condition(name, condition)
    asked = TrainOptions(
        recipe, data, out, values, minutes, kimg, seed, device, precision, limit, mirror, snapshots, save_every,
        eval_every, on_trouble, start, extend, force, context.obj,
    )  # fmt: skip
    report = train(asked, console)
    if not report.finished:
        console.print(f"stopped and saved at {report.seen / 1000:.1f} kimg. The same command again goes on.")
        raise KeyboardInterrupt
    typer.echo(out / "model.safetensors")
    console.print(
        f"trained on {report.seen / 1000:.1f} kimg; its faces: {out / 'samples.png'}, its curves: {out / 'curves.png'}"
    )
    if (out / "best.safetensors").exists():
        console.print(f"the best of it by the validation faces: {out / 'best.safetensors'}")
    console.print(f"more faces: facesmith sample --model {out} --out more.png")
    console.print("train longer: the same command with a larger budget and --extend")


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="Tell all about this one.")] = None,
) -> None:
    """List the recipes: source, size, cost; or tell all about one."""
    from facesmith.gan.list_recipes import describe_recipe, recipe_table

    for line in recipe_table() if name is None else describe_recipe(name):
        typer.echo(line)


@app.command()
def film(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path, typer.Option(help="The film, an .mp4 or .gif.")] = Path("progress.mp4"),
    force: Force = False,
) -> None:
    """Make a film of a run's progress: its fixed faces, from the first save to the last."""
    from facesmith.io.files import refuse_to_overwrite
    from facesmith.training.progress_film import progress_film

    refuse_to_overwrite(out, force)
    typer.echo(progress_film(run, out))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path | None, typer.Option(help="The page, an .html; by default report.html in the run.")] = None,
    pictures: Annotated[bool, typer.Option(help="Show real photos in the page.")] = True,
    force: Force = False,
) -> None:
    """Tell all about a run on one page: faces, film, curves, data, and how to do it again."""
    from facesmith.report.write_report import write_report

    typer.echo(write_report(run, out, pictures=pictures, force=force, console=console))

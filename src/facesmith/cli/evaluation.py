"""How good a generator is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import MODEL_HELP, Data, Force, Psi, app, console, fetch_models


@app.command()
def evaluate(
    data: Data,
    model: Annotated[
        list[Path] | None, typer.Option(callback=fetch_models, help=f"Repeatable, to compare. {MODEL_HELP}")
    ] = None,
    out: Annotated[Path, typer.Option(help="A folder for report.json and report.html.")] = Path("evaluation"),
    samples: Annotated[int, typer.Option(help="Faces to draw of each model: seeds 0 to N-1.")] = 5000,
    psi: Psi = 1.0,
    features: Annotated[str, typer.Option(help="lite0 (ships with a package) or inception (for FID).")] = "lite0",
    weights: Annotated[Path | None, typer.Option(help="The weight file of inception.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch the weights of inception, 91 MiB.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="As the model was trained: only so many faces.")] = None,
    pictures: Annotated[bool, typer.Option(help="Show real faces beside samples in the report.")] = True,
    force: Force = False,
) -> None:
    """Judge a generator: is it like real faces, varied, and are its faces new? Works without a network.

    Samples are held against faces that the training never saw (the test part), and every number stands beside what
    real faces reach. Some four minutes for 5000 samples on one core; the first time, real faces are looked at, too.

    Example: facesmith evaluate --model runs/first --data faces
    """
    from facesmith.evaluation.evaluate import EvaluateOptions, evaluate

    asked = EvaluateOptions(
        model or [None], data, out, samples, features, weights, download, limit, pictures, force, psi
    )
    for line in evaluate(asked, console):
        typer.echo(line)

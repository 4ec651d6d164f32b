"""The command that measures how good a generator is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import MODEL_HELP, Data, Force, Psi, app, console, fetch_models, show


@app.command()
def evaluate(
    data: Data,
    model: Annotated[
        list[Path] | None, typer.Option(callback=fetch_models, help=f"Repeat it to compare models. {MODEL_HELP}")
    ] = None,
    out: Annotated[Path, typer.Option(help="A folder for report.json and report.html.")] = Path("evaluation"),
    samples: Annotated[int, typer.Option(help="Faces to draw with each model: seeds 0 to N-1.")] = 5000,
    psi: Psi = 1.0,
    features: Annotated[str, typer.Option(help="lite0 (needs no download) or inception (for FID).")] = "lite0",
    weights: Annotated[Path | None, typer.Option(help="The weight file of inception.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Download the weights of inception (91 MiB).")] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Use only N faces, chosen by their names; pass the same value as in training."),
    ] = None,
    attributes: Annotated[
        bool,
        typer.Option("--attributes", help="Compare how often labeled attributes occur in the data and among samples."),
    ] = False,
    identity: Annotated[
        bool, typer.Option(help="Compare people by face recognition, 5 ms a face. No embedding is stored.")
    ] = True,
    pictures: Annotated[bool, typer.Option(help="Show real faces next to samples in the report.")] = True,
    force: Force = False,
) -> None:
    """Evaluate a generator: are its samples faces, do they look real, do they vary, are they new?

    Samples are compared with the test split, which training never used. Next to each number is the value that real
    faces reach. 5000 samples take about four minutes on one core. Needs no network.

    Example: facesmith evaluate --model runs/first --data faces
    """
    from facesmith.evaluation.evaluate import EvaluateOptions, evaluate

    options = EvaluateOptions(
        model or [None], data, out, samples, features, weights, download, limit, pictures, force, psi,
        identity, attributes,
    )  # fmt: skip
    for line in evaluate(options, console):
        show(line)

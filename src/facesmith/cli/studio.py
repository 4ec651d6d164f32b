"""The studio: explore a generator and watch a training run, in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import MODEL_HELP, app, console, fetch_models

PORT = 8400


@app.command()
def studio(
    model: Annotated[
        list[Path] | None,
        typer.Option(callback=fetch_models, help=f"A model to explore; repeatable. {MODEL_HELP}"),
    ] = None,
    run: Annotated[list[Path] | None, typer.Option(help="A run folder to watch; repeatable, to compare.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 chooses a free one.")] = PORT,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Explore a generator, and watch a training run, on a page in the browser. Nothing leaves this machine.

    Example: facesmith studio --model runs/first

    During training: facesmith studio --run runs/first
    """
    from facesmith.studio.serve import serve

    serve(model or [], run or [], port, browser=browser, console=console)

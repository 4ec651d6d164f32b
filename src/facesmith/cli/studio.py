"""The studio: explore a generator and watch a training run, in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import (
    MODEL_HELP,
    Certificates,
    SigningKey,
    WatermarkKey,
    app,
    console,
    fetch_models,
    marking,
)

PORT = 8400


@app.command()
def studio(
    model: Annotated[
        list[Path] | None,
        typer.Option(callback=fetch_models, help=f"A model to explore; repeatable. {MODEL_HELP}"),
    ] = None,
    run: Annotated[list[Path] | None, typer.Option(help="A run folder to watch; repeatable, to compare.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 chooses a free one.")] = PORT,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser, unless it needs a token.")] = True,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; 0.0.0.0 accepts other machines, which then need the token that the terminal "
            "shows."
        ),
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name under which browsers reach the studio through a proxy; repeatable. Needs a token."),
    ] = None,
    root_path: Annotated[
        str, typer.Option(help="Path below which a proxy serves the studio, such as /user/me/proxy/8400.")
    ] = "",
    photos: Annotated[bool, typer.Option(help="Accept photos on the page My face.")] = True,
    osc: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port for OSC messages that move the sliders, from this machine only."),
    ] = None,
    watermark_key: WatermarkKey = None,
    sign: Certificates = None,
    key: SigningKey = None,
) -> None:
    """Explore a generator, and watch a training run, in the browser. By default only this machine can open it.

    Example: facesmith studio --model runs/first

    During training: facesmith studio --run runs/first

    For a class: facesmith studio --host 0.0.0.0 --no-photos
    """
    from facesmith.studio.serve import StudioOptions, serve

    options = StudioOptions(
        models=model or [],
        runs=run or [],
        port=port,
        browser=browser,
        host=host,
        allow_hosts=allow_host or [],
        root_path=root_path,
        photos=photos,
        osc_port=osc,
        marking=marking(False, sign, key, watermark_key),
    )
    serve(options, console)

"""Models that travel: to programs without torch, to other people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import MODEL_HELP, Force, ModelPath, app, console, fetch_model


@app.command()
def export(
    onnx: Annotated[Path, typer.Option(help="The file to write, an .onnx.")] = Path("model.onnx"),
    model: ModelPath = None,
    license: Annotated[
        str | None, typer.Option(help="The model's licence in words, to travel in the file; by default its card's.")
    ] = None,
    force: Force = False,
) -> None:
    """Write a model as ONNX, to draw from it without torch; checked against torch first.

    Example: facesmith export --model runs/first --onnx model.onnx
    """
    from facesmith.export.to_onnx import export

    for line in export(model, onnx, licence=license, force=force, console=console):
        typer.echo(line)


@app.command()
def card(
    model: Annotated[Path | None, typer.Argument(callback=fetch_model, help=MODEL_HELP)] = None,
    out: Annotated[Path | None, typer.Option(help="The card, a .md; by default README.md beside the model.")] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="The folder or report.json of evaluate; by default looked for beside the model.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What to call the model.")] = None,
    license: Annotated[
        str | None, typer.Option(help="The model's licence: an identifier such as mit, or words.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="What the faces are, in words.")] = None,
    data_license: Annotated[str | None, typer.Option(help="Their licence.")] = None,
    biases: Annotated[
        Path | None, typer.Option(help="A text of your own, in Markdown, on whom it draws and whom not.")
    ] = None,
    force: Force = False,
) -> None:
    """Write a model's card: data, licence, metrics, copies, biases; numbers from files only, the rest is "unknown".

    Example: facesmith card runs/first --evaluation evaluation --data "my photos" --license cc-by-nc-4.0
    """
    from facesmith.card.facts import CardOptions
    from facesmith.card.write_card import write_card

    own_words = None if biases is None else biases.read_text(encoding="utf-8").strip()
    options = CardOptions(name, license, data, data_license, own_words)
    typer.echo(write_card(model, out, evaluation=evaluation, options=options, force=force))


@app.command()
def push(
    to: Annotated[str, typer.Argument(help="Where: hf://user/name, or hf://user/name@branch.")],
    model: ModelPath = None,
    private: Annotated[bool, typer.Option("--private", help="A new repository is seen by you alone.")] = False,
) -> None:
    """Put a model with its card on the Hugging Face Hub; anyone may then draw with --model hf://user/name.

    Example: facesmith push hf://ada/first-faces --model runs/first
    """
    from facesmith.card.push import push
    from facesmith.modelfiles.hub import parse_address

    for line in push(model, parse_address(to), private=private, console=console):
        typer.echo(line)

"""Commands that share a model: export, card and push."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import MODEL_HELP, Force, ModelPath, app, console, fetch_model, show

MAX_BIASES_BYTES = 2**20


@app.command()
def export(
    onnx: Annotated[
        Path | None, typer.Option(help="The .onnx file to write. Default, without --html: model.onnx.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="The .html file to write: a page that draws faces.")] = None,
    model: ModelPath = None,
    license: Annotated[
        str | None, typer.Option(help="The model's license, stored in the file. Default: as in the model card.")
    ] = None,
    opset: Annotated[
        int, typer.Option(min=18, max=23, help="Version of ONNX's operators. onnxruntime 1.17 reads up to 20.")
    ] = 18,
    force: Force = False,
) -> None:
    """Export a model to ONNX or to a web page, to draw faces without PyTorch.

    Before the file is written, its faces are compared with PyTorch's.

    Example: facesmith export --model runs/first --onnx model.onnx

    Example: facesmith export --model runs/first --html faces.html
    """
    if html is None:
        onnx = onnx or Path("model.onnx")
    if onnx is not None:
        from facesmith.export.to_onnx import check_onnx_output

        check_onnx_output(onnx, force)  # before a page is written
    if html is not None:
        from facesmith.export.webpage.to_html import export_html

        for line in export_html(model, html, license=license, force=force, console=console):
            show(line)
    if onnx is not None:
        from facesmith.export.to_onnx import export

        for line in export(model, onnx, license=license, opset=opset, force=force, console=console):
            show(line)


@app.command()
def card(
    model: Annotated[Path | None, typer.Argument(callback=fetch_model, help=MODEL_HELP)] = None,
    out: Annotated[
        Path | None, typer.Option(help="The card, a .md file. Default: README.md in the model's folder.")
    ] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="A folder or report.json of evaluate. Default: searched in the model's folder.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name.")] = None,
    license: Annotated[
        str | None, typer.Option(help="The model's license: an identifier such as mit, or a text.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="A short description of the training faces.")] = None,
    data_license: Annotated[str | None, typer.Option(help="The license of the training faces.")] = None,
    consent: Annotated[str | None, typer.Option(help="How the people in the training photos gave consent.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="Who or what labeled the faces that the attribute classifier learned from.")
    ] = None,
    biases: Annotated[
        Path | None, typer.Option(help="Your own text (Markdown) about which people the model draws, and which not.")
    ] = None,
    force: Force = False,
) -> None:
    """Write a model card: data, license, consent, metrics, copies, who is missing, marking.

    All numbers come from files. What no file states is "unknown".

    Example: facesmith card runs/first --evaluation evaluation --data "my photos" --license cc-by-nc-4.0
    """
    from facesmith.card.facts import CardOptions
    from facesmith.card.write_card import write_card

    own_text = None if biases is None else _read_biases(biases)
    options = CardOptions(name, license, data, data_license, own_text, consent, labels)
    show(write_card(model, out, evaluation=evaluation, options=options, force=force))


def _read_biases(file: Path) -> str:
    """The text of --biases. Raises BadOption if it can't be read."""
    from facesmith.errors import BadOption
    from facesmith.io.file_kinds import HEAD_BYTES, kind_of_file
    from facesmith.io.files import read_regular_file
    from facesmith.io.messages import with_article

    try:
        content = read_regular_file(file, MAX_BIASES_BYTES)
        if kind := kind_of_file("", content[:HEAD_BYTES]).name:
            raise BadOption(f"--biases {file} is {with_article(kind)}. Save it as plain text, in UTF-8.")
        return content.decode("utf-8-sig").strip()
    except OSError as error:
        raise BadOption(f"--biases {file} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadOption(f"--biases {file} is not UTF-8 text. Save it as UTF-8.") from None


@app.command()
def push(
    to: Annotated[str, typer.Argument(help="The repository: hf://user/name, or hf://user/name@branch.")],
    model: ModelPath = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
) -> None:
    """Upload a model with its card to the Hugging Face Hub. Others can then use it: --model hf://user/name.

    Example: facesmith push hf://ada/first-faces --model runs/first
    """
    from facesmith.card.push import push
    from facesmith.modelfiles.hub import parse_address

    for line in push(model, parse_address(to), private=private, console=console):
        show(line)

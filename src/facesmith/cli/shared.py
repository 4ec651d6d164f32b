"""The app, and the options that several commands share."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facesmith import __version__
from facesmith.errors import BadOption
from facesmith.io.cpus import limit_threads
from facesmith.io.files import naming_errors
from facesmith.io.messages import SafeConsole, printable

if TYPE_CHECKING:
    from facesmith.watermark.marking import Marking

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = SafeConsole(stderr=True)

Data = Annotated[Path, typer.Option(help="Faces: the output of extract, or any folder or zip of images.")]


def show(result: object) -> None:
    """Print a result on standard output. Text from files can't control the terminal.

    When nobody reads the output any longer, as after `| head`, the work goes on and prints nothing more.
    """
    try:
        with naming_errors(Path("standard output")):
            typer.echo(printable(str(result)))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fetch_model(model: Path | None) -> Path | None:
    """The path of a model. A model on the Hub is downloaded first, and its sha256 is printed."""
    from facesmith.modelfiles.hub import fetch, is_address, parse_address

    if model is None or not is_address(model):
        return model
    from facesmith.io.files import sha256

    address = parse_address(model)
    file = fetch(address)
    console.print(f"{address} at {file.parent.name[:12]}, sha256 {sha256(file)}")
    return file


def fetch_models(models: list[Path] | None) -> list[Path] | None:
    """`fetch_model` for several models."""
    return models and [file for file in map(fetch_model, models) if file is not None]


MAX_KEY_BYTES = 2**20
NO_WATERMARK_NOTICE = (
    "notice: without the watermark, these faces can't be recognized as generated once their metadata is lost."
)
MODEL_HELP = "A run folder, a model.safetensors or hf://user/name. Default: the bundled generator."
ModelPath = Annotated[Path | None, typer.Option("--model", callback=fetch_model, help=MODEL_HELP)]
Force = Annotated[bool, typer.Option("--force", help="Replace existing output.")]
Scale = Annotated[
    int | None, typer.Option(min=1, max=32, help="Show each pixel as a block of N x N. Default: chosen by resolution.")
]
Conditions = Annotated[
    list[str] | None,
    typer.Option(
        "--condition",
        help="Attributes of the faces, such as smiling=1,male=0 or label=2. Needs a conditional model. Repeatable.",
    ),
]
NoWatermark = Annotated[
    bool,
    typer.Option(
        "--no-watermark",
        help="Leave out the invisible watermark, by which facesmith detect recognizes generated faces.",
    ),
]
Quality = Annotated[
    bool, typer.Option("--quality", help="Leave out the seeds whose faces look most distorted, about a tenth.")
]
Certificates = Annotated[
    Path | None, typer.Option("--sign", help="Sign content credentials (C2PA) with this certificate chain, PEM.")
]
WatermarkKey = Annotated[
    Path | None,
    typer.Option(
        "--watermark-key",
        help="A file with your own secret. The watermark is then found with it as well as with the public key.",
    ),
]
SigningKey = Annotated[Path | None, typer.Option("--key", help="Private key of the first certificate, PEM.")]
Psi = Annotated[float, typer.Option(min=0, max=1, help="Truncation: 1 is most varied, 0 is the average face.")]


def marking(
    no_watermark: bool, certificates: Path | None, key: Path | None, watermark_key: Path | None = None
) -> Marking:
    """How a command marks its pictures. Without a watermark, a notice says what that means."""
    from facesmith.pictures.credentials import open_signer
    from facesmith.watermark.marking import Marking

    if no_watermark and watermark_key is not None:
        raise BadOption("--watermark-key marks pictures, and --no-watermark does not. Leave out one of them.")
    if no_watermark:
        console.print(NO_WATERMARK_NOTICE)
    own_key = None if watermark_key is None else read_watermark_key(watermark_key)
    return Marking(not no_watermark, open_signer(certificates, key), own_key)


def read_watermark_key(file: Path) -> str:
    """The secret in the file of --watermark-key, as text: a hash of its content without surrounding white space.

    Raises:
        BadOption: it can't be read, or is empty.
    """
    from facesmith.io.files import read_regular_file

    try:
        content = read_regular_file(file, MAX_KEY_BYTES).strip()
    except OSError as error:
        raise BadOption(f"--watermark-key {file} can't be read: {error.strerror}.") from None
    if not content:
        raise BadOption(f"--watermark-key {file} is empty. Write a secret into it, such as a long sentence.")
    return hashlib.sha256(content).hexdigest()


def _version(requested: bool) -> None:
    if requested:
        show(f"facesmith {__version__}")
        raise typer.Exit


@app.callback()
def facesmith(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only results and errors.")] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="CPU threads of torch, and workers of extract.")
    ] = None,
) -> None:
    """Turn a folder of photos into a working face generator, on an ordinary computer.

    photos -> [bold]extract[/] -> faces -> [bold]train[/] -> run -> [bold]sample[/] -> new faces

    Try it without any photos: [bold]facesmith demo[/]
    """
    console.quiet = quiet
    context.obj = threads
    limit_threads(threads)


def explicit_options(context: typer.Context) -> set[str]:
    """The names of the options that the user gave, rather than left at their defaults."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name != "DEFAULT"}

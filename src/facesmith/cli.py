"""The command line, one command per verb: parse, call, print. Results go to stdout, all else to stderr."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from facesmith import __version__
from facesmith.errors import BadOption, FacesmithError

INTERRUPTED = 130
UsageError: type[Any] = typer.BadParameter.__mro__[1]  # typer names this base of its option errors nowhere itself
DISK_ERRORS = {
    errno.EEXIST,
    errno.ENOENT,
    errno.EISDIR,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
}

app = typer.Typer(
    help=__doc__,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# Names of files may hold brackets, so nothing is read as markup; a line of a log file is a line.
console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

# What `facesmith.photos` decides, repeated here since importing it loads torch; a test holds the two together.
DEFAULT_MARGIN, DEFAULT_THRESHOLD, DEFAULT_EVERY = 0.05, 0.85, 25
Which = Literal["largest", "all"]

Data = Annotated[
    Path, typer.Option(help="Faces: a folder or zip that extract wrote, or any folder or zip of pictures.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]
Scale = Annotated[
    int | None, typer.Option(min=1, max=32, help="Show each pixel as N x N; by default as many as look well.")
]
Psi = Annotated[float, typer.Option(min=0, max=1, help="Truncation: 1 is most varied, 0 the average face.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"facesmith {__version__}")
        raise typer.Exit


@app.callback()
def facesmith(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")] = False,
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
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is loaded


@app.command()
def extract(
    context: typer.Context,
    photos: Annotated[Path, typer.Argument(help="A folder (searched through), a zip, one picture, or a film.")],
    out: Annotated[Path, typer.Option(help="A new folder for the faces.")],
    size: Annotated[int, typer.Option(min=16, max=256, help="Side of the faces in pixels.")] = 64,
    margin: Annotated[float, typer.Option(help="Room around the face, in parts of its height.")] = DEFAULT_MARGIN,
    crop: Annotated[
        int | None,
        typer.Option(min=16, help="Faces are framed already: take the middle N x N pixels of each photo as they are."),
    ] = None,
    faces: Annotated[Which, typer.Option(help="The main face of each photo, or all of them.")] = "largest",
    min_face: Annotated[int, typer.Option(help="Smallest face to take, in pixels of the photo.")] = 40,
    threshold: Annotated[float, typer.Option(help="How sure the detector must be, 0 to 1.")] = DEFAULT_THRESHOLD,
    every: Annotated[int, typer.Option(help="Of a film, take each n-th frame.")] = DEFAULT_EVERY,
    workers: Annotated[int | None, typer.Option(help="Threads; by default one for each core.")] = None,
    pictures: Annotated[bool, typer.Option(help="Show photos in the report.")] = True,
    force: Force = False,
) -> None:
    """Find, align and cut out every face of your photos. Interrupted and run again, it goes on.

    Example: facesmith extract holidays.zip --out faces --faces all
    """
    pointless = {"margin", "faces", "min_face", "threshold"} & _given(context)
    if crop is not None and pointless:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(pointless))
        raise BadOption(f"--crop looks for no faces, so it can't go with {options}.")
    from facesmith.photos.extract import extract

    report = extract(
        photos, out, size=size, margin=margin, crop=crop, faces=faces, min_face=min_face, threshold=threshold,
        every=every, workers=workers or context.obj, pictures=pictures, force=force, console=console,
    )  # fmt: skip
    if report.was_complete:
        console.print(f"{out} is complete already; --force does it again.")
    typer.echo(f"{report.faces} faces of {report.photos} photos in {report.out}")
    for reason, count in report.refused.items():
        typer.echo(f"  refused, {reason}: {count}")
    for ending, count in report.ignored.items():
        typer.echo(f"  no photo, {ending}: {count}")
    typer.echo(f"look at {report.out / 'report.html'}")


@app.command()
def train(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="A recipe's name; facesmith recipes lists them.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="The run folder; where it holds this run already, it is resumed.")],
    minutes: Annotated[float | None, typer.Option(help="Budget in minutes, measured at the start. Default 30.")] = None,
    kimg: Annotated[float | None, typer.Option(help="Budget in thousands of real faces shown.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A recipe's value, as name=value; repeatable.")
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
    extend: Annotated[bool, typer.Option("--extend", help="Train a run on to the larger budget given now.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Start over, removing the run that --out holds.")] = False,
) -> None:
    """Train a generator by a recipe. The same command again resumes; Ctrl-C saves first.

    Example: facesmith train dcgan64 --data faces --out runs/first --minutes 40
    """
    from facesmith.plan import Asked
    from facesmith.recipe import parse_settings
    from facesmith.train import train

    values = parse_settings(recipe, settings or [])
    if batch is not None:
        values["batch_size"] = batch
    asked = Asked(
        recipe, data, out, values, minutes, kimg, seed, device, precision, limit, mirror, snapshots, save_every,
        eval_every, extend, force, context.obj,
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
def sample(
    context: typer.Context,
    model: Annotated[Path, typer.Option(help="A run folder or a model.safetensors.")],
    out: Annotated[Path, typer.Option(help="A .png for one sheet, or a folder for single faces.")] = Path("faces.png"),
    seeds: Annotated[str, typer.Option(help="Which faces: 3 or 0-15 or 1,4,7-9.")] = "0-63",
    psi: Psi = 1.0,
    like: Annotated[Path | None, typer.Option(help="Draw again what this picture of ours shows.")] = None,
    force: Force = False,
) -> None:
    """Draw one face per seed. The same model, seed and psi always give the same face."""
    if like is not None and {"seeds", "psi"} & _given(context):
        raise BadOption("--like takes seeds and psi from the picture; leave out --seeds and --psi.")
    from facesmith.latent import parse_seeds
    from facesmith.sample import sample, sample_like

    paths = (
        sample(model, parse_seeds(seeds), out, psi=psi, force=force, console=console)
        if like is None
        else sample_like(model, like, out, force=force, console=console)
    )
    for path in paths:
        typer.echo(path)


@app.command()
def evaluate(
    model: Annotated[list[Path], typer.Option(help="A run folder or a model.safetensors; repeatable, to compare.")],
    data: Data,
    out: Annotated[Path, typer.Option(help="A folder for report.json and report.html.")] = Path("evaluation"),
    samples: Annotated[int, typer.Option(help="Faces to draw of each model: seeds 0 to N-1.")] = 5000,
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
    from facesmith.evaluation.evaluate import Asked, evaluate

    asked = Asked(model, data, out, samples, features, weights, download, limit, pictures, force)
    for line in evaluate(asked, console):
        typer.echo(line)


@app.command()
def walk(
    context: typer.Context,
    model: Annotated[Path, typer.Option(help="A run folder or a model.safetensors.")],
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
    if seeds is not None and {"random", "seed"} & _given(context):
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
    model: Annotated[Path, typer.Option(help="A run folder or a model.safetensors.")],
    out: Annotated[Path, typer.Option(help="The sheet, a .png.")] = Path("mix.png"),
    plain: Annotated[bool, typer.Option("--plain", help="Leave the sum as long as it is.")] = False,
    scale: Scale = None,
    psi: Psi = 1.0,
    force: Force = False,
) -> None:
    """Add and subtract faces: the terms and their sum, side by side.

    Example: facesmith mix --model runs/first "29 - 3 + 34"
    """
    from facesmith.mix import mix

    typer.echo(mix(model, terms, out, psi=psi, plain=plain, scale=scale, force=force))


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


@app.command()
def faces(
    data: Annotated[Path, typer.Argument(help="A folder or zip of faces.")],
    sheet: Annotated[
        Path | None, typer.Option(help="Where to write the contact sheet; by default into the cache.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Look at only so many of the faces.")] = None,
    force: Force = False,
) -> None:
    """Describe a dataset of faces: counts, sizes, attributes, split, a contact sheet."""
    from facesmith.faces.describe import describe
    from facesmith.files import refuse_to_overwrite

    if sheet is not None:
        refuse_to_overwrite(sheet, force)
    for line in describe(data, sheet=sheet, limit=limit, console=console):
        typer.echo(line)


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="Tell all about this one.")] = None,
) -> None:
    """List the recipes: source, size, cost; or tell all about one."""
    from facesmith.listing import details, listing

    for line in listing() if name is None else details(name):
        typer.echo(line)


@app.command()
def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="A folder for faces, run, sheet and film.")] = Path("demo"),
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 3.0,
    force: Force = False,
) -> None:
    """Do the main job on drawn faces that ship with the package; no photos needed."""
    from facesmith.demo import demo

    for line in demo(out, minutes=minutes, force=force, threads=context.obj, console=console):
        typer.echo(line)


@app.command()
def film(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path, typer.Option(help="The film, an .mp4 or .gif.")] = Path("progress.mp4"),
    force: Force = False,
) -> None:
    """Make a film of a run's progress: its fixed faces, from the first save to the last."""
    from facesmith.files import refuse_to_overwrite
    from facesmith.film import progress_film

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
    from facesmith.report.write import report

    typer.echo(report(run, out, pictures=pictures, force=force, console=console))


@app.command()
def info() -> None:
    """Show version, devices, precision, speed, weights, free memory and disk."""
    from facesmith.info import info

    for line in info(console):
        typer.echo(line)


def main() -> None:
    """The program: a mistake of the user's ends in one line, and only our own bugs in a traceback."""
    try:
        code = app(_hoisted(sys.argv[1:]), prog_name="facesmith", standalone_mode=False)
        if code == INTERRUPTED:  # how typer tells of Ctrl-C
            raise KeyboardInterrupt
    except UsageError as error:
        told = error.format_message()  # empty where the help was printed instead
        _fail(" ".join(told.split()), 2) if told else sys.exit(2)
    except FacesmithError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        _fail(f"{error.filename or 'A file'}: {error.strerror}. Nothing that was saved before is lost.", 1)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)


def _given(context: typer.Context) -> set[str]:
    """The options that were given rather than left at their defaults."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name != "DEFAULT"}


def _fail(message: str, code: int) -> None:
    print(f"facesmith: {message}", file=sys.stderr)
    sys.exit(code)


def _hoisted(arguments: list[str]) -> list[str]:
    """--quiet and --threads belong to every verb, so they are understood behind one too."""
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            return [*front, *rest, argument, *waiting]
        if argument in ("--quiet", "-q") or argument.startswith("--threads="):
            front.append(argument)
        elif argument == "--threads":
            front += [argument, *(number for number in [next(waiting, None)] if number is not None)]
        else:
            rest.append(argument)
    return front + rest

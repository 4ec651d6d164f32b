"""Photos to faces, and what a dataset of faces holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from facesmith.cli.shared import Force, app, console, explicit_options
from facesmith.errors import BadOption

# What `facesmith.photos` decides, repeated here since importing it loads torch; a test holds the two together.
DEFAULT_MARGIN, DEFAULT_THRESHOLD, DEFAULT_EVERY = 0.05, 0.85, 25
Which = Literal["largest", "all"]


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
    pointless = {"margin", "faces", "min_face", "threshold"} & explicit_options(context)
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
    from facesmith.io.files import refuse_to_overwrite

    if sheet is not None:
        refuse_to_overwrite(sheet, force)
    for line in describe(data, sheet=sheet, limit=limit, console=console):
        typer.echo(line)

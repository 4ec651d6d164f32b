"""The commands for photos and datasets of faces: extract, faces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from facesmith.cli.shared import Force, app, console, explicit_options, show
from facesmith.errors import BadOption

# Copies of the defaults in `facesmith.photos`, whose import loads torch. A test compares them.
DEFAULT_FRAME, DEFAULT_THRESHOLD, DEFAULT_MAX_FILL, DEFAULT_EVERY = 2.45, 0.85, 0.2, 25
FaceChoice = Literal["largest", "all"]


@app.command()
def extract(
    context: typer.Context,
    photos: Annotated[
        Path,
        typer.Argument(
            help="A folder with its subfolders, an archive, a Parquet file, a picture, a video, a text file that lists "
            "paths, or an address such as s3://bucket/photos."
        ),
    ],
    out: Annotated[Path, typer.Option(help="A new folder for the faces.")],
    size: Annotated[
        int | None,
        typer.Option(min=16, max=256, help="Side of the faces in pixels. Default: 128, or --crop if that is smaller."),
    ] = None,
    frame: Annotated[
        float, typer.Option(help="Side of the faces in eye distances, 2 to 16; 3.48 shows the whole head.")
    ] = DEFAULT_FRAME,
    crop: Annotated[
        int | None,
        typer.Option(min=16, help="For aligned photos: take the middle N x N pixels, without face detection."),
    ] = None,
    faces: Annotated[FaceChoice, typer.Option(help="The main face of each photo, or all faces.")] = "largest",
    min_face: Annotated[
        int | None, typer.Option(help="Smallest face, in pixels of the photo. Default: half of --size, at least 40.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="Lowest probability of a face, 0 to 1.")] = DEFAULT_THRESHOLD,
    max_fill: Annotated[
        float, typer.Option(help="Largest share of a face's crop that may lie beyond the photo, 0 to 1.")
    ] = DEFAULT_MAX_FILL,
    every: Annotated[int, typer.Option(help="Use every n-th frame of a video.")] = DEFAULT_EVERY,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Threads, or processes with --shards; by default one per core.")
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Show photos in the report.")] = True,
    shards: Annotated[
        int | None, typer.Option(min=1, max=100_000, help="Write tar files of faces, each from N photos.")
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Who extracts shards: processes of this machine, or Ray.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Ray cluster: auto or HOST:PORT. By default, Ray starts on this machine.")
    ] = None,
    force: Force = False,
) -> None:
    """Find, align and crop every face in your photos. Run the same command again to resume.

    Example: facesmith extract holidays.zip --out faces --faces all
    """
    without_effect = {"frame", "faces", "min_face", "threshold", "max_fill"} & explicit_options(context)
    if crop is not None and without_effect:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(without_effect))
        raise BadOption(f"--crop skips face detection, so it can't be combined with {options}.")
    from facesmith.photos.extract import extract

    report = extract(
        photos, out, size=size, frame=frame, crop=crop, faces=faces, min_face=min_face, threshold=threshold,
        max_fill=max_fill, every=every, workers=workers or context.obj, pictures=pictures, shards=shards, engine=engine,
        address=address, force=force, console=console,
    )  # fmt: skip
    if report.was_complete:
        without_photos = "" if pictures else ", and its report is now without photos"
        unread = f" Unreadable photos: {report.unreadable:,}, see rejected.csv." if report.unreadable else ""
        console.print(f"{out} is already complete{without_photos}.{unread} To extract again, add --force.")
    if notice := report.generated_notice():
        console.print(f"notice: {notice}.")
    show(f"{report.faces} faces from {report.photos} photos in {report.out}")
    if summary := report.fill_summary():
        show(f"  {summary}")
    for line in report.rejection_lines():
        show(f"  {line}")
    for suffix, count in report.ignored.items():
        show(f"  ignored, {suffix}: {count}")
    show(f"report: {report.out / 'report.html'}")


@app.command()
def faces(
    data: Annotated[Path, typer.Argument(help="A folder, archive or Parquet file of faces.")],
    sheet: Annotated[Path | None, typer.Option(help="A .png for the contact sheet; by default in the cache.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only this many faces.")] = None,
    force: Force = False,
) -> None:
    """Describe a dataset of faces: counts, sizes, attributes, split, a contact sheet."""
    from facesmith.faces.describe import describe
    from facesmith.io.files import refuse_to_overwrite

    if sheet is not None:
        refuse_to_overwrite(sheet, force, "--sheet")
    for line in describe(data, sheet=sheet, limit=limit, console=console):
        show(line)

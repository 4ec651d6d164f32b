"""What can be changed about faces: directions, and edits along them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import Conditions, Force, ModelPath, Psi, Scale, app, console
from facesmith.errors import BadOption


@app.command()
def directions(
    model: ModelPath = None,
    data: Annotated[
        Path | None, typer.Option(help="Labelled faces: a folder or zip, with columns such as smiling in metadata.csv.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for directions.safetensors and its sheet; by default the model's.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="supervised; means (recipes with an encoder); pca or sefa (no labels needed).")
    ] = "supervised",
    attributes: Annotated[
        str | None, typer.Option(help="Only these columns: smiling,eyeglasses. By default all that can be told.")
    ] = None,
    keep: Annotated[
        str | None, typer.Option(help="What has to stay, as columns. By default sex, age, colour of hair, glasses.")
    ] = None,
    steps: Annotated[int, typer.Option(min=0, help="How long to refine what was fitted; 0 leaves it linear.")] = 400,
    force: Force = False,
) -> None:
    """Find what to add to a latent so that its face smiles, or wears glasses, or whatever the faces are labelled with.

    A classifier learns the labels, then labels generated faces; directions are fitted to those, refined, and made as
    long as it takes for the attribute to be clearly there at strength 1.

    Example: facesmith directions --model runs/first --data celeba.zip
    """
    from facesmith.directions.direction_options import DirectionOptions
    from facesmith.directions.find import find_directions

    def named(text: str | None) -> list[str] | None:
        return None if text is None else [name for name in text.split(",") if name.strip()]

    if named(attributes) == []:
        raise BadOption("--attributes names none. Leave it out for all that can be told, or name some: smiling,male.")

    options = DirectionOptions(model, data, out, method, named(attributes), named(keep), steps, force=force)
    for line in find_directions(options, console):
        typer.echo(line)


@app.command()
def edit(
    edits: Annotated[
        list[str], typer.Option("--edit", help="A direction and how much of it, as smiling=1; repeatable.")
    ],
    model: ModelPath = None,
    seeds: Annotated[str, typer.Option(help="Which faces: 3 or 0-15 or 1,4,7-9.")] = "0-15",
    out: Annotated[Path, typer.Option(help="The sheet, a .png.")] = Path("edited.png"),
    steps: Annotated[int, typer.Option(min=1, max=32, help="Pictures from before to after.")] = 3,
    film: Annotated[
        Path | None, typer.Option(help="Write the way there and back as a film, too: .mp4 or .gif.")
    ] = None,
    directions: Annotated[Path | None, typer.Option(help="Another file of this model's directions.")] = None,
    psi: Psi = 1.0,
    conditions: Conditions = None,
    scale: Scale = None,
    force: Force = False,
) -> None:
    """Change what faces show: before, on the way and after, side by side.

    Example: facesmith edit --seeds 0-15 --edit smiling=1 --edit eyeglasses=-1
    """
    from facesmith.explore.edit import EditOptions, edit
    from facesmith.io.attribute_options import parse_condition_values
    from facesmith.latent.edits import parse_edits

    told = parse_condition_values(conditions or [])
    options = EditOptions(model, seeds, parse_edits(edits), out, steps, film, directions, psi, scale, force, told)
    for path in edit(options, console):
        typer.echo(path)

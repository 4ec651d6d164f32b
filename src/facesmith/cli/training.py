"""Train a generator, list recipes, and show how a run went."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from facesmith.cli.shared import Certificates, Data, Force, SigningKey, app, console, explicit_options, show
from facesmith.errors import BadOption


@app.command()
def train(
    context: typer.Context,
    data: Data,
    out: Annotated[Path, typer.Option(help="The run folder. If it contains this run already, the run is resumed.")],
    recipe: Annotated[
        str | None,
        typer.Argument(help="A recipe; facesmith recipes lists them. Default: quick, or that of the run in --out."),
    ] = None,
    finetune_from: Annotated[
        Path | None,
        typer.Option("--from", help="Fine-tune a model or run, or the bundled generator: --from bundled."),
    ] = None,
    from_scratch: Annotated[
        bool,
        typer.Option(
            "--from-scratch",
            help="Don't start from the bundled generator. Without recipe and --from, a run on fewer than 7,000 faces "
            "does.",
        ),
    ] = False,
    minutes: Annotated[
        float | None,
        typer.Option(help="Budget in minutes; the run ends on time even if the machine's speed changes. Default: 30."),
    ] = None,
    kimg: Annotated[float | None, typer.Option(help="Budget in thousands of real images shown.")] = None,
    epochs: Annotated[
        float | None,
        typer.Option(
            help="Budget in epochs: passes over the training faces. gray-dcgan64 and elu36 count as their tutorials do."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A hyperparameter of the recipe, as name=value. Repeatable.")
    ] = None,
    condition: Annotated[
        str | None,
        typer.Option(help="Train a conditional model on these columns of the label table, such as smiling,male."),
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Batch size; short for --set batch_size=N.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed of the training.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto (the faster one, measured), float32 or bfloat16.")] = "auto",
    limit: Annotated[int | None, typer.Option(min=1, help="Use at most N faces.")] = None,
    mirror: Annotated[bool, typer.Option(help="Augment by mirroring images at random.")] = True,
    average: Annotated[
        bool, typer.Option(help="Save and sample moving averages of the weights instead of current weights.")
    ] = True,
    hold_out: Annotated[
        bool, typer.Option(help="Keep a fifth of the faces out of training, for validation and test.")
    ] = True,
    as_in_text: Annotated[
        bool,
        typer.Option(
            "--as-in-text",
            help="Train as the recipe's tutorial does: with its hyperparameters and its length, if it gives one, in "
            "float32, without mirroring and averaging. Also prints the tutorial's lines. facesmith recipes NAME lists "
            "what is set and what still differs.",
        ),
    ] = False,
    snapshots: Annotated[int, typer.Option(min=0, help="Keep models and networks of the last N checkpoints.")] = 0,
    keep_epochs: Annotated[
        int | None, typer.Option(min=1, help="Keep model and networks of the epochs 1, N + 1, 2 N + 1, ...")
    ] = None,
    images_every: Annotated[
        int | None,
        typer.Option(min=1, help="Also write images to TensorBoard every N steps. Default: at checkpoints only."),
    ] = None,
    save_every: Annotated[
        float | None,
        typer.Option(help="Kimg (thousands of images) between checkpoints; a killed process loses at most that much."),
    ] = None,
    validate_every: Annotated[
        float | None,
        typer.Option(
            help="Validate every N kimg, or less often to stay below 5 % of the time. Keeps best.safetensors, too."
        ),
    ] = None,
    on_trouble: Annotated[
        str,
        typer.Option(help="If the diagnosis finds a problem: warn, rollback (to the last healthy checkpoint) or stop."),
    ] = "warn",
    extend: Annotated[bool, typer.Option("--extend", help="Continue a run to a larger budget.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Delete the run in --out and start over.")] = False,
) -> None:
    """Train a generator. Stop with Ctrl-C at any time; the same command resumes.

    Example: facesmith train --data faces --out runs/first --minutes 40

    With plain DCGAN: facesmith train dcgan64 --data faces --out runs/dcgan

    Fine-tune your own run: facesmith train --from runs/first --data more --out runs/second
    """
    from facesmith.gan.recipe import parse_condition, parse_settings
    from facesmith.io.commands import quoted
    from facesmith.training.choose_recipe import recipe_name
    from facesmith.training.plan import TrainOptions
    from facesmith.training.processes import end_if_launched
    from facesmith.training.train import train

    on = {"mirror": mirror, "average": average, "hold_out": hold_out}
    contradicting = [option for option, is_on in on.items() if is_on and option in explicit_options(context)]
    if as_in_text and contradicting:
        option = contradicting[0].replace("_", "-")
        raise BadOption(f"--as-in-text decides about --{option}; leave out one of them.")
    name = recipe_name(recipe, finetune_from, out, force=force)
    hyperparameters = parse_settings(name, settings or [])
    if batch is not None:
        hyperparameters["batch_size"] = batch
    if condition is not None:
        hyperparameters["condition"] = parse_condition(name, condition)
    options = TrainOptions(
        recipe=recipe,
        data=data,
        out=out,
        hyperparameters=hyperparameters,
        minutes=minutes,
        kimg=kimg,
        epochs=epochs,
        seed=seed,
        device=device,
        precision=precision,
        limit=limit,
        mirror=mirror,
        average=average,
        hold_out=hold_out,
        as_in_text=as_in_text,
        keep_epochs=keep_epochs,
        snapshots=snapshots,
        images_every=images_every,
        save_every_kimg=save_every,
        validate_every_kimg=validate_every,
        on_trouble=on_trouble,
        finetune_from=finetune_from,
        from_scratch=from_scratch,
        extend=extend,
        force=force,
        threads=context.obj,
    )
    report = train(options, console)
    if report.rank:  # torchrun started several processes; the first one prints
        end_if_launched()
        return
    if not report.finished:
        console.print(f"stopped and saved at {report.seen / 1000:.1f} kimg. To resume, run {options.same_command}.")
        raise KeyboardInterrupt  # main() exits with 130
    show(out / "model.safetensors")
    console.print(f"trained on {report.seen / 1000:.1f} kimg")
    console.print(f"samples: {out / 'samples.png'}, curves: {out / 'curves.png'}")
    if (out / "best.safetensors").exists():
        console.print(f"best model on the validation split: {out / 'best.safetensors'}")
    console.print(f"draw more faces: facesmith sample --model {quoted(out)} --out more.png")
    instead = " in place of --force" if force else ""
    console.print(f"train longer: the same command with a larger budget, and --extend{instead}")
    end_if_launched()


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="Describe this recipe.")] = None,
) -> None:
    """List the recipes with source, size and cost, or describe one."""
    from facesmith.gan.list_recipes import describe_recipe, recipe_table

    for line in recipe_table() if name is None else describe_recipe(name):
        show(line)


@app.command()
def film(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[Path, typer.Option(help="The film to write, an .mp4 or .gif.")] = Path("progress.mp4"),
    sign: Certificates = None,
    key: SigningKey = None,
    force: Force = False,
) -> None:
    """Make a film of a run: the samples of fixed seeds from the first checkpoint to the last."""
    from facesmith.io.files import refuse_to_overwrite
    from facesmith.pictures.credentials import open_signer
    from facesmith.training.progress_film import progress_film

    refuse_to_overwrite(out, force)
    show(progress_film(run, out, console, open_signer(sign, key)))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    out: Annotated[
        Path | None, typer.Option(help="The page to write, an .html. Default: report.html in the run folder.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Where the faces are now, if they have moved since the training.")
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Show real faces on the page.")] = True,
    force: Force = False,
) -> None:
    """Write a report of a run on one page: samples, film, curves, data, commands to repeat it."""
    from facesmith.report.write_report import write_report

    show(write_report(run, out, data=data, pictures=pictures, force=force, console=console))

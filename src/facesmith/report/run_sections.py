"""The sections of a run's page, in the order of a reader's questions. Each figure says how to read it."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from importlib import import_module

import torch

from facesmith import __version__
from facesmith.faces.describe import attribute_summary, contact_sheet, dataset_summary
from facesmith.io.files import named
from facesmith.io.progress import duration_in_words
from facesmith.pictures.html import Section, Video, as_picture
from facesmith.pictures.images import Pixels
from facesmith.report import explanations
from facesmith.report.log_charts import (
    evenly_spaced,
    loss_charts,
    schedule_charts,
    score_charts,
    share_chart,
    sign_charts,
    term_chart,
)
from facesmith.report.read_run import MAX_WIDTH_PX, RunRecord, limit_width
from facesmith.report.recipe_docstring import split_docstring
from facesmith.report.rerun_commands import is_exact, kimg_text, show_commands, train_command
from facesmith.training.curves import VALIDATION_KID, points
from facesmith.training.diagnosis import diagnose, unexamined

DIAGNOSIS, BALANCE = "Diagnosis", "Balance of the networks"  # titles of sections that the studio opens
CONSTANT_TERMS_HEADER = ("name", "constant at")
STRIP_PICTURES = 6
SHOWN_PICTURES = 8
STRIP_PX = 264
STRIP_SIDE, SHEET_SIDE = 4, 8  # faces in a row: in the strip, and on a contact sheet
SPEED_CHECKPOINTS = 5  # the last checkpoints, which the remaining time is estimated from


def run_sections(run: RunRecord, film: bytes | None, pictures: bool) -> Iterator[Section]:
    """All sections of the page.

    Args:
        film: the contact sheets over time as an MP4, if there is more than one.
        pictures: whether real photos may be shown.
    """
    yield _summary(run)
    if run.missing:
        yield Section("What is missing", bullets=run.missing)
    yield from _samples(run, film)
    yield from _shown(run)
    yield from _balance(run)
    yield from _diagnosis(run)
    yield from _reconstructions(run, pictures)
    yield from _log(run)
    yield from _recipe(run)
    yield from _data(run, pictures)
    yield from _reproduce(run)


def live_sections(run: RunRecord) -> Iterator[Section]:
    """The sections that change during training. They need only what `read_plan_and_log` reads."""
    yield _summary(run)
    yield from _diagnosis(run)
    yield from _balance(run)
    yield from _log(run)


def seconds_left(run: RunRecord) -> float | None:
    """How long the run will still train at the speed of its last checkpoints; None if unknown or finished."""
    budget = run.plan.budget if run.plan is not None else 0
    kimg, seconds = (numbers[-SPEED_CHECKPOINTS:] for numbers in points(run.lines, "seconds"))
    if len(kimg) < 2 or kimg[-1] <= kimg[0] or run.seen >= budget:
        return None
    return (budget - run.seen) / 1000 * (seconds[-1] - seconds[0]) / (kimg[-1] - kimg[0])


def _summary(run: RunRecord) -> Section:
    rows: list[tuple[str, str]] = []
    if run.plan is not None:
        rows += [("recipe", run.plan.recipe), ("data", run.plan.data), ("progress", _progress(run))]
    if run.lines:
        seconds = (points(run.lines, "seconds")[1] or [0.0])[-1]
        rows.append(("training time", duration_in_words(seconds)))
        if seconds > 0:
            rows.append(("speed", f"{run.seen / seconds:.0f} images per second"))
    if run.plan is not None:
        rows.append(("device", f"{run.plan.device}, {run.plan.precision}, CPU threads: {run.plan.threads}"))
        rows.append(("seed", str(run.plan.seed)))
    return Section("Summary", [explanations.summary(run.has_discriminator)], rows=rows)


def _progress(run: RunRecord) -> str:
    assert run.plan is not None
    budget = run.plan.budget
    progress = f"{run.seen / 1000:.1f} of {kimg_text(budget)} kimg"
    if run.seen >= budget:
        return f"{progress}: finished"
    left = seconds_left(run)
    progress = f"{progress}, {run.seen / budget:.0%}"
    return progress if left is None else f"{progress}; about {duration_in_words(left)} left"


def _samples(run: RunRecord, film: bytes | None) -> Iterator[Section]:
    if not run.frames:
        return
    seen, newest = run.frames[-1]
    label = f"Generated faces of seeds 0 to 63 after {seen / 1000:.1f} kimg"
    explanation = explanations.contact_sheet(run.has_discriminator)
    yield Section("Samples", figures=[as_picture(newest, label)], explanation=explanation)
    if len(run.frames) > 1:
        videos = [Video(film, "The same 64 faces from the first checkpoint to the last")] if film else []
        frames = evenly_spaced(run.frames, STRIP_PICTURES)
        strip = [as_picture(_upper_left_faces(sheet), f"{at / 1000:.1f} kimg") for at, sheet in frames]
        yield Section("Samples over time", videos=videos, strip=strip, explanation=explanations.FILM)


def _shown(run: RunRecord) -> Iterator[Section]:
    """The pictures that the recipe wrote itself, such as five faces after each epoch."""
    if run.shown:
        pictures = evenly_spaced(run.shown, SHOWN_PICTURES)
        figures = [as_picture(pixels, f"{seen / 1000:.1f} kimg") for seen, pixels in pictures]
        yield Section("Pictures of the recipe", figures=figures, explanation=explanations.SHOWN)


def _upper_left_faces(sheet: Pixels) -> Pixels:
    """The upper left corner of a square contact sheet, with `STRIP_SIDE` faces in a row."""
    side = round(sheet.shape[1] * STRIP_SIDE / SHEET_SIDE) - 1
    return limit_width(sheet[:side, :side], STRIP_PX)


def _balance(run: RunRecord) -> Iterator[Section]:
    charts = share_chart(run.lines)
    if charts:
        yield Section(BALANCE, charts=charts, explanation=explanations.balance(run.lines))
    histograms = score_charts(run.histograms)
    if histograms:
        explanation = explanations.scores(run.histograms[-1][1])
        yield Section("Discriminator scores", charts=histograms[-1:], explanation=explanation)
        if len(histograms) > 1:
            explanation = explanations.SCORES_OVER_TIME
            yield Section("Discriminator scores over time", charts=histograms, explanation=explanation)


def _diagnosis(run: RunRecord) -> Iterator[Section]:
    """The problems of a GAN, and the statistics that show them."""
    charts = sign_charts(run.lines)
    if not charts:
        return
    budget = run.plan.budget if run.plan is not None else run.seen
    bullets = [f"{str(problem)[0].upper()}{str(problem)[1:]}" for problem in diagnose(run.lines, budget)]
    bullets += [
        f"At {line['rolled_back_from'] / 1000:.1f} kimg ({line.get('problems')}) the run was rolled back to "
        f"{line['seen'] / 1000:.1f} kimg, and its learning rates were halved."
        for line in run.lines
        if type(line.get("rolled_back_from")) is int
    ]
    missing = unexamined(run.lines)
    if not bullets:
        bullets.append("No problem found." if not missing else "No problem found among those that were examined.")
    if missing:
        bullets.append(f"Not examined: {', '.join(missing)}.")
    yield Section(
        DIAGNOSIS,
        bullets=bullets,
        charts=charts,
        explanation=explanations.DIAGNOSIS_STATISTICS,
    )


def _reconstructions(run: RunRecord, pictures: bool) -> Iterator[Section]:
    title, charts = "Reconstructions", term_chart(run.lines, "reconstruction/psnr_db")
    explanation = explanations.RECONSTRUCTIONS
    if run.pairs is not None and pictures:
        figure = as_picture(run.pairs, "Held-out faces, each above its reconstruction")
        yield Section(title, figures=[figure], charts=charts, explanation=explanation)
    elif run.reconstructions:
        figure = as_picture(run.reconstructions[-1][1], "Reconstructions of held-out faces")
        yield Section(
            title, [explanations.ORIGINALS_LEFT_OUT], figures=[figure], charts=charts, explanation=explanation
        )
    elif run.recipe is not None and "E" in run.recipe.averaged and run.lines:
        yield Section(title, ["The validation split is empty, so there are no held-out faces to reconstruct."])


def _log(run: RunRecord) -> Iterator[Section]:
    charts, constant = loss_charts(run.lines)
    if charts or constant:
        explanation = explanations.losses(run.has_discriminator)
        yield Section("Losses", charts=charts, header=CONSTANT_TERMS_HEADER, rows=constant, explanation=explanation)
    validation = term_chart(run.lines, VALIDATION_KID)
    if validation:
        yield Section("Validation", charts=validation, explanation=explanations.VALIDATION)
    charts, constant = schedule_charts(run.lines)
    if charts or constant:
        explanation = explanations.SCHEDULES
        yield Section(
            "Learning rates and schedules",
            charts=charts,
            header=CONSTANT_TERMS_HEADER,
            rows=constant,
            explanation=explanation,
        )
    charts = [*term_chart(run.lines, "images_per_second"), *term_chart(run.lines, "memory_mib")]
    if charts:
        yield Section("Speed and memory", charts=charts, explanation=explanations.SPEED)


def _recipe(run: RunRecord) -> Iterator[Section]:
    if run.plan is None or run.recipe is None:
        return
    first, *others = split_docstring(import_module(type(run.recipe).__module__).__doc__ or "")
    yield Section(f"Recipe: {run.plan.recipe}", first.lines, rows=first.rows, bullets=first.bullets)
    for part in others:
        yield Section(part.title, part.lines, rows=part.rows, bullets=part.bullets, folded=True)
    values = [(each.name, str(getattr(run.recipe, each.name)), each.metadata["help"]) for each in fields(run.recipe)]
    yield Section("Hyperparameters", header=("name", "value", "meaning"), rows=values, folded=True)
    sizes = list(run.recipe.parameter_counts().items())
    yield Section("Networks", header=("network", "parameters"), rows=sizes, folded=True)


def _data(run: RunRecord, pictures: bool) -> Iterator[Section]:
    if run.faces is None:
        return
    summary = list(dataset_summary(run.faces))
    explanation = explanations.data(run.plan is None or run.plan.hold_out)
    if pictures:
        sheet = limit_width(contact_sheet(run.faces), MAX_WIDTH_PX)
        figures = [as_picture(sheet, "Real faces, evenly spaced in the data")]
        yield Section("Data", rows=summary, figures=figures, explanation=explanation)
    else:
        yield Section("Data", ["This page leaves out the real faces."], rows=summary, explanation=explanation)
    rows = list(attribute_summary(run.faces))
    if rows:
        yield Section("Attributes of the data", header=("attribute", "share or range"), rows=rows, folded=True)


def _reproduce(run: RunRecord) -> Iterator[Section]:
    rows = [
        ("this page", f"facesmith {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("this machine", f"Python {platform.python_version()}, torch {torch.__version__}, {platform.system()}"),
    ]
    if run.model is not None:
        rows.append(("model", f"facesmith {run.model.header.get('version')}, sha256 {run.model.hash[:16]}"))
    if run.plan is not None:
        rows.append(("data", f"fingerprint {run.plan.fingerprint[:16]}"))
        hyperparameters = run.recipe.hyperparameters() if run.recipe else run.plan.hyperparameters
        folder = named(run.folder)
        again = folder.with_name(f"{folder.name}-again")
        code = [train_command(run.plan, hyperparameters, again), show_commands(run.folder)]
        how = explanations.EXACTLY if is_exact(run.plan, run.lines) else explanations.SIMILARLY
        yield Section("Reproduce", [f"{how} {explanations.OTHER_COMMANDS}"], code=code)
    yield Section("Versions", rows=rows)

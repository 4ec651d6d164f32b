"""A run as the parts of a page, in the order of a reader's questions; each figure says how to read it."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from importlib import import_module

import torch

from facesmith import __version__
from facesmith.faces.describe import attribute_summary, contact_sheet, dataset_summary
from facesmith.gan.list_recipes import count_parameters
from facesmith.io.html import Picture, Section, Video, as_picture
from facesmith.io.images import Pixels, limit_width
from facesmith.report import explanations
from facesmith.report.log_charts import balance_chart, knob_charts, loss_charts, score_charts, sign_charts, term_chart
from facesmith.report.read_run import RunRecord
from facesmith.report.recipe_docstring import paragraphs
from facesmith.report.rerun_commands import kimg_text, show_commands, train_command
from facesmith.training.curves import WATCHED, points
from facesmith.training.diagnosis import diagnose

STRIP = 6
STRIP_PX = 264
STRIP_SIDE = 4  # of a sheet's faces, so many across and down are shown in the strip
SHEET_SIDE = 8
UNCHANGED = ("name", "stays at")
RECENT = 5  # saves that tell the present speed


def run_sections(run: RunRecord, film: bytes | None, pictures: bool) -> Iterator[Section]:
    """All parts of the page.

    Args:
        film: the fixed faces over time as an MP4, where there is one.
        pictures: whether real photos may be shown.
    """
    yield _in_short(run)
    if run.missing:
        yield Section("What this page can't show", bullets=run.missing)
    yield from _faces(run, film)
    yield from _game(run)
    yield from _health(run)
    yield from _reconstructions(run, pictures)
    yield from _log(run)
    yield from _recipe(run)
    yield from _data(run, pictures)
    yield from _again(run)


def live_sections(run: RunRecord) -> Iterator[Section]:
    """The parts that change while a run trains, of its plan and its log alone (`gather.read_plan_and_log`)."""
    yield _in_short(run)
    yield from _health(run)
    yield from _game(run)
    yield from _log(run)


def seconds_left(run: RunRecord) -> float | None:
    """How long it will train yet at the speed of its last saves; None where that can't be told."""
    budget = run.plan.budget if run.plan is not None else 0
    kimg, seconds = (held[-RECENT:] for held in points(run.lines, "seconds"))
    if len(kimg) < 2 or kimg[-1] <= kimg[0] or run.seen >= budget:
        return None
    return (budget - run.seen) / 1000 * (seconds[-1] - seconds[0]) / (kimg[-1] - kimg[0])


def _in_short(run: RunRecord) -> Section:
    rows: list[tuple[str, str]] = []
    if run.plan is not None:
        rows += [("recipe", run.plan.recipe), ("learns from", run.plan.data), ("progress", _progress(run))]
    if run.lines:
        seconds = (points(run.lines, "seconds")[1] or [0.0])[-1]
        rows.append(("time in training", duration(seconds)))
        if seconds > 0:
            rows.append(("speed", f"{run.seen / seconds:.0f} faces a second"))
    if run.plan is not None:
        threads = f"{run.plan.threads} thread{'s' if run.plan.threads > 1 else ''}"
        rows.append(("computed", f"in {run.plan.precision} on {run.plan.device}, {threads}"))
        rows.append(("seed", str(run.plan.seed)))
    return Section("In short", [explanations.in_short(run.has_discriminator)], rows=rows)


def _progress(run: RunRecord) -> str:
    assert run.plan is not None
    budget = run.plan.budget
    told = f"{run.seen / 1000:.1f} of {kimg_text(budget)} kimg"
    if run.seen >= budget:
        return f"{told}: finished"
    left = seconds_left(run)
    told = f"{told}, {run.seen / budget:.0%}"
    return told if left is None else f"{told}; {duration(left)} more at the speed of the last saves"


def _faces(run: RunRecord, film: bytes | None) -> Iterator[Section]:
    if not run.frames:
        return
    seen, newest = run.frames[-1]
    label = f"Generated faces of seeds 0 to 63 after {seen / 1000:.1f} kimg"
    yield Section("What it draws", figures=[as_picture(newest, label)], how=explanations.sheet(run.has_discriminator))
    if len(run.frames) > 1:
        videos = [Video(film, "The same 64 faces from the first save to the last")] if film else []
        strip = [as_picture(_part(sheet), f"{at / 1000:.1f} kimg") for at, sheet in _some(run.frames)]
        yield Section("How it learnt to", videos=videos, strip=strip, how=explanations.FILM)


def _some(frames: list[tuple[int, Pixels]]) -> list[tuple[int, Pixels]]:
    """Some moments, evenly spread, first and last among them."""
    last = len(frames) - 1
    return [frames[i] for i in sorted({round(i * last / (STRIP - 1)) for i in range(STRIP)})]


def _part(sheet: Pixels) -> Pixels:
    """The first faces of a square sheet."""
    side = round(sheet.shape[1] * STRIP_SIDE / SHEET_SIDE) - 1
    return limit_width(sheet[:side, :side], STRIP_PX)


def _game(run: RunRecord) -> Iterator[Section]:
    balance = balance_chart(run.lines)
    if balance:
        yield Section("Who wins", charts=balance, how=explanations.balance(run.lines))
    scores = score_charts(run.histograms)
    if scores:
        newest = run.histograms[-1][1]
        yield Section("What the critic says now", charts=scores[-1:], how=explanations.scores(newest))
        if len(scores) > 1:
            yield Section("What the critic said over time", charts=scores, how=explanations.SCORES_OVER_TIME)


def _health(run: RunRecord) -> Iterator[Section]:
    """What the doctor says of a game, and the signs it goes by."""
    charts = sign_charts(run.lines)
    if not charts:
        return
    budget = run.plan.budget if run.plan is not None else run.seen
    told = [f"{str(problem)[0].upper()}{str(problem)[1:]}" for problem in diagnose(run.lines, budget)]
    returns = [line for line in run.lines if "rolled_back_from" in line]
    told += [
        f"At {line['rolled_back_from'] / 1000:.1f} kimg ({line.get('problems')}) it went back to "
        f"{line['seen'] / 1000:.1f} kimg, and on with half the learning rates."
        for line in returns
        if type(line["rolled_back_from"]) is int
    ]
    yield Section("What the doctor says", bullets=told or ["Nothing is wrong."], charts=charts, how=explanations.SIGNS)


def _reconstructions(run: RunRecord, pictures: bool) -> Iterator[Section]:
    title, charts = "What it can draw again", term_chart(run.lines, "reconstruction/psnr_db", "PSNR in decibels")
    if run.pairs is not None and pictures:
        figure = as_picture(run.pairs, "Faces that were not trained on, each above its reconstruction")
        yield Section(title, figures=[figure], charts=charts, how=explanations.RECONSTRUCTIONS)
    elif run.rebuilt:
        figure = as_picture(run.rebuilt[-1][1], "Reconstructions of faces that were not trained on")
        yield Section(
            title, [explanations.ORIGINALS_LEFT_OUT], figures=[figure], charts=charts, how=explanations.RECONSTRUCTIONS
        )
    elif run.recipe is not None and "E" in run.recipe.averaged and run.lines:
        yield Section(title, ["There are no held-out faces to reconstruct: none fell to the part for validation."])


def _log(run: RunRecord) -> Iterator[Section]:
    charts, constant = loss_charts(run.lines)
    if charts or constant:
        told = explanations.losses(run.has_discriminator)
        yield Section("What each network tries to make small", charts=charts, header=UNCHANGED, rows=constant, how=told)
    watched = term_chart(run.lines, WATCHED, "KID to the validation faces")
    if watched:
        yield Section("How good it was", charts=watched, how=explanations.WATCHED)
    charts, constant = knob_charts(run.lines)
    if charts or constant:
        yield Section(
            "Learning rates and knobs", charts=charts, header=UNCHANGED, rows=constant, how=explanations.KNOBS
        )
    speed = term_chart(run.lines, "images_per_second", "faces a second")
    memory = term_chart(run.lines, "memory_mib", "memory in MiB")
    if speed or memory:
        yield Section("Speed and memory", charts=[*speed, *memory], how=explanations.SPEED)


def _recipe(run: RunRecord) -> Iterator[Section]:
    if run.plan is None or run.recipe is None:
        return
    first, *rest = paragraphs(import_module(type(run.recipe).__module__).__doc__ or "")
    yield Section(f"The recipe: {run.plan.recipe}", first.lines, rows=first.rows, bullets=first.bullets)
    yield from (Section(part.title, part.lines, rows=part.rows, bullets=part.bullets, folded=True) for part in rest)
    values = [(each.name, str(getattr(run.recipe, each.name)), each.metadata["help"]) for each in fields(run.recipe)]
    yield Section("Its values in this run", header=("value", "is", "meaning"), rows=values, folded=True)
    with torch.device("meta"):
        networks = run.recipe.networks()
    sizes = [(name, count_parameters(net)) for name, net in networks.items()]
    yield Section("Its networks", header=("network", "parameters"), rows=sizes, folded=True)


def _data(run: RunRecord, pictures: bool) -> Iterator[Section]:
    if run.faces is None:
        return
    shown: list[Picture] = []
    if pictures:
        sheet = limit_width(contact_sheet(run.faces), 720)
        shown = [as_picture(sheet, "Real faces of the data, spread evenly over it")]
    left_out = [] if pictures else ["The real faces are left out of this page."]
    yield Section(
        "What it learns from", left_out, rows=list(dataset_summary(run.faces)), figures=shown, how=explanations.DATA
    )
    rows = list(attribute_summary(run.faces))
    if rows:
        yield Section("Attributes of the data", header=("attribute", "share, or spread"), rows=rows, folded=True)


def _again(run: RunRecord) -> Iterator[Section]:
    rows = [("this page", f"facesmith {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")]
    rows += [("here", f"Python {platform.python_version()}, torch {torch.__version__}, {platform.system()}")]
    if run.model is not None:
        rows += [("the model", f"facesmith {run.model.header.get('version')}, sha256 {run.model.hash[:16]}")]
    if run.plan is not None:
        rows += [("the data", f"fingerprint {run.plan.fingerprint[:16]}")]
        values = run.recipe.hyperparameters() if run.recipe else run.plan.hyperparameters
        again = run.folder.with_name(f"{run.folder.name}-again")
        code = [train_command(run.plan, values, again), show_commands(run.folder)]
        yield Section("Do it again", [explanations.AGAIN], code=code)
    yield Section("Versions", rows=rows)


def duration(seconds: float) -> str:
    """A duration in words."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} seconds"
    return f"{minutes} minutes" if minutes < 120 else f"{minutes // 60} hours {minutes % 60} minutes"

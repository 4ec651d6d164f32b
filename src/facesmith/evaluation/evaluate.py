"""Models and real faces -> report.json and report.html."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from facesmith.attributes.train_classifier import ClassifierBudget
from facesmith.errors import BadModel, BadOption
from facesmith.evaluation.condition_results import answer_table, obedience, with_condition_results
from facesmith.evaluation.evaluation_json import receipt
from facesmith.evaluation.evaluation_page import report
from facesmith.evaluation.model_result import ModelResult, evaluate_model
from facesmith.evaluation.reference import Reference, fits, prepare_reference
from facesmith.evaluation.verdicts import table, verdicts, warnings
from facesmith.faces import open_faces
from facesmith.io.files import atomic_write, refuse_to_overwrite
from facesmith.metrics.comparison import MIN_SAMPLES
from facesmith.metrics.features import open_extractor
from facesmith.model import Model, load

BUNDLED = "shipped"
JSON, HTML = "report.json", "report.html"


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of `facesmith evaluate`, as the command line gives them.

    Attributes:
        classifier_budget: of the classifier that judges conditional models.
    """

    models: Sequence[Path | None]
    data: Path
    out: Path
    samples: int
    features: str = "lite0"
    weights: Path | None = None
    download: bool = False
    limit: int | None = None
    pictures: bool = True
    force: bool = False
    psi: float = 1.0
    classifier_budget: ClassifierBudget = field(default_factory=ClassifierBudget)


def evaluate(asked: EvaluateOptions, console: Console) -> Iterator[str]:
    """Judge models against the test part of real faces; the lines of the result, then the files written.

    Raises:
        FacesmithError: the models, the faces or the options can't be used.
    """
    start = time.monotonic()
    if asked.samples < MIN_SAMPLES:
        raise BadOption(
            f"--samples {asked.samples} are too few; the metrics need {MIN_SAMPLES}, and 5000 to mean much."
        )
    refuse_to_overwrite(asked.out, asked.force)
    models = [load(path) for path in asked.models]
    _alike(models)
    extractor = open_extractor(asked.features, asked.weights, download=asked.download)
    recipe = models[0].recipe
    faces = open_faces(asked.data, recipe.resolution, recipe.channels, limit=asked.limit, console=console)
    for notice in (*faces.notices, *(fits(model.header, faces, model.path) for model in models)):
        if notice:
            console.print(f"notice: {notice}")
    reference = prepare_reference(faces, extractor, asked.samples, console)
    for warning in warnings(asked.samples, reference):
        console.print(f"warning: {warning}")
    judgements, seconds = [], {"real faces": round(time.monotonic() - start, 1)}
    names = _names(asked.models)
    for model, name in zip(models, names, strict=True):
        if len(models) > 1:
            console.print(f"judging {name} ...")
        judged = evaluate_model(model, reference, asked.samples, console, asked.psi)
        judgements.append(with_condition_results(judged, reference, asked.classifier_budget, console))
    seconds |= {
        f"{what}, {name}": s for j, name in zip(judgements, names, strict=True) for what, s in j.seconds.items()
    }
    seconds["all"] = round(time.monotonic() - start, 1)
    yield from _lines(judgements, names, reference)
    with atomic_write(asked.out / JSON, "w") as stream:
        json.dump(receipt(judgements, reference, asked.samples, seconds), stream, indent=1, ensure_ascii=False)
    with atomic_write(asked.out / HTML, "w") as stream:
        stream.write(report(judgements, names, reference, pictures=asked.pictures))
    yield str(asked.out / JSON)
    yield f"look at {asked.out / HTML}"


def _alike(models: Sequence[Model]) -> None:
    """Raise BadModel where the models' pictures differ in kind, so that their numbers could not be compared."""
    kinds = {model.path: (model.G.resolution, model.G.channels) for model in models}
    if len(set(kinds.values())) > 1:
        told = ", ".join(
            f"{path} {side}x{side} {'grey' if grey == 1 else 'colour'}" for path, (side, grey) in kinds.items()
        )
        raise BadModel(f"These models draw pictures of different kinds ({told}); compare models of one kind.")


def _names(paths: Sequence[Path | None]) -> list[str]:
    """Short names that tell the models apart."""
    short = [_short(path) for path in paths]
    return short if len(set(short)) == len(short) else [str(path or BUNDLED) for path in paths]


def _short(path: Path | None) -> str:
    if path is None:
        return BUNDLED
    whole = path.resolve()
    return whole.stem if whole.suffix else whole.name


def _lines(judgements: Sequence[ModelResult], names: Sequence[str], reference: Reference) -> Iterator[str]:
    yield from _aligned(table(judgements, names, reference))
    for judged, name in zip(judgements, names, strict=True):
        yield ""
        if len(judgements) > 1:
            yield f"{name}:"
        yield from (f"{verdict.question:<16} {verdict.answer}" for verdict in verdicts(judged, reference))
        if judged.answers:
            yield ""
            yield from _aligned(answer_table(judged.answers, reference.extractor.name))
            yield from obedience(judged.answers)
    yield ""


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of a table as lines."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

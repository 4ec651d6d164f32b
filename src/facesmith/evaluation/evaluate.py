"""Compare models with real faces, and write report.json and report.html."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from facesmith.attributes.train_classifier import ClassifierBudget
from facesmith.errors import BadModel, BadOption
from facesmith.evaluation.attribute_shares import attribute_summary, attribute_table
from facesmith.evaluation.condition_results import condition_effects, condition_table, with_condition_results
from facesmith.evaluation.evaluation_json import evaluation_json
from facesmith.evaluation.evaluation_page import evaluation_page
from facesmith.evaluation.measure_attributes import attribute_shares, checked_labels
from facesmith.evaluation.model_result import ModelResult, evaluate_model
from facesmith.evaluation.reference import Reference, check_training_data, prepare_reference
from facesmith.evaluation.verdicts import metric_table, verdicts, warnings
from facesmith.faces import Faces, open_faces
from facesmith.io.files import atomic_write
from facesmith.io.memory import largest_fitting, require_memory
from facesmith.io.outputs import Outputs
from facesmith.metrics.arrays import ROWS
from facesmith.metrics.comparison import MIN_SAMPLES
from facesmith.metrics.copies import BATCH_SIZE as THUMBNAIL_BATCH_SIZE
from facesmith.metrics.copies import THUMBNAIL_PX
from facesmith.metrics.face_embedding import DIMS as EMBEDDING_DIMS
from facesmith.metrics.features import Extractor, open_extractor
from facesmith.metrics.identity import BLOCK as PEOPLE_BATCH_SIZE
from facesmith.model import Model, load
from facesmith.modelfiles.evaluation_file import EVALUATION, EVALUATION_FOLDER
from facesmith.modelfiles.locate import model_names
from facesmith.modelfiles.run_folder import PLAN

HTML = "report.html"
# The largest number of copies in memory at the same time, to estimate what an evaluation needs:
PICTURE_COPIES = 3  # of the samples, as uint8
FEATURE_COPIES = 4  # of their features, in double precision
DISTANCE_COPIES = 4  # of a block of distances between features, or between embeddings
THUMBNAIL_COPIES = 2  # of the thumbnails of real faces


@dataclass(frozen=True)
class EvaluateOptions:
    """The options of `facesmith evaluate`, as on the command line.

    Attributes:
        models: their paths; None is the bundled generator.
        identity: compare people by face recognition.
        attributes: compare how often labeled attributes occur in the data and among samples.
        classifier_budget: for the classifier that evaluates conditional models.
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
    identity: bool = True
    attributes: bool = False
    classifier_budget: ClassifierBudget = field(default_factory=ClassifierBudget)


def evaluate(options: EvaluateOptions, console: Console) -> Iterator[str]:
    """Compare models with the test split of real faces.

    Returns:
        Lines to print: metrics and verdicts, then the files that were written.

    Raises:
        FacesmithError: the models, the faces or the options can't be used.
    """
    start = time.monotonic()
    if options.samples < MIN_SAMPLES:
        raise BadOption(f"--samples {options.samples} is too few: at least {MIN_SAMPLES} are needed, better 5000.")
    if (options.out / PLAN).exists():
        raise BadOption(
            f"--out {options.out} is a run folder, which has a {HTML} of its own. "
            f"Use --out {options.out / EVALUATION_FOLDER}."
        )
    outputs = Outputs([options.out], replace(options, force=False), folder=True)
    outputs.refuse_to_overwrite(options.force)
    models = [load(path) for path in options.models]
    _check_same_format(models)
    extractor = open_extractor(options.features, options.weights, download=options.download)
    _check_memory(options, models[0], extractor)
    recipe = models[0].recipe
    faces = open_faces(options.data, recipe.resolution, recipe.channels, limit=options.limit, console=console)
    _check_memory_of_faces(options, models[0], extractor, faces)
    for notice in (*faces.notices, *(check_training_data(model.header, faces, model.path) for model in models)):
        if notice:
            console.print(f"notice: {notice}")
    labels = checked_labels(faces, console) if options.attributes else None
    reference = prepare_reference(faces, extractor, options.samples, console, identity=options.identity)
    for warning in warnings(options.samples, reference):
        console.print(f"warning: {warning}")
    seconds = {"real faces": round(time.monotonic() - start, 1)}
    results, names = [], model_names(options.models)
    for model, name in zip(models, names, strict=True):
        if len(models) > 1:
            console.print(f"evaluating {name} ...")
        result = evaluate_model(model, reference, options.samples, console, options.psi)
        if labels is not None:
            result = replace(result, attributes=attribute_shares(result, reference, labels, console))
        results.append(with_condition_results(result, reference, options.classifier_budget, console))
        seconds |= {f"{task}, {name}": spent for task, spent in result.seconds.items()}
    seconds["all"] = round(time.monotonic() - start, 1)
    yield from _summary(results, names, reference)
    with outputs.writing():
        with atomic_write(options.out / EVALUATION, "w") as stream:
            content = evaluation_json(results, reference, options.samples, seconds, limit=options.limit)
            json.dump(content, stream, indent=1)  # escapes the bytes of names that are not UTF-8
        with atomic_write(options.out / HTML, "w") as stream:
            stream.write(evaluation_page(results, names, reference, pictures=options.pictures))
    yield str(options.out / EVALUATION)
    yield f"look at {options.out / HTML}"


def _check_memory(options: EvaluateOptions, model: Model, extractor: Extractor) -> None:
    """Raise BadOption if the samples, their features and the metrics need more memory than is free."""
    per_sample = _bytes_per_sample(options, model, extractor)

    def needed(samples: int) -> int:
        return samples * per_sample

    fitting = largest_fitting(needed, options.samples)
    advice = f"Use --samples {fitting} or fewer." if fitting >= MIN_SAMPLES else "Free some memory."
    require_memory(needed(options.samples), f"--samples {options.samples}", advice)


def _bytes_per_sample(options: EvaluateOptions, model: Model, extractor: Extractor) -> int:
    picture_bytes = PICTURE_COPIES * model.G.resolution**2 * 3
    kept_bytes = len(options.models) * (picture_bytes + extractor.dims * 4)
    return kept_bytes + FEATURE_COPIES * extractor.dims * 8 + DISTANCE_COPIES * ROWS * 8


def _check_memory_of_faces(options: EvaluateOptions, model: Model, extractor: Extractor, faces: Faces) -> None:
    """Raise BadOption if the real faces and the samples together need more memory than is free."""
    n_faces, tests, training = len(faces.names), len(faces.part("test")), len(faces.part("train"))
    feature_bytes = FEATURE_COPIES * extractor.dims * 8
    compared_bytes = THUMBNAIL_COPIES * THUMBNAIL_PX**2 * faces.channels * 4 + THUMBNAIL_BATCH_SIZE * 4
    if options.identity:
        compared_bytes += EMBEDDING_DIMS * 4 + DISTANCE_COPIES * PEOPLE_BATCH_SIZE * 4
    per_test = PICTURE_COPIES * faces.resolution**2 * 3 + feature_bytes + DISTANCE_COPIES * ROWS * 8 + compared_bytes
    of_samples = options.samples * _bytes_per_sample(options, model, extractor)

    def needed(limit: int) -> float:
        share = limit / n_faces
        of_features = min(options.samples, share * training) * feature_bytes
        return of_samples + of_features + share * (tests * per_test + training * compared_bytes)

    fitting = largest_fitting(needed, n_faces)
    advice = f"Use --limit {fitting} or less. Copies are found only if the model was trained with the same --limit."
    if fitting < MIN_SAMPLES:
        advice = "Use fewer --samples, or free some memory."
    require_memory(needed(n_faces), f"A comparison of {options.samples} samples with {n_faces} faces", advice)


def _check_same_format(models: Sequence[Model]) -> None:
    """Raise BadModel if the models' pictures differ in size or color, so that their metrics can't be compared."""
    formats = {model.path: (model.G.resolution, model.G.channels) for model in models}
    if len(set(formats.values())) > 1:
        listed = ", ".join(
            f"{path}: {side}x{side} {'gray' if channels == 1 else 'color'}"
            for path, (side, channels) in formats.items()
        )
        raise BadModel(f"These models draw pictures of different formats ({listed}); compare models of one format.")


def _summary(results: Sequence[ModelResult], names: Sequence[str], reference: Reference) -> Iterator[str]:
    yield from _aligned(metric_table(results, names, reference))
    for result, name in zip(results, names, strict=True):
        yield ""
        if len(results) > 1:
            yield f"{name}:"
        yield from (f"{verdict.question:<20}  {verdict.answer}" for verdict in verdicts(result, reference))
        if result.conditions:
            yield ""
            yield from _aligned(condition_table(result.conditions, reference.extractor.name))
            yield from condition_effects(result.conditions)
        if result.attributes:
            yield ""
            yield from _aligned(attribute_table(result.attributes))
            yield attribute_summary(result.attributes)
    yield ""


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows of a table as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

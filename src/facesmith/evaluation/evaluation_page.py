"""report.html: the evaluation as a page with pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from facesmith.evaluation.attribute_shares import attribute_summary, attribute_table, explanation
from facesmith.evaluation.condition_results import (
    EXPLANATION as CONDITIONS_EXPLANATION,
)
from facesmith.evaluation.condition_results import (
    SHEET_SEEDS,
    condition_effects,
    condition_sheet,
    condition_table,
)
from facesmith.evaluation.model_result import PAIRS, ModelResult
from facesmith.evaluation.reference import Reference
from facesmith.evaluation.verdicts import (
    MEANINGS,
    NOT_MEASURED,
    metric_name,
    metric_table,
    new_people,
    novelty,
    verdicts,
    warnings,
)
from facesmith.io.files import named
from facesmith.metrics.copies import NearestFaces
from facesmith.metrics.identity import People, PeopleCheck
from facesmith.modelfiles.run_folder import CURVES
from facesmith.pictures.charts import BLUE, ORANGE, Bars, histogram_chart
from facesmith.pictures.html import Chart, Picture, Section, as_picture, page
from facesmith.pictures.images import grid
from facesmith.watermark.embed import watermarked

MAX_SAMPLES_SHOWN = 64
PAIRS_PER_ROW = 6  # large enough to see on a phone
RATIO_EDGES = np.geomspace(0.01, 2, 61)


def evaluation_page(
    results: Sequence[ModelResult], names: Sequence[str], reference: Reference, *, pictures: bool
) -> str:
    """The page as HTML.

    Args:
        names: of the models.
        pictures: whether real faces may be shown next to samples.
    """
    question = "How good is it?" if len(results) == 1 else "Which is better?"
    return page(f"{question} {' · '.join(names)}", _sections(results, names, reference, pictures=pictures))


def _sections(
    results: Sequence[ModelResult], names: Sequence[str], reference: Reference, *, pictures: bool
) -> Iterator[Section]:
    samples = len(results[0].pictures)
    owners = [f" of {name}" for name in names] if len(results) > 1 else [""]
    for result, owner in zip(results, owners, strict=True):
        rows = [(verdict.question, verdict.answer) for verdict in verdicts(result, reference)]
        yield Section(f"Verdict{owner}", [result.notice] if result.notice else [], rows=rows)
    header, *rows_of_numbers = metric_table(results, names, reference)
    yield Section("Numbers", _protocol(reference, samples, results[0].psi), header, rows_of_numbers)
    for result, owner in zip(results, owners, strict=True):
        yield _samples(result, owner)
        if result.conditions:
            yield _conditions(result, reference, owner)
        if result.attributes:
            yield _attributes(result, owner)
        yield _nearest_faces(result, reference, owner, pictures=pictures)
        if result.people is not None:
            yield _nearest_people(result, result.people, reference, owner, pictures=pictures)
        curves = result.model.path.parent / CURVES
        if curves.is_file():
            yield Section(f"Training{owner}", figures=[Picture(curves.read_bytes(), f"Training curves{owner}")])
    meanings = [
        (metric_name(metric, samples, reference), meaning)
        for metric, meaning in MEANINGS.items()
        if metric in reference.real_scores
    ]
    if meanings:
        yield Section("What the numbers mean", header=("metric", "meaning"), rows=meanings)


def _protocol(reference: Reference, samples: int, psi: float) -> list[str]:
    faces, extractor = reference.faces, reference.extractor
    return [
        *warnings(samples, reference),
        f"{samples} samples (seeds 0 to {samples - 1}, psi {psi:g}) are compared with all {len(reference.test)} test "
        f"faces of {named(faces.path).name} (fingerprint {faces.fingerprint[:16]}).",
        f"The column “real faces” is the best possible value: {len(reference.real)} real training faces take the place "
        "of the samples. ± is the 95 % interval over disjoint sets of samples.",
        f"Features: {extractor.name}, {extractor.dims} dimensions; pictures resized by {extractor.resize}.",
    ]


def _samples(result: ModelResult, owner: str) -> Section:
    pictures = watermarked(result.pictures[:MAX_SAMPLES_SHOWN])
    seeds = f"seeds 0 to {len(pictures) - 1}"
    lines = [f"{seeds.capitalize()}, psi {result.psi:g}, not selected by hand."]
    return Section(f"Samples{owner}", lines, figures=[as_picture(grid(pictures), f"Samples{owner}, {seeds}")])


def _conditions(result: ModelResult, reference: Reference, owner: str) -> Section:
    """How the samples follow the conditions of a conditional model."""
    header, *rows = condition_table(result.conditions, reference.extractor.name)
    pictures, row_names = condition_sheet(result.model, result.psi)
    lines = [
        CONDITIONS_EXPLANATION,
        *condition_effects(result.conditions),
        f"Rows with the same seeds: {', '.join(row_names)}.",
    ]
    figure = as_picture(grid(pictures, columns=SHEET_SEEDS), f"Faces by condition{owner}")
    return Section(f"Conditions{owner}", lines, header, rows, figures=[figure])


def _nearest_faces(result: ModelResult, reference: Reference, owner: str, *, pictures: bool) -> Section:
    """The samples that look most like a training photo."""
    check = result.copy_check
    lines = [novelty(result, reference)] if check is None else []
    lines += [
        "The copy check divides a sample's distance to the nearest training face by its distance to the nearest "
        "held-out face. A copy has a far smaller ratio than new faces. These samples have the smallest ratios."
    ]
    charts = []
    if reference.test_nearest is not None:
        title = "Samples to the left of the dotted line count as copies" if check else ""
        charts = [_ratio_chart(result.nearest, reference.test_nearest.ratio, title, check.threshold if check else None)]
    return _pairs_section("Nearest faces", owner, lines, result, result.nearest, reference, charts, pictures=pictures)


def _nearest_people(
    result: ModelResult, check: PeopleCheck, reference: Reference, owner: str, *, pictures: bool
) -> Section:
    """The samples that look most like a training person, whatever the light and the expression."""
    assert isinstance(reference.people, People)
    lines = [
        new_people(result, reference),
        "Faces are compared by embeddings of a face recognition network. The ratio is the distance to the nearest "
        "training person divided by the distance to the nearest held-out person. These samples have the smallest "
        "ratios. Some resemblance is normal: among many people there is always somebody who looks alike.",
    ]
    title = f"{check.real_share:.0%} of held-out people are to the left of the dotted line"
    charts = [_ratio_chart(check.nearest, reference.people.ratios, title, check.threshold)]
    return _pairs_section("Nearest people", owner, lines, result, check.nearest, reference, charts, pictures=pictures)


def _pairs_section(
    title: str,
    owner: str,
    lines: list[str],
    result: ModelResult,
    nearest: NearestFaces,
    reference: Reference,
    charts: list[Chart],
    *,
    pictures: bool,
) -> Section:
    """The samples with the smallest distance ratios, each above the real faces that it is compared with."""
    seeds, faces = nearest.smallest_ratios(PAIRS), reference.faces
    training = reference.training[nearest.training[seeds]]
    has_tests = len(reference.test) > 0
    held_out = reference.test[nearest.held_out[seeds]] if has_tests else training[:0]
    picture_rows = [watermarked(result.pictures[seeds])]
    if pictures:
        picture_rows.append(faces.pixels[training])
        below = "Below each sample: the nearest training face"
        if has_tests:
            picture_rows.append(faces.pixels[held_out])
            below += ", and below that the nearest held-out face"
        lines = [*lines, f"{below}."]
    bands = [row[i : i + PAIRS_PER_ROW] for i in range(0, len(seeds), PAIRS_PER_ROW) for row in picture_rows]
    name = f"{title.replace('Nearest faces', 'Nearest pairs')}{owner}"
    figure = as_picture(grid(np.concatenate(bands), columns=PAIRS_PER_ROW, gap_px=4), name)
    rows = [
        (
            f"seed {seed}",
            f"{nearest.ratio[seed]:.3f}" if has_tests else NOT_MEASURED,
            faces.names[row],
            f"{nearest.to_training[seed]:.3f}",
            f"{nearest.to_held_out[seed]:.3f}" if has_tests else NOT_MEASURED,
        )
        for seed, row in zip(seeds, training, strict=True)
    ]
    header = ("sample", "ratio", "nearest training face", "distance", "distance to nearest held-out face")
    return Section(f"{title}{owner}", lines, header, rows, figures=[figure], charts=charts)


def _attributes(result: ModelResult, owner: str) -> Section:
    """How often labeled attributes occur in the data and among samples."""
    header, *rows = attribute_table(result.attributes)
    lines = [attribute_summary(result.attributes), explanation(result.attributes)]
    return Section(f"Who is drawn{owner}", lines, header, rows)


def _ratio_chart(nearest: NearestFaces, real_ratios: NDArray[np.float64], title: str, threshold: float | None) -> Chart:
    """The distance ratios of samples and of real test faces, on a logarithmic axis."""
    series = (("samples", nearest.ratio, ORANGE), ("real test faces", real_ratios, BLUE))
    histograms = []
    for label, ratios, color in series:
        counts, _ = np.histogram(np.clip(ratios, RATIO_EDGES[0], RATIO_EDGES[-1]), RATIO_EDGES)
        histograms.append(Bars(label, counts.tolist(), color))
    return histogram_chart(
        "Distance ratios of samples and of real test faces",
        histograms,
        RATIO_EDGES.tolist(),
        x_label="distance to the nearest training face / distance to the nearest held-out face",
        title=title,
        threshold=threshold,
        log_x=True,
    )

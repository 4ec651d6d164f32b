"""report.html: an evaluation to look at."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np

from facesmith.evaluation.condition_results import ABOUT, SHOWN, answer_sheet, answer_table, obedience
from facesmith.evaluation.model_result import ModelResult
from facesmith.evaluation.reference import Reference
from facesmith.evaluation.verdicts import MEANINGS, metric_name, table, verdicts, warnings
from facesmith.io.html import Picture, Section, as_picture, page
from facesmith.io.images import grid
from facesmith.modelfiles.run_folder import CURVES

SAMPLES_SHOWN = 64
IN_A_ROW = 6  # pairs; so they can be made out on a phone
BINS = 80


def report(judgements: Sequence[ModelResult], names: Sequence[str], reference: Reference, *, pictures: bool) -> str:
    """The page as HTML.

    Args:
        pictures: show real faces beside the samples that are nearest to them.
    """
    samples = len(judgements[0].pictures)
    title = "How good is it? " if len(judgements) == 1 else "Which is better? "
    return page(title + " · ".join(names), _sections(judgements, names, reference, samples, pictures=pictures))


def _sections(
    judgements: Sequence[ModelResult], names: Sequence[str], reference: Reference, samples: int, *, pictures: bool
) -> Iterator[Section]:
    several = len(judgements) > 1
    for judged, name in zip(judgements, names, strict=True):
        rows = [(verdict.question, verdict.answer) for verdict in verdicts(judged, reference)]
        yield Section(
            f"Verdict on {name}" if several else "Verdict", [judged.notice] if judged.notice else [], rows=rows
        )
    header, *rows_of_numbers = table(judgements, names, reference)
    yield Section("Numbers", _about(reference, samples, judgements[0].psi), header, rows_of_numbers)
    for judged, name in zip(judgements, names, strict=True):
        of = f" of {name}" if several else ""
        sheet = as_picture(grid(judged.pictures[:SAMPLES_SHOWN]), f"samples{of}, seeds 0 to {SAMPLES_SHOWN - 1}")
        yield Section(
            f"Samples{of}",
            [f"Seeds 0 to {min(SAMPLES_SHOWN, samples) - 1}, psi {judged.psi:g}, not chosen."],
            figures=[sheet],
        )
        if judged.answers:
            yield _told(judged, reference, of)
        yield _pairs(judged, reference, of, pictures=pictures)
        curves = judged.model.path.parent / CURVES
        if curves.is_file():
            yield Section(f"Training{of}", figures=[Picture(curves.read_bytes(), f"curves of the training{of}")])
    yield Section("What the numbers mean", header=("metric", "meaning"), rows=[
        (metric_name(metric, samples, reference), meaning) for metric, meaning in MEANINGS.items()])  # fmt: skip


def _told(judged: ModelResult, reference: Reference, of: str) -> Section:
    """What a conditional model makes of what it is told."""
    header, *rows = answer_table(judged.answers, reference.extractor.name)
    faces, words = answer_sheet(judged.model, judged.psi)
    shown = "Below, the same seeds in every row: " + ", ".join(words) + "."
    sheet = as_picture(grid(faces, columns=SHOWN), f"faces as told{of}")
    return Section(f"Condition{of}", [ABOUT, *obedience(judged.answers), shown], header, rows, figures=[sheet])


def _about(reference: Reference, samples: int, psi: float) -> list[str]:
    faces, extractor = reference.faces, reference.extractor
    return [
        *warnings(samples, reference),
        f"{samples} samples (seeds 0 to {samples - 1}, psi {psi:g}) against all {len(reference.test)} test faces of "
        f"{faces.path.name}, fingerprint {faces.fingerprint[:16]}. Column “real faces”: {reference.floor_count} real "
        "training faces in the place of samples, the best that can be reached. ± is the 95 % interval over disjoint "
        f"sets of samples. Features: {extractor.name}, {extractor.dims} dimensions, {extractor.resize}.",
    ]


def _pairs(judged: ModelResult, reference: Reference, of: str, *, pictures: bool) -> Section:
    """The samples nearest to training faces, each above the faces that it was compared with."""
    closest, near = judged.closest, judged.nearest
    rows_of_pictures = [judged.pictures[closest]]
    told = [
        "The samples that are nearest to a training face, by the distance to it over the distance to the nearest "
        "held-out face. Of a copy this ratio is far below that of all others."
    ]
    if pictures:
        pixels = reference.faces.pixels
        rows_of_pictures += [
            pixels[reference.training[near.training[closest]]],
            pixels[reference.test[near.held_out[closest]]],
        ]
        told.append(
            "Rows of three: samples; below each the nearest training face; below that the nearest held-out face."
        )
    bands = [row[i : i + IN_A_ROW] for i in range(0, len(closest), IN_A_ROW) for row in rows_of_pictures]
    figures = [as_picture(grid(np.concatenate(bands), columns=IN_A_ROW, gap_px=4), f"closest pairs{of}")]
    if reference.ratios is not None:
        figures.append(Picture(_histogram(judged, reference), f"nearness to training faces{of}"))
    rows = [(f"seed {i}", f"{near.ratio[i]:.3f}", reference.faces.names[reference.training[near.training[i]]],
             f"{near.to_training[i]:.3f}", f"{near.to_held_out[i]:.3f}") for i in closest]  # fmt: skip
    header = ("sample", "ratio", "nearest training face", "distance", "distance to nearest held-out face")
    return Section(f"Nearest faces{of}", told, header, rows, figures=figures)


def _histogram(judged: ModelResult, reference: Reference) -> bytes:
    from matplotlib.figure import Figure  # slow to import, and only needed here

    assert reference.ratios is not None
    figure = Figure(figsize=(9, 3), layout="constrained")
    axes = figure.subplots()
    both = (("samples", judged.nearest.ratio), ("real unseen faces", reference.ratios))
    edges = np.geomspace(0.01, 2, BINS)
    for label, ratios in both:
        clipped = np.clip(ratios, edges[0], edges[-1])
        axes.hist(
            clipped, edges.tolist(), weights=np.full(len(ratios), 1 / len(ratios)), label=label, histtype="step", lw=1.6
        )
    if judged.audit:
        axes.axvline(judged.audit.threshold, color="tab:red", lw=1, label="copies lie below this")
    axes.set_xscale("log")
    axes.set_xlabel("distance to the nearest training face / to the nearest held-out face")
    axes.set_ylabel("share")
    axes.legend(fontsize="small")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=100)
    return stream.getvalue()

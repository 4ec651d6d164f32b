"""What the numbers mean, in words for people who don't live with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facesmith.evaluation.model_result import ModelResult
from facesmith.evaluation.reference import Reference
from facesmith.metrics.copies import MIN_HELD_OUT

MEANINGS = {
    "fd": "how far samples are from real faces, quality and variety together; lower is better",
    "kid": "the same by another measure, which small sets don't bias; lower is better",
    "precision": "share of samples that look like real faces",
    "recall": "share of real faces that look like samples: variety",
    "density": "how deep samples lie among real faces; 1 is as deep as real ones",
    "coverage": "share of real faces with a sample near them: variety, less easily fooled",
}
PER_DIMENSION = 2  # pictures below which a covariance is mostly chance


@dataclass(frozen=True)
class Verdict:
    """A question that people ask, and what was found."""

    question: str
    answer: str


def verdicts(judged: ModelResult, reference: Reference) -> list[Verdict]:
    """The four answers about a model."""
    return [
        Verdict("Faces?", _faces(judged, reference)),
        Verdict("Like real ones?", _likeness(judged, reference)),
        Verdict("Varied?", _variety(judged, reference)),
        Verdict("New faces?", novelty(judged)),
    ]


def _faces(judged: ModelResult, reference: Reference) -> str:
    rate = judged.face_rate
    return (
        f"The detector finds a face in {rate.value:.1%} of the samples ({rate.low:.1%} to {rate.high:.1%}), "
        f"and in {reference.face_rate:.1%} of the real ones."
    )


def _likeness(judged: ModelResult, reference: Reference) -> str:
    found, floor = judged.scores["fd"], reference.floor["fd"]
    if found.low <= floor.high:
        return "By the Fréchet distance the samples can't be told from real faces."
    return (
        f"Told from real faces: their Fréchet distance is {found.value / floor.value:.1f} times that "
        "of real faces from other real faces."
    )


def _variety(judged: ModelResult, reference: Reference) -> str:
    found, floor = judged.scores["coverage"], reference.floor["coverage"]
    count = len(judged.pictures)
    alike = (
        f"all {count} samples differ"
        if judged.distinct == count
        else f"only {judged.distinct} of {count} samples differ clearly from one another"
    )
    return (
        f"Near {found.value:.0%} of the real test faces there is a sample; other real faces reach {floor.value:.0%}. "
        f"As pictures, {alike}."
    )


def novelty(judged: ModelResult) -> str:
    """Whether the samples are new faces or copies."""
    audit, count = judged.audit, len(judged.pictures)
    if audit is None:
        return f"Not judged: fewer than {MIN_HELD_OUT} held-out faces to compare with."
    copies, photos = int(audit.copies.sum()), len(judged.copied)
    if audit.found:
        which = f"these {photos} photos" if photos > 1 else "this one photo"
        return f"COPIES: {copies} of {count} samples are copies of {which} of the training faces."
    if judged.notice:
        return "Not judged: the model was trained on other faces than these, so its own are not here to compare with."
    if copies:
        return (
            f"New faces, as far as can be told: {copies} of {count} samples are very near a training photo; "
            f"of new photos {audit.real_share:.1%} are. Look at the pairs."
        )
    return f"New faces: none of {count} samples is a copy of a training photo."


def short_verdict(judged: ModelResult) -> str:
    """The verdict on copies in two words, for a table."""
    if judged.audit is None or (judged.notice and not judged.audit.found):
        return "not judged"
    return f"copies of {len(judged.copied)} photos" if judged.audit.found else "new faces"


def warnings(samples: int, reference: Reference) -> list[str]:
    """What makes the numbers of this evaluation less than they seem."""
    told, dims = [], reference.extractor.dims
    name, test = reference.extractor.name, len(reference.test)
    if samples < PER_DIMENSION * dims:
        told.append(
            f"{samples} samples are few for {dims} dimensions of {name}: the Fréchet distance is far too high and "
            f"compares only with others of {samples} samples. Better: --samples 5000 or more."
        )
    if test < PER_DIMENSION * dims:
        told.append(
            f"{test} test faces are few for {dims} dimensions of {name}: numbers compare only with others on the same "
            "faces; look at KID rather than the Fréchet distance."
        )
    if reference.floor_count < samples:
        told.append(
            f"Only {reference.floor_count} training faces could stand in for {samples} samples: the Fréchet distance "
            "of real faces is too high for that, their recall too low."
        )
    return told


def table(judgements: Sequence[ModelResult], names: Sequence[str], reference: Reference) -> list[list[str]]:
    """Rows of a table: metric, each model, the real faces. The first row is the header."""
    count = len(judgements[0].pictures)
    rows = [["metric", *names, "real faces"]]
    for metric in MEANINGS:
        cells = [f"{j.scores[metric].value:.4g} ± {reach(j, metric):.2g}" for j in judgements]
        rows.append([metric_name(metric, count, reference), *cells, f"{reference.floor[metric].value:.4g}"])
    rows.append(["faces found", *(f"{j.face_rate.value:.1%}" for j in judgements), f"{reference.face_rate:.1%}"])
    rows.append(["distinct pictures", *(f"{j.distinct} of {count}" for j in judgements), ""])
    real = next((f"{j.audit.real_median:.3f}" for j in judgements if j.audit), "")
    rows.append(["nearness to training", *(f"{j.ratio.value:.3f}" for j in judgements), real])
    rows.append(["verdict", *map(short_verdict, judgements), ""])
    return rows


def reach(judged: ModelResult, metric: str) -> float:
    """Half the width of a metric's interval."""
    return judged.scores[metric].high - judged.scores[metric].value


def metric_name(metric: str, count: int, reference: Reference) -> str:
    """The name that says the protocol."""
    from facesmith.metrics.comparison import protocol_name

    return protocol_name(metric, count, reference.extractor.name, fid=reference.extractor.fid)

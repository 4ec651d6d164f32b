"""What the numbers mean in plain words, and the table of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facesmith.evaluation.model_result import ModelResult
from facesmith.evaluation.reference import Reference
from facesmith.metrics.comparison import protocol_name
from facesmith.metrics.copies import MIN_HELD_OUT

MEANINGS = {
    "fd": "distance between samples and real faces, quality and variety together; lower is better",
    "kid": "the same by another measure, which is unbiased for small sets; lower is better",
    "precision": "share of samples that look like real faces: quality",
    "recall": "share of real faces that look like samples: variety",
    "density": "how densely real faces surround the samples; 1 is like real faces",
    "coverage": "share of real faces with a similar sample: variety, harder to fool than recall",
}
MIN_PER_DIMENSION = 2  # pictures per dimension of the features; the covariance of fewer is mostly noise


@dataclass(frozen=True)
class Verdict:
    """A question about a model, and its answer."""

    question: str
    answer: str


def verdicts(result: ModelResult, reference: Reference) -> list[Verdict]:
    """The four answers about a model."""
    return [
        Verdict("Are they faces?", _faces(result, reference)),
        Verdict("Do they look real?", _realism(result, reference)),
        Verdict("Do they vary?", _variety(result, reference)),
        Verdict("Are they new?", novelty(result)),
    ]


def _faces(result: ModelResult, reference: Reference) -> str:
    rate = result.face_rate
    return (
        f"The detector finds a face in {rate.value:.1%} of the samples ({rate.low:.1%} to {rate.high:.1%}) "
        f"and in {reference.face_rate:.1%} of the real faces."
    )


def _realism(result: ModelResult, reference: Reference) -> str:
    score, real = result.scores["fd"], reference.real_scores["fd"]
    if score.low <= real.high:
        return "By the Fréchet distance, the samples can't be distinguished from real faces."
    return (
        f"Not quite: the Fréchet distance of the samples is {score.value / real.value:.1f} times that of real faces "
        "from other real faces."
    )


def _variety(result: ModelResult, reference: Reference) -> str:
    coverage, real = result.scores["coverage"], reference.real_scores["coverage"]
    count = len(result.pictures)
    if result.distinct == count:
        distinct = f"All {count} samples are distinct."
    else:
        distinct = f"Only {result.distinct} of {count} samples are distinct."
    return (
        f"{coverage.value:.0%} of the real test faces have a similar sample; with real faces in place of samples, "
        f"{real.value:.0%} have one. {distinct}"
    )


def novelty(result: ModelResult) -> str:
    """Whether the samples are new faces or copies of training faces."""
    check, count = result.copy_check, len(result.pictures)
    if check is None:
        return f"Not checked: this needs at least {MIN_HELD_OUT} held-out faces."
    copies, photos = int(check.copies.sum()), len(result.copied)
    if check.has_copies:
        which = f"these {photos} training photos" if photos > 1 else "one training photo"
        return f"COPIES: {copies} of {count} samples are copies of {which}."
    if result.notice:
        return "Not checked: the model was trained on other faces than these."
    if copies:
        return (
            f"Probably new: {copies} of {count} samples are very similar to a training photo, but so are "
            f"{check.real_share:.1%} of the real test faces. Look at the pairs."
        )
    return f"None of {count} samples is a copy of a training photo."


def short_verdict(result: ModelResult) -> str:
    """The result of the copy check in a few words, for a table."""
    if result.copy_check is None or (result.notice and not result.copy_check.has_copies):
        return "not checked"
    return f"copies of {len(result.copied)} photos" if result.copy_check.has_copies else "new faces"


def warnings(samples: int, reference: Reference) -> list[str]:
    """Why the metrics of this evaluation are less reliable than they look."""
    messages, name, dims, tests = [], reference.extractor.name, reference.extractor.dims, len(reference.test)
    if samples < MIN_PER_DIMENSION * dims:
        messages.append(
            f"{samples} samples are few for the {dims} dimensions of {name}: the Fréchet distance is far too high. "
            f"Only compare it with others of {samples} samples, or use --samples 5000 or more."
        )
    if tests < MIN_PER_DIMENSION * dims:
        messages.append(
            f"{tests} test faces are few for the {dims} dimensions of {name}: only compare metrics on the same faces, "
            "and prefer KID to the Fréchet distance."
        )
    if len(reference.real) < samples:
        messages.append(
            f"There are only {len(reference.real)} training faces to take the place of {samples} samples: in the "
            'column "real faces", the Fréchet distance is too high and recall too low.'
        )
    return messages


def metric_table(results: Sequence[ModelResult], names: Sequence[str], reference: Reference) -> list[list[str]]:
    """The rows of a table with one column per model and one for real faces; the first row is the header."""
    count = len(results[0].pictures)
    rows = [["metric", *names, "real faces"]]
    for metric in MEANINGS:
        cells = [f"{each.scores[metric].value:.4g} ± {_half_interval(each, metric):.2g}" for each in results]
        rows.append([metric_name(metric, count, reference), *cells, f"{reference.real_scores[metric].value:.4g}"])
    rows.append(["faces found", *(f"{each.face_rate.value:.1%}" for each in results), f"{reference.face_rate:.1%}"])
    rows.append(["distinct pictures", *(f"{each.distinct} of {count}" for each in results), ""])
    real_ratio = next((f"{each.copy_check.real_median:.3f}" for each in results if each.copy_check), "")
    rows.append(["distance ratio", *(f"{each.ratio.value:.3f}" for each in results), real_ratio])
    rows.append(["copy check", *map(short_verdict, results), ""])
    return rows


def metric_name(metric: str, count: int, reference: Reference) -> str:
    """The name of a metric that states its protocol: `fd5k_lite0`."""
    return protocol_name(metric, count, reference.extractor.name, fid=reference.extractor.fid)


def _half_interval(result: ModelResult, metric: str) -> float:
    return result.scores[metric].high - result.scores[metric].value

"""What the numbers mean in plain words, and the table of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facesmith.evaluation.model_result import ModelResult
from facesmith.evaluation.reference import Reference
from facesmith.metrics.comparison import Score, protocol_name
from facesmith.metrics.identity import CLOSE_SHARE

MEANINGS = {
    "fd": "distance between samples and real faces, quality and variety together; lower is better",
    "kid": "the same by another measure, which is unbiased for small sets; lower is better",
    "precision": "share of samples that look like real faces: quality",
    "recall": "share of real faces that look like samples: variety",
    "density": "how densely real faces surround the samples; 1 is like real faces",
    "coverage": "share of real faces with a similar sample: variety, harder to fool than recall",
}
MIN_PER_DIMENSION = 2  # pictures per dimension of the features; the covariance of fewer is mostly noise

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Verdict:
    """A question about a model, and its answer."""

    question: str
    answer: str


def verdicts(result: ModelResult, reference: Reference) -> list[Verdict]:
    """The answers about a model."""
    return [
        Verdict("Are they faces?", _faces(result, reference)),
        Verdict("Do they look real?", _realism(result, reference)),
        Verdict("Do they vary?", _variety(result, reference)),
        Verdict("Are they new?", novelty(result, reference)),
        Verdict("Are they new people?", new_people(result, reference)),
    ]


def _faces(result: ModelResult, reference: Reference) -> str:
    rate = result.face_rate
    found = f"The detector finds a face in {rate.value:.1%} of the samples ({rate.low:.1%} to {rate.high:.1%})"
    if reference.face_rate is None:
        return f"{found}. There are no test faces to compare with."
    return f"{found} and in {reference.face_rate:.1%} of the real faces."


def _realism(result: ModelResult, reference: Reference) -> str:
    if reference.too_few:
        return f"Not measured: {reference.too_few}."
    score, real, count = result.comparable_scores["fd"], reference.real_scores["fd"], len(reference.real)
    if score.low <= real.high:
        return f"By the Fréchet distance, {count} samples can't be distinguished from as many real faces."
    return (
        f"Not quite: the Fréchet distance of the samples is {score.value / real.value:.1f} times that of real faces "
        "from other real faces."
    )


def _variety(result: ModelResult, reference: Reference) -> str:
    count = len(result.pictures)
    if result.distinct == count:
        distinct = f"All {count} samples are distinct."
    else:
        distinct = f"Only {result.distinct} of {count} samples are distinct."
    if reference.too_few:
        return f"{distinct} How many real faces have a similar sample was not measured: {reference.too_few}."
    coverage, real = result.comparable_scores["coverage"], reference.real_scores["coverage"]
    first = f"Among the first {len(reference.real)} samples, " if len(reference.real) < count else ""
    return (
        f"{first}{coverage.value:.0%} of the real test faces have a similar sample; with real faces in place of "
        f"samples, {real.value:.0%} have one. {distinct}"
    )


def novelty(result: ModelResult, reference: Reference) -> str:
    """Whether the samples are new faces or copies of training faces."""
    check, count = result.copy_check, len(result.pictures)
    copies, photos = int(result.copies.sum()), len(result.copied)
    if result.has_copies:
        which = f"these {photos} training photos" if photos > 1 else "one training photo"
        return f"COPIES: {copies} of {count} samples are copies of {which}."
    if result.notice:
        return "Not checked: the model was trained on other faces than these."
    similar = f"{copies} of {count} samples are very similar to a training photo"
    if result.unclear:
        return (
            f"Unclear: {similar}, and there are too few held-out faces ({len(reference.test)}) to tell whether this is "
            "chance. Look at the pairs."
        )
    if check is None:
        return (
            f"None of {count} samples is nearly identical to a training photo. Less obvious copies were not searched: "
            f"{reference.no_copy_check}."
        )
    if copies:
        reason = (
            f"but so are {check.real_share:.1%} of the real test faces" if check.real_share else "which can be chance"
        )
        return f"Probably new: {similar}, {reason}. Look at the pairs."
    return f"None of {count} samples is a copy of a training photo."


def new_people(result: ModelResult, reference: Reference) -> str:
    """Whether the samples show people of the training data."""
    check = result.people
    if check is None:
        return f"Not checked: {reference.people}."
    if result.notice:
        return "Not checked: the model was trained on other faces than these."
    share = f"{check.share.value:.1%} of the samples ({check.share.low:.1%} to {check.share.high:.1%})"
    close = "unusually close to a training person"
    if check.draws_training_people:
        return f"TRAINING PEOPLE: by face recognition, {share} are {close}. Look at the pairs."
    if check.unclear:
        return (
            f"Unclear: {share} are {close}; {CLOSE_SHARE:.0%} are expected by chance, but there are too few held-out "
            f"faces ({len(reference.test)}) to tell. Look at the pairs."
        )
    return (
        f"Yes, as far as face recognition can tell: {share} are {close}; {CLOSE_SHARE:.0%} are expected by chance, "
        f"because {1 - CLOSE_SHARE:.0%} of held-out people are less close."
    )


def short_verdict(result: ModelResult) -> str:
    """The result of the copy check in a few words, for a table."""
    if result.has_copies:
        return f"copies of {len(result.copied)} photos"
    if result.notice:
        return "not checked"
    if result.unclear:
        return "unclear: too few held-out faces"
    return "new faces" if result.copy_check else "no identical faces"


def warnings(samples: int, reference: Reference) -> list[str]:
    """Why the metrics of this evaluation are less reliable than they look."""
    if reference.too_few:
        metrics = ", ".join(MEANINGS)
        return [f"These metrics are left out: {metrics}; {reference.too_few}. Copies were still searched."]
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
            f"There are only {len(reference.real)} training faces to take the place of {samples} samples. So the "
            'metrics are also computed for as many samples: compare only these with the column "real faces".'
        )
    return messages


def metric_table(results: Sequence[ModelResult], names: Sequence[str], reference: Reference) -> list[list[str]]:
    """The rows of a table with one column per model and one for real faces; the first row is the header."""
    count, n_real = len(results[0].pictures), len(reference.real)
    rows = [["metric", *names, "real faces"]]
    for metric, real in reference.real_scores.items():
        if n_real < count:
            cells = [_with_half_interval(each.scores[metric]) for each in results]
            rows.append([metric_name(metric, count, reference), *cells, NOT_MEASURED])
        cells = [_with_half_interval(each.comparable_scores[metric]) for each in results]
        rows.append([metric_name(metric, n_real, reference), *cells, f"{real.value:.4g}"])
    rows.append(["faces found", *(f"{each.face_rate.value:.1%}" for each in results), _share(reference.face_rate)])
    rows.append(["distinct pictures", *(f"{each.distinct} of {count}" for each in results), ""])
    real_ratio = next((f"{each.copy_check.real_median:.3f}" for each in results if each.copy_check), NOT_MEASURED)
    rows.append(
        ["distance ratio", *(f"{each.ratio.value:.3f}" if each.ratio else NOT_MEASURED for each in results), real_ratio]
    )
    rows.append(["copy check", *map(short_verdict, results), ""])
    if any(each.people for each in results):
        real_share = next(f"{each.people.real_share:.1%}" for each in results if each.people)
        rows.append(
            [
                "near training people",
                *(f"{p.share.value:.1%}" if (p := each.people) else NOT_MEASURED for each in results),
                real_share,
            ]
        )
    return rows


def _share(rate: float | None) -> str:
    return NOT_MEASURED if rate is None else f"{rate:.1%}"


def metric_name(metric: str, count: int, reference: Reference) -> str:
    """The name of a metric that states its protocol: `fd5k_lite0`."""
    return protocol_name(metric, count, reference.extractor.name, fid=reference.extractor.fid)


def _with_half_interval(score: Score) -> str:
    return f"{score.value:.4g} ± {max(score.high - score.value, score.value - score.low):.2g}"

"""A dataset's attributes as targets for a classifier: a value between 0 (no) and 1 (yes) per face and attribute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from facesmith.errors import BadData, BadOption
from facesmith.faces import Faces
from facesmith.io.attribute_options import direction_name

MIN_PER_CLASS = 20  # faces with an attribute, and faces without it
MAX_REASONS = 5
JUDGMENTS = ("attractive", "beautiful", "ugly")  # which say more about the annotators than about the people


@dataclass(frozen=True)
class DatasetLabels:
    """The attributes that a classifier can learn from a dataset.

    Attributes:
        names: of the attributes, as `--edit` writes them.
        targets: float32 `[N, A]`. For attributes with two values 0 or 1; for numbers the rank of the value among all
            faces, between 0 and 1. NaN if unknown.
        skipped: attributes that can't be learned, with the reasons.
        ranked: attributes that are numbers, with the number from which on they count as yes.
        recognized: whether a classifier recognized them, because the data has no labels.
        columns: attributes that are one class of a column, such as `age_group=30-39`, with the name of the column.
    """

    names: tuple[str, ...]
    targets: NDArray[np.float32]
    skipped: Mapping[str, str]
    ranked: Mapping[str, float]
    recognized: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)


def learnable_labels(faces: Faces, requested: Sequence[str] | None = None) -> DatasetLabels:
    """The attributes of a dataset that a classifier can learn.

    Args:
        requested: use only these attributes. The name of a column with several classes means all of them.

    Raises:
        BadData: no attribute can be learned.
        BadOption: a requested attribute doesn't exist, or can't be learned.
    """
    columns = {direction_name(name): column for name, column in faces.attributes.items()}
    if not columns:
        raise BadData(no_labels_message(faces))
    names = list(columns)
    if requested is not None:
        expanded = expand_classes(requested, faces.attributes)
        for name in expanded:
            if direction_name(name) not in columns:
                raise BadOption(unknown_column_message(name, faces))
        names = list(dict.fromkeys(map(direction_name, expanded)))
    reasons = {name: _fault(columns[name]) for name in names}
    skipped = {name: reason for name, reason in reasons.items() if reason}
    usable = tuple(name for name in names if name not in skipped)
    if not usable or (requested and skipped):
        written = {direction_name(name): name for name in faces.attributes}
        details = ", ".join(f"{written[name]} ({reason})" for name, reason in list(skipped.items())[:MAX_REASONS])
        details += f" and {len(skipped) - MAX_REASONS} more" if len(skipped) > MAX_REASONS else ""
        others = f" Without them: {','.join(written[name] for name in usable)}." if usable else ""
        raise (BadOption if requested else BadData)(
            f"Too few labeled faces in {faces.path} to learn {details}.{others}"
        )
    ranked = {name: _threshold(columns[name]) for name in usable if is_number(columns[name])}
    classes = {direction_name(name): name.split("=")[0] for name in faces.attributes if "=" in name}
    targets = np.stack([_target(columns[name]) for name in usable], axis=1)
    return DatasetLabels(
        usable, targets, skipped, ranked, columns={name: classes[name] for name in usable if name in classes}
    )


def expand_classes(requested: Iterable[str], attributes: Iterable[str]) -> list[str]:
    """Requested attributes, where a column such as `age_group` stands for all its classes, such as `age_group=30-39`.

    Names that fit nothing are returned unchanged.
    """
    known = {direction_name(name): name for name in attributes}
    expanded: list[str] = []
    for name in requested:
        prefix = f"{direction_name(name)}="
        classes = [each for each in known.values() if each.startswith(prefix)]
        expanded += [known[direction_name(name)]] if direction_name(name) in known else classes or [name]
    return list(dict.fromkeys(expanded))


def is_number(column: NDArray[np.float32]) -> bool:
    """Whether an attribute has other values than 0 (no) and 1 (yes)."""
    return not np.isin(column[~np.isnan(column)], (0, 1)).all()


def no_labels_message(faces: Faces) -> str:
    """The message about faces without any attribute: tables that can't be used, or what is expected."""
    if faces.left_out:
        found = "; ".join(f"{name}: {reason}" for name, reason in list(faces.left_out.items())[:MAX_REASONS])
        return f"{faces.path} has no labels that can be used ({found}). Methods that need none: --method pca or sefa."
    return (
        f"{faces.path} ({faces.layout}) has no labels. Expected a metadata.csv with file_name and columns such as "
        "smiling, with values 0 or 1. Methods that need no labels: --method pca or sefa."
    )


def unknown_column_message(name: str, faces: Faces, columns: Iterable[str] | None = None) -> str:
    """The message about a missing attribute: why its column is left out, or the closest match and all others.

    Args:
        columns: the attributes that can be used; by default all.
    """
    names = list(faces.attributes if columns is None else columns)
    if reason := faces.left_out.get(name):
        return f"The column {name!r} of {faces.path} is not an attribute: {reason}. Attributes: {', '.join(names)}."
    close = get_close_matches(name, names, n=1)
    suggestion = f" Did you mean {close[0]!r}?" if close else ""
    return f"{faces.path} has no column {name!r}.{suggestion} It has: {', '.join(names)}."


def _fault(column: NDArray[np.float32]) -> str:
    """The reason why a column can't be learned, or an empty string."""
    target = _target(column)
    known = target[~np.isnan(target)]
    yes, no = int((known > 0.5).sum()), int((known <= 0.5).sum())
    return "" if min(yes, no) >= MIN_PER_CLASS else f"{yes} faces with it, {no} without; {MIN_PER_CLASS} of each needed"


def _threshold(column: NDArray[np.float32]) -> float:
    """The smallest number that counts as yes."""
    values = column[_target(column) > 0.5]
    return float(values.min()) if len(values) else float("inf")


def _target(column: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values `[N]` between 0 and 1: those of the column, or for numbers the rank among the known values."""
    known = ~np.isnan(column)
    values, inverse, counts = np.unique(column[known], return_inverse=True, return_counts=True)
    levels = values if not is_number(column) else ((np.cumsum(counts) - counts / 2) / counts.sum()).astype(np.float32)
    target = np.full(len(column), np.nan, np.float32)
    target[known] = levels[inverse]
    return target

"""A dataset's columns as targets for a classifier: a value between 0 (no) and 1 (yes) per face and attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesmith.errors import BadData, BadOption
from facesmith.faces import Faces
from facesmith.io.attribute_options import direction_name

MIN_PER_CLASS = 20  # faces with an attribute, and faces without it


@dataclass(frozen=True)
class DatasetLabels:
    """The attributes that a classifier can learn from a dataset.

    Attributes:
        names: of the attributes, as `--edit` writes them.
        targets: float32 `[N, A]`. For columns with two values 0 or 1; for others the rank of the value among all
            faces, between 0 and 1. NaN if unknown.
        skipped: columns that can't be learned, with the reasons.
    """

    names: tuple[str, ...]
    targets: NDArray[np.float32]
    skipped: Mapping[str, str]


def learnable_labels(faces: Faces, requested: Sequence[str] | None = None) -> DatasetLabels:
    """The columns of a dataset that a classifier can learn.

    Args:
        requested: use only these columns.

    Raises:
        BadData: no column can be learned.
        BadOption: a requested column doesn't exist, or can't be learned.
    """
    columns = {direction_name(name): column for name, column in faces.attributes.items()}
    if not columns:
        raise BadData(
            f"{faces.path} ({faces.layout}) has no labels. Expected a metadata.csv with file_name and columns such as "
            "smiling, with values 0 or 1. Methods that need no labels: --method pca or sefa."
        )
    names = list(columns) if requested is None else list(dict.fromkeys(map(direction_name, requested)))
    for name in names:
        if name not in columns:
            raise BadOption(unknown_column_message(name, columns, faces.path))
    reasons = {name: _fault(columns[name]) for name in names}
    skipped = {name: reason for name, reason in reasons.items() if reason}
    usable = tuple(name for name in names if name not in skipped)
    if not usable or (requested and skipped):
        details = ", ".join(f"{name} ({reason})" for name, reason in skipped.items())
        raise (BadOption if requested else BadData)(f"Too few labeled faces in {faces.path} to learn {details}.")
    return DatasetLabels(usable, np.stack([_target(columns[name]) for name in usable], axis=1), skipped)


def unknown_column_message(name: str, columns: Mapping[str, object], path: Path) -> str:
    """The message about a missing column, with the closest match and all existing columns."""
    close = get_close_matches(name, columns, n=1)
    suggestion = f" Did you mean {close[0]!r}?" if close else ""
    return f"{path} has no column {name!r}.{suggestion} It has: {', '.join(columns)}."


def _fault(column: NDArray[np.float32]) -> str:
    """The reason why a column can't be learned, or an empty string."""
    target = _target(column)
    known = target[~np.isnan(target)]
    yes, no = int((known > 0.5).sum()), int((known <= 0.5).sum())
    return "" if min(yes, no) >= MIN_PER_CLASS else f"{yes} faces with it, {no} without; {MIN_PER_CLASS} of each needed"


def _target(column: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values `[N]` between 0 and 1: 0 or 1 for columns with two values, else the rank among the known values."""
    known = ~np.isnan(column)
    values, inverse, counts = np.unique(column[known], return_inverse=True, return_counts=True)
    if len(values) <= 2:
        levels = np.arange(len(values), dtype=np.float32)
    else:
        levels = ((np.cumsum(counts) - counts / 2) / counts.sum()).astype(np.float32)
    target = np.full(len(column), np.nan, np.float32)
    target[known] = levels[inverse]
    return target

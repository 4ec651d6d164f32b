"""A dataset's columns as what a classifier learns: a share between 0 (no) and 1 (yes) for each face and attribute."""

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

FEWEST = 20  # faces with an attribute, and without: fewer teach nothing


@dataclass(frozen=True)
class DatasetLabels:
    """What is known of each face.

    Attributes:
        names: of the attributes, as edits write them.
        targets: float32 `[N, A]`: 0 or 1 of columns with two values, of others the share of faces with a lower one;
            NaN where it isn't known.
        skipped: columns that can't be learnt, and why.
    """

    names: tuple[str, ...]
    targets: NDArray[np.float32]
    skipped: Mapping[str, str]


def learnable_labels(faces: Faces, wanted: Sequence[str] | None = None) -> DatasetLabels:
    """The columns of a dataset that can be learnt.

    Args:
        wanted: only these.

    Raises:
        BadData: there are none.
        BadOption: one of those wanted doesn't exist, or can't be learnt.
    """
    columns = {direction_name(name): column for name, column in faces.attributes.items()}
    if not columns:
        raise BadData(
            f"{faces.path} ({faces.layout}) has no labels: expected a metadata.csv with columns such as smiling, "
            "0 or 1, beside file_name. Without labels: --method pca or sefa."
        )
    for name in map(direction_name, wanted or ()):
        if name not in columns:
            raise BadOption(unknown_column_message(name, columns, faces.path))
    chosen = list(columns) if wanted is None else list(dict.fromkeys(map(direction_name, wanted)))
    reasons = {name: _fault(columns[name]) for name in chosen}
    skipped = {name: reason for name, reason in reasons.items() if reason}
    usable = tuple(name for name in chosen if name not in skipped)
    if not usable or (wanted and skipped):
        told = ", ".join(f"{name} ({reason})" for name, reason in skipped.items())
        raise (BadOption if wanted else BadData)(f"{faces.path} can't teach {told}.")
    return DatasetLabels(usable, np.stack([_target(columns[name]) for name in usable], axis=1), skipped)


def unknown_column_message(name: str, columns: Mapping[str, object], path: Path) -> str:
    """That there is no such column, with the near match and all there are."""
    near = get_close_matches(name, columns, n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return f"{path} has no column {name!r}.{meant} It has: {', '.join(columns)}."


def _fault(column: NDArray[np.float32]) -> str:
    """Why a column can't be learnt, or nothing."""
    target = _target(column)
    known = target[~np.isnan(target)]
    yes, no = int((known > 0.5).sum()), int((known <= 0.5).sum())
    return "" if min(yes, no) >= FEWEST else f"{yes} faces with it, {no} without; each takes {FEWEST}"


def _target(column: NDArray[np.float32]) -> NDArray[np.float32]:
    """`[N]` between 0 and 1: which of two values, or at which share of the known ones."""
    known = ~np.isnan(column)
    values, inverse, counts = np.unique(column[known], return_inverse=True, return_counts=True)
    if len(values) <= 2:
        shares = np.arange(len(values), dtype=np.float32)
    else:
        shares = ((np.cumsum(counts) - counts / 2) / counts.sum()).astype(np.float32)
    target = np.full(len(column), np.nan, np.float32)
    target[known] = shares[inverse]
    return target

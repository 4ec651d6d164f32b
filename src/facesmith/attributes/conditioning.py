"""Labels of conditional generators: a dataset's columns for training, and requested attributes for sampling."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facesmith.attributes.dataset_labels import learnable_labels
from facesmith.errors import BadData, BadOption
from facesmith.faces import Faces
from facesmith.io.attribute_options import CONDITION_SYNTAX

RARE_SHARE = 0.2  # a label is rare if a smaller share of faces has it
MAX_REPEATS = 4  # of a face with a rare label, per epoch


def with_labels(faces: Faces, condition: Sequence[str]) -> Faces:
    """The faces with `labels` for the attributes of a condition; unchanged if the condition is empty.

    In a column of many different numbers, the upper half counts as yes.

    Raises:
        BadData: the faces have no labels, or no training face has a value for all attributes.
        BadOption: a column doesn't exist, or too few faces have one of its values.
    """
    if not condition:
        return faces
    if not faces.attributes:
        raise BadData(
            f"{faces.path} ({faces.layout}) has no labels for the condition {','.join(condition)}. Expected a "
            f"metadata.csv with file_name and columns such as {condition[0]}, with values 0 or 1. "
            "Add it, or train without --condition."
        )
    targets = learnable_labels(faces, condition).targets
    labels = np.where(np.isnan(targets), 0, np.where(targets > 0.5, 1, -1)).astype(np.float32)
    complete = (labels != 0).all(1)
    if not complete[faces.part("train")].any():
        raise BadData(f"No training face in {faces.path} has a value for all of {', '.join(condition)}.")
    incomplete = int((~complete).sum())
    notice = f"{incomplete} of {len(complete)} faces lack a label; missing labels count as unknown (0) in training"
    return replace(faces, labels=labels, notices=[*faces.notices, *([notice] if incomplete else [])])


def repeat_rare_labels(rows: NDArray[np.int64], labels: NDArray[np.float32]) -> NDArray[np.int64]:
    """The rows of an epoch, in which faces with a rare label are repeated, so that it is learned as well as others.

    The generator still draws labels with their shares among the real faces (`Generator.label_shares`).

    Args:
        rows: each face once.
        labels: `[N, K]` of all faces.
    """
    repeats = np.ones(len(rows), np.int64)
    for column in labels[rows].T:
        for has_value in (column < 0, column > 0):
            share = has_value.mean()
            if 0 < share < RARE_SHARE:
                repeats[has_value] = np.maximum(repeats[has_value], min(MAX_REPEATS, round(RARE_SHARE / share)))
    return np.repeat(rows, repeats)


def labels_fingerprint(labels: NDArray[np.float32] | None) -> str:
    """A hash of labels `[N, K]`; empty for None."""
    return "" if labels is None else hashlib.sha256(np.ascontiguousarray(labels).tobytes()).hexdigest()[:16]


def condition_labels(names: Sequence[str], condition: Mapping[str, float] | None) -> Tensor | None:
    """The labels `[K]` for a requested condition such as `{"smiling": 1}`.

    Args:
        names: the attributes of the conditional model, in its order.
        condition: the requested attributes, each 0 or 1.

    Returns:
        1 for yes, -1 for no, 0 for attributes that were not requested; None if nothing was requested.

    Raises:
        BadOption: the model has no such attribute, or a value is neither 0 nor 1.
    """
    if not condition:
        return None
    for name, value in condition.items():
        if not names:
            raise BadOption(
                f"This model is not conditional, so it takes no {name!r}. Train one with --condition {name}, "
                f"or edit its faces: facesmith edit --edit {name}=1"
            )
        if name not in names:
            close = get_close_matches(name, names, n=1)
            suggestion = f" Did you mean {close[0]!r}?" if close else ""
            raise BadOption(f"This model has no attribute {name!r}.{suggestion} It has: {', '.join(names)}.")
        if value not in (0, 1):
            raise BadOption(f"{name} is {value!r}. {CONDITION_SYNTAX}")
    return torch.tensor([2.0 * condition[name] - 1 if name in condition else 0.0 for name in names])

"""What a conditional generator is told: columns of a dataset as labels, and what a person asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facesmith.attributes import learnable_labels
from facesmith.errors import BadData, BadOption
from facesmith.faces import Faces
from facesmith.io.attribute_options import CONDITION_SYNTAX

RARE, MOST_TIMES = 0.2, 4  # share of faces below which a label is rare; how often one comes in a pass at most


def with_labels(faces: Faces, condition: Sequence[str]) -> Faces:
    """The same faces with `labels`, one for each attribute of a condition; as they are where there is none.

    Of a column of many numbers, those of the upper half are a yes.

    Raises:
        BadData: the faces have no labels, or there is no training face of which all that is asked for is known.
        BadOption: there is no such column, or it can't teach anything.
    """
    if not condition:
        return faces
    if not faces.attributes:
        raise BadData(
            f"{faces.path} ({faces.layout}) has no labels, which a generator that is told {', '.join(condition)} "
            f"needs: expected a metadata.csv with columns such as {condition[0]}, 0 or 1, beside file_name. "
            "Without a condition it can be trained on."
        )
    targets = learnable_labels(faces, condition).targets
    labels = np.where(np.isnan(targets), 0, np.where(targets > 0.5, 1, -1)).astype(np.float32)
    known = (labels != 0).all(1)
    if not known[faces.part("train")].any():
        raise BadData(f"{faces.path} has no training face of which all of {', '.join(condition)} is known.")
    lacking = int((~known).sum())
    notice = f"{lacking} of {len(known)} faces lack a label; what isn't known of them is told to no player"
    return replace(faces, labels=labels, notices=[*faces.notices, *([notice] if lacking else [])])


def repeat_rare_labels(rows: NDArray[np.int64], labels: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows of a pass over faces in which those with a rare label come several times: of it, players are told little.

    What a face of certain labels looks like is the same whatever their share; a generator draws as many as there are
    (`Generator.label_shares`).

    Args:
        rows: each face once.
        labels: `[N, K]` of all faces.
    """
    times = np.ones(len(rows), np.int64)
    for column in labels[rows].T:
        for has in (column < 0, column > 0):
            share = has.mean()
            if 0 < share < RARE:
                times[has] = np.maximum(times[has], min(MOST_TIMES, round(RARE / share)))
    return np.repeat(rows, times)


def labels_fingerprint(labels: NDArray[np.float32] | None) -> str:
    """A hash of labels `[N, K]`; empty where there are none."""
    return "" if labels is None else hashlib.sha256(np.ascontiguousarray(labels).tobytes()).hexdigest()[:16]


def condition_labels(names: Sequence[str], condition: Mapping[str, float] | None) -> Tensor | None:
    """The labels `[K]` that a request such as `{"smiling": 1}` stands for.

    Args:
        names: the attributes on which the model was conditioned, in its order.
        condition: the requested attributes, each 0 or 1.

    Returns:
        1 for yes, -1 for no, 0 for attributes that were not requested; None where nothing was requested.

    Raises:
        BadOption: the model has no such attribute, or a value is neither 0 nor 1.
    """
    if not condition:
        return None
    for name, answer in condition.items():
        if not names:
            raise BadOption(
                f"This model is not conditional, so it takes no {name!r}. Train one with --condition {name}, "
                f"or edit its faces: facesmith edit --edit {name}=1"
            )
        if name not in names:
            near = get_close_matches(name, names, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise BadOption(f"This model has no attribute {name!r}.{meant} It has: {', '.join(names)}.")
        if answer not in (0, 1):
            raise BadOption(f"{name} is {answer!r}. {CONDITION_SYNTAX}")
    return torch.tensor([2.0 * condition[name] - 1 if name in condition else 0.0 for name in names])

"""Labels of conditional generators: a dataset's columns for training, and requested attributes for sampling."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from numbers import Real

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facesmith.attributes.dataset_labels import expand_classes, is_number, learnable_labels
from facesmith.errors import BadData, BadOption
from facesmith.faces import Faces
from facesmith.io.attribute_options import CONDITION_SYNTAX
from facesmith.io.messages import shorten

RARE_SHARE = 0.2  # a label is rare if a smaller share of faces has it
MAX_REPEATS = 4  # of a face with a rare label, per epoch


def with_labels(faces: Faces, condition: Sequence[str]) -> Faces:
    """The faces with `labels` for the attributes of a condition; unchanged if the condition is empty.

    Raises:
        BadData: the faces have no labels, or no training face has a value for all attributes.
        BadOption: an attribute doesn't exist or is a number, or too few faces have one of its values.
    """
    if not condition:
        return faces
    names = condition_attributes(faces, condition)
    for name in names:
        if name in faces.attributes and is_number(faces.attributes[name]):
            known = faces.attributes[name][~np.isnan(faces.attributes[name])]
            raise BadOption(
                f"{name} has numbers from {known.min():g} to {known.max():g}, and a condition needs yes and no. Add a "
                f"column of 1 and 0 to the table, such as {name}_over_{np.median(known):g}, and use that."
            )
    targets = learnable_labels(faces, names).targets
    labels = np.where(np.isnan(targets), 0, np.where(targets > 0.5, 1, -1)).astype(np.float32)
    complete = (labels != 0).all(1)
    if not complete[faces.part("train")].any():
        raise BadData(f"No training face in {faces.path} has a value for all of {', '.join(condition)}.")
    incomplete = int((~complete).sum())
    notice = f"{incomplete} of {len(complete)} faces lack a label; missing labels count as unknown (0) in training"
    return replace(faces, labels=labels, notices=[*faces.notices, *([notice] if incomplete else [])])


def condition_attributes(faces: Faces, condition: Sequence[str]) -> tuple[str, ...]:
    """The attributes of a condition, in which a column such as `label` stands for its classes, such as `label=2`.

    Raises:
        BadData: the faces have no labels.
    """
    if condition and not faces.attributes:
        found = "; ".join(f"{name}: {reason}" for name, reason in faces.left_out.items())
        raise BadData(
            f"{faces.path} ({faces.layout}) has no labels for the condition {','.join(condition)}. "
            + (f"Not used: {found}. " if found else "")
            + f"Expected a metadata.csv with file_name and columns such as {condition[0]}, with values 0 or 1. "
            "Add it, or train without --condition."
        )
    return tuple(expand_classes(condition, faces.attributes))


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
    """The labels `[K]` for a requested condition such as `{"smiling": 1}` or `{"label": 2}`.

    Args:
        names: the attributes of the conditional model, in its order.
        condition: the requested attributes, each 0 or 1; or a column of numbered classes and the class. The other
            classes of a column are then set to no.

    Returns:
        1 for yes, -1 for no, 0 for attributes that were not requested; None if nothing was requested.

    Raises:
        BadOption: the model has no such attribute, or a value is neither 0 nor 1.
    """
    if condition is not None and not isinstance(condition, Mapping):
        raise BadOption(f"condition is {shorten(repr(condition), 40)}; expected a dict such as {{'smiling': 1}}.")
    if not condition:
        return None
    labels = dict.fromkeys(names, 0.0)
    for name, value in condition.items():
        if not isinstance(name, str):
            raise BadOption(f"condition names {shorten(repr(name), 40)}; expected a text such as 'smiling'.")
        if not isinstance(value, Real):
            found = shorten(repr(value), 40)
            raise BadOption(f"condition: {name} is {found}; expected 0 or 1, or the number of a class.")
        attribute, is_yes = _find_attribute(names, name, value)
        labels[attribute] = 1.0 if is_yes else -1.0
    classes = [name for name in names if "=" in name and labels[name] > 0]
    for name in classes:
        for other in names:
            if other != name and other.startswith(f"{_column(name)}="):
                if labels[other] > 0:
                    raise BadOption(f"{name} and {other} exclude each other. Request one of them.")
                labels[other] = -1.0
    return torch.tensor(list(labels.values()))


def _find_attribute(names: Sequence[str], name: str, value: float) -> tuple[str, bool]:
    """The attribute that a request such as smiling=1 or label=2 means, and whether it means yes.

    Raises:
        BadOption: there is no such attribute, or the value is neither 0 nor 1.
    """
    if not names:
        raise BadOption(
            f"This model is not conditional, so it takes no {name!r}. Train one with --condition {_column(name)}, "
            f"or edit its faces: facesmith edit --edit {name}=1"
        )
    if name not in names and f"{name}={value:g}" in names:
        return f"{name}={value:g}", True
    if name in names and value in (0, 1):
        return name, value == 1
    if name in names or _column(name) in names:
        raise BadOption(f"{name} is {value!r}. {CONDITION_SYNTAX}" if name in names else f"{name}: {CONDITION_SYNTAX}")
    classes = [each for each in names if each.startswith(f"{_column(name)}=")]
    close = get_close_matches(name, names, n=1)
    suggestion = f" Did you mean {close[0]!r}?" if close and not classes else ""
    raise BadOption(f"This model has no attribute {name!r}.{suggestion} It has: {', '.join(classes or names)}.")


def _column(name: str) -> str:
    """The column of a class: `label` for `label=2`."""
    return name.partition("=")[0]

"""Directions that are found without labels, for the sliders of the page: pca_1, sefa_2 and so on.

They depend on the model alone, so they are computed when they are first needed, and kept as long as the model is open.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from facesmith.directions.unsupervised import METHODS, unsupervised_directions
from facesmith.model import Model
from facesmith.studio.face_text import Face

Directions = Mapping[str, NDArray[np.float32]]


class _Cache:
    """The directions of each open model, by method."""

    def __init__(self) -> None:
        self._directions: WeakKeyDictionary[Model, dict[str, Directions]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def get(self, model: Model, method: str) -> Directions:
        with self._lock:  # so that two threads don't compute the same
            by_method = self._directions.setdefault(model, {})
            if method not in by_method:
                found = unsupervised_directions(model.G, method)
                by_method[method] = {name: direction.numpy() for name, direction in found.items()}
            return by_method[method]


_cache = _Cache()


def unlabeled_directions(model: Model, method: str) -> Directions:
    """Return directions `[w_dim]` by name, the most important first. The first call takes about a second.

    Args:
        method: "pca" or "sefa".

    Raises:
        BadModel: the generator lacks a layer that the method needs.
    """
    return _cache.get(model, method)


def directions_for(model: Model, face: Face) -> Directions:
    """Return the directions that the edits of a face may use: those of the model, and those that need no labels.

    Raises:
        BadModel: the directions file is damaged, or an edit needs a method that does not work with this generator.
    """
    found = [unlabeled_directions(model, method) for method in unlabeled_methods(model, [face])]
    return {name: direction for each in (*found, model.directions) for name, direction in each.items()}


def unlabeled_methods(model: Model, faces: Iterable[Face]) -> list[str]:
    """Return the methods that find the directions of these faces which the model itself does not have.

    Raises:
        BadModel: the directions file is damaged.
    """
    missing = {name for face in faces for name, _ in face.edits if name not in model.directions}
    return [method for method in METHODS if any(name.startswith(f"{method}_") for name in missing)]

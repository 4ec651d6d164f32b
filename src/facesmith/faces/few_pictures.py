"""A few pictures of a dataset, and their sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np

from facesmith.errors import BadPicture
from facesmith.pictures.images import Pixels, read_picture
from facesmith.storage.store import Store, StoredFile

MAX_PICTURES = 20


def evenly_spaced_pictures(store: Store, files: Sequence[StoredFile], count: int = MAX_PICTURES) -> Iterator[Pixels]:
    """Evenly spaced pictures, at most `count` of them; without unreadable ones, which `faces_from_listing` lists."""
    for i in np.linspace(0, len(files) - 1, min(count, len(files))).astype(int):
        with suppress(BadPicture):
            yield read_picture(store.read(files[i].name), name=files[i].name)


def smaller_sides(store: Store, files: Sequence[StoredFile], count: int = MAX_PICTURES) -> list[int]:
    """The smaller sides of `evenly_spaced_pictures` in pixels."""
    return [min(picture.shape[:2]) for picture in evenly_spaced_pictures(store, files, count)]

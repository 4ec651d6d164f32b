"""The size of the pictures of a dataset, from a few of them."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from facesmith.errors import BadPicture
from facesmith.faces.layouts import Listing
from facesmith.pictures.images import read_picture
from facesmith.storage.store import Store

SAMPLE = 20  # pictures


def sample_sides(store: Store, listing: Listing, count: int = SAMPLE) -> list[int]:
    """The smaller side of evenly spaced pictures in pixels, at most `count` of them; without unreadable ones."""
    sides = []
    for i in np.linspace(0, len(listing.files) - 1, min(count, len(listing.files))).astype(int):
        name = listing.files[i].name
        with suppress(BadPicture):  # the notices of `faces_from_listing` list them
            sides.append(min(read_picture(store.read(name), name=name).shape[:2]))
    return sides

"""Which faces teach, which choose and which judge: train, validation and test, decided once and for good.

A face's part follows from a hash of its group alone, so it stays when other groups come or go, on every machine.
A group is a person where names are known, else a set of near-duplicates: nobody is on both sides.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = ("train", "validation", "test")
SHARES = (0.80, 0.05, 0.15)
BOUNDS = tuple(accumulate(SHARES))[:-1]
SALT = "facesmith-split-1"


def person_of(path: str) -> str | None:
    """The person whom a path names in the way of Labeled Faces in the Wild (`.../Name/Name_0001.jpg`), or None."""
    folders, _, name = path.rpartition("/")
    folder = folders.rpartition("/")[2]
    person, _, number = name.rpartition(".")[0].rpartition("_")
    return folder if folder and person == folder and number.isdecimal() else None


def group_name(person: str | None, content: str) -> str:
    """The group of one face: its person's, else its own by its contents' sha256, so that a new name changes nothing."""
    return f"person/{person}" if person else f"picture/{content}"


def part_of(group: str) -> str:
    """The part of the data (one of PARTS) that a group belongs to."""
    digest = hashlib.sha256(f"{SALT}/{group}".encode("utf-8", "surrogateescape")).digest()
    return PARTS[bisect_right(BOUNDS, int.from_bytes(digest[:8], "big") / 2**64)]


def split(groups: Sequence[str]) -> NDArray[np.int8]:
    """For each of N group names, the index of its part in PARTS."""
    known = {group: PARTS.index(part_of(group)) for group in set(groups)}
    return np.array([known[group] for group in groups], dtype=np.int8)


def describe(parts: NDArray[np.int8]) -> dict[str, Any]:
    """How a split was made and how many it put where, as plain values for a header."""
    counts = {name: int((parts == i).sum()) for i, name in enumerate(PARTS)}
    return {"rule": SALT, "shares": dict(zip(PARTS, SHARES, strict=True)), "counts": counts}

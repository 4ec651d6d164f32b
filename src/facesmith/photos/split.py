"""Training, validation and test split, by a hash of each face's group.

The part of a face depends on its group alone, so it is the same on every machine and stays when other faces are added
or removed. A group is a person if names are known, otherwise a set of near-duplicates: no person is in two parts.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

PERSON = "person"  # the column of tables that names the person
PARTS = ("train", "validation", "test")
SHARES = (0.80, 0.05, 0.15)
BOUNDS = tuple(accumulate(SHARES))[:-1]
SALT = "facesmith-split-1"


def group_name(person: str | None, content: str) -> str:
    """The group of a face: its person, or else the sha256 of its file, so that renaming changes nothing."""
    return f"person/{person}" if person else f"picture/{content}"


def part_of(group: str) -> str:
    """The part (one of PARTS) to which a group belongs."""
    digest = hashlib.sha256(f"{SALT}/{group}".encode("utf-8", "surrogateescape")).digest()
    return PARTS[bisect_right(BOUNDS, int.from_bytes(digest[:8], "big") / 2**64)]


def split(groups: Iterable[str]) -> NDArray[np.int8]:
    """For each of N group names, the index of its part in PARTS."""
    return np.fromiter((PARTS.index(part_of(group)) for group in groups), np.int8)


def describe(parts: NDArray[np.int8]) -> dict[str, Any]:
    """The rule, the shares and the counts of a split, as plain values for a JSON header."""
    counts = {name: int((parts == i).sum()) for i, name in enumerate(PARTS)}
    return {"rule": SALT, "shares": dict(zip(PARTS, SHARES, strict=True)), "counts": counts}

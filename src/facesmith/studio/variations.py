"""Small random changes of a face, and children of two faces.

Each is written as a sum of faces, such as `42+0.3*712` with a random seed, so that `facesmith mix` can draw it. The
same request always gives the same sums.
"""

from __future__ import annotations

import random

from facesmith.io.seeds import RANDOM_SEED_LIMIT
from facesmith.studio.face_text import Face

SHARE_RANGE = (0.25, 0.75)  # of the first parent


def variations(face: Face, amount: float, start: int, count: int) -> list[str]:
    """Return sums of a face and a little of other faces.

    Args:
        amount: how much of the other face; 0 changes nothing.
        start: the number of the first variation, so that further ones differ from the earlier.
    """
    return [f"{face}+{amount:g}*{_rng(face, i).randrange(RANDOM_SEED_LIMIT)}" for i in range(start, start + count)]


def children(mother: Face, father: Face, mutation: float, start: int, count: int) -> list[str]:
    """Return sums of two faces in random shares, with a little of other faces.

    Args:
        mutation: how much of the other face.
        start: the number of the first child.
    """
    sums = []
    for i in range(start, start + count):
        rng = _rng(f"{mother},{father}", i)
        share = round(rng.uniform(*SHARE_RANGE), 2)
        other = rng.randrange(RANDOM_SEED_LIMIT)
        sums.append(f"{share:g}*{mother}+{1 - share:.2g}*{father}+{mutation:g}*{other}")
    return sums


def _rng(text: object, number: int) -> random.Random:
    """Return the random numbers of one variation of a face."""
    return random.Random(f"{text} {number}")

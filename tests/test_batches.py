"""Batches of one size: every item once, the last one repeated."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from facesmith.io.batches import full_batches


@given(count=st.integers(0, 100), size=st.integers(1, 20))
def test_batches_are_full_and_cover_every_item_once(count, size):
    batches = full_batches(count, size)
    assert all(len(rows) == size for rows, _ in batches)
    assert np.concatenate([rows[:n] for rows, n in batches] or [[]]).tolist() == list(range(count))


def test_last_item_fills_up_the_last_batch():
    (_, (rows, n)) = full_batches(5, 3)
    assert (rows.tolist(), n) == ([3, 4, 4], 2)

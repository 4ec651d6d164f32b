from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesmith.labels.folders import person_of
from facesmith.photos.split import PARTS, SHARES, describe, part_of, split

NAMES = st.text(max_size=20)


def test_parts_have_the_documented_shares():
    parts = split([f"person/{i}" for i in range(20_000)])
    for i, share in enumerate(SHARES):
        assert (parts == i).mean() == pytest.approx(share, abs=0.01)
    assert describe(parts)["counts"] == {name: int((parts == i).sum()) for i, name in enumerate(PARTS)}


@given(st.lists(NAMES, min_size=1), st.lists(NAMES))
def test_part_of_a_group_does_not_depend_on_other_groups(groups, others):
    assert np.array_equal(split([*groups, *others])[: len(groups)], split(groups))


def test_parts_never_change_between_versions():
    assert [part_of(f"person/{name}") for name in ("Ann", "Bob", "Cem", "Dee", "Eva", "Fay", "Gus", "Hal")] == GOLDEN


def test_names_that_are_not_utf8_have_a_part():
    assert part_of("person/\udcff") in PARTS


@pytest.mark.parametrize(
    ("path", "person"),
    [
        ("lfw/Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee"),
        ("Ann_Lee/Ann_Lee_0012.png", "Ann_Lee"),
        ("Ann/Bob_0001.jpg", None),
        ("Ann/Ann.jpg", None),
        ("Ann/Ann_.jpg", None),
        ("Ann/Ann_1a.jpg", None),
        ("Ann_0001.jpg", None),
        ("_0001.jpg", None),
        ("/_0001.jpg", None),
        ("", None),
        ("a[b/a[b_1.jpg", "a[b"),
    ],
)
def test_persons_are_read_from_lfw_paths(path, person):
    assert person_of(path) == person


GOLDEN = ["train"] * 7 + ["test"]

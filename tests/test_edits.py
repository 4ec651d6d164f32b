"""Edits as people write them: each is understood or refused with how to write it, and adds what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facesmith.errors import BadOption
from facesmith.latent.edits import LARGEST_STRENGTH, apply_edits, check_edits, parse_edits

NAMES = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz_0123456789"), min_size=1, max_size=20)
STRENGTHS = st.floats(-LARGEST_STRENGTH, LARGEST_STRENGTH).map(lambda each: round(each, 4))
DIRECTIONS = {"smiling": np.array([1, 0, 0], np.float32), "male": np.array([0, 2, 0], np.float32)}


@given(st.dictionaries(NAMES, STRENGTHS, max_size=5))
def test_what_is_written_is_what_is_read(edits):
    assert parse_edits([f"{name}={strength:.4f}" for name, strength in edits.items()]) == edits


@given(st.text(max_size=30))
def test_any_text_is_an_edit_or_a_mistake_of_one_line(text):
    try:
        ((name, strength),) = parse_edits([text]).items()
    except BadOption as error:
        assert "such as" in str(error) or "strengths go" in str(error)
    else:
        assert name
        assert abs(strength) <= LARGEST_STRENGTH


def test_ways_to_write_are_understood():
    assert parse_edits(["Smiling = 1", "pale skin=-.5", "male=\N{MINUS SIGN}2", "young=+0.25"]) == {
        "smiling": 1,
        "pale_skin": -0.5,
        "male": -2,
        "young": 0.25,
    }


@pytest.mark.parametrize("text", ["smiling", "smiling=", "=1", "smiling=much", "smiling=nan", "smiling=inf", "a=1=2"])
def test_what_is_no_edit_says_how_to_write_one(text):
    with pytest.raises(BadOption, match="such as smiling=1"):
        parse_edits([text])


def test_too_strong_or_named_twice_is_told():
    with pytest.raises(BadOption, match="-10 to 10"):
        parse_edits(["smiling=11"])
    with pytest.raises(BadOption, match="twice"):
        parse_edits(["smiling=1", "smiling=2"])


def test_an_edit_adds_its_direction_in_every_layer():
    w = torch.zeros(2, 3)
    assert apply_edits(w, DIRECTIONS, {"smiling": 1, "male": -0.5}).tolist() == [[1, -1, 0]] * 2
    assert apply_edits(torch.zeros(1, 2, 3), DIRECTIONS, {"smiling": 1}).tolist() == [[[1, 0, 0]] * 2]
    assert not w.any()
    assert apply_edits(w, DIRECTIONS, {}) is w


def test_an_unknown_direction_names_the_near_one_and_all():
    with pytest.raises(BadOption, match=r"Did you mean 'smiling'\? It has: smiling, male"):
        check_edits(["smilling"], DIRECTIONS)
    with pytest.raises(BadOption, match=r"no direction 'xyz'\. It has"):
        check_edits(["xyz"], DIRECTIONS)
    with pytest.raises(BadOption, match="facesmith directions --model"):
        check_edits(["smiling"], {})

"""Edits as text: parsed, or refused with the right syntax; and applied to latents."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import saved_model

import facesmith
from facesmith.errors import BadOption, UnknownDirection
from facesmith.latent.edits import MAX_STRENGTH, apply_edits, check_edits, parse_edits

NAMES = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyz_0123456789"), min_size=1, max_size=20)
STRENGTHS = st.floats(-MAX_STRENGTH, MAX_STRENGTH).map(lambda each: round(each, 4))
DIRECTIONS = {"smiling": np.array([1, 0, 0], np.float32), "male": np.array([0, 2, 0], np.float32)}


@given(st.dictionaries(NAMES, STRENGTHS, max_size=5))
def test_formatted_edits_parse(edits):
    assert parse_edits([f"{name}={strength:.4f}" for name, strength in edits.items()]) == edits


@given(st.text(max_size=30))
def test_any_text_is_an_edit_or_a_one_line_error(text):
    try:
        ((name, strength),) = parse_edits([text]).items()
    except BadOption as error:
        assert "such as" in str(error) or "strengths go" in str(error)
    else:
        assert name
        assert abs(strength) <= MAX_STRENGTH


def test_spaces_case_and_minus_signs_are_accepted():
    assert parse_edits(["Smiling = 1", "pale skin=-.5", "male=\N{MINUS SIGN}2", "young=+0.25"]) == {
        "smiling": 1,
        "pale_skin": -0.5,
        "male": -2,
        "young": 0.25,
    }


@pytest.mark.parametrize(
    "text", ["smiling", "smiling=", "=1", "smiling=much", "smiling=nan", "smiling=inf", "a=1=2", "a=1,b=1"]
)
def test_wrong_syntax_is_refused_with_an_example(text):
    with pytest.raises(BadOption, match="such as smiling=1, and repeat --edit"):
        parse_edits([text])


def test_excessive_strength_and_repeated_names_are_refused():
    with pytest.raises(BadOption, match="-10 to 10"):
        parse_edits(["smiling=11"])
    with pytest.raises(BadOption, match="twice"):
        parse_edits(["smiling=1", "smiling=2"])


def test_edit_is_added_in_every_layer():
    w = torch.zeros(2, 3)
    assert apply_edits(w, DIRECTIONS, {"smiling": 1, "male": -0.5}).tolist() == [[1, -1, 0]] * 2
    assert apply_edits(torch.zeros(1, 2, 3), DIRECTIONS, {"smiling": 1}).tolist() == [[[1, 0, 0]] * 2]
    assert not w.any()
    assert apply_edits(w, DIRECTIONS, {}) is w


def test_unknown_direction_error_suggests_the_closest_name_and_lists_all():
    with pytest.raises(BadOption, match=r"Did you mean 'smiling'\? It has: smiling, male"):
        check_edits(["smilling"], DIRECTIONS)
    with pytest.raises(BadOption, match=r"no direction 'xyz'\. It has"):
        check_edits(["xyz"], DIRECTIONS)
    with pytest.raises(BadOption, match="facesmith directions --model"):
        check_edits(["smiling"], {})
    with pytest.raises(KeyError):
        check_edits(["smiling"], {})


def test_an_unknown_direction_of_a_model_says_what_there_is(tmp_path):
    assert facesmith.load().directions["smiling"].dtype == np.float32
    with pytest.raises(UnknownDirection, match=r"^This model has no direction 'smilling'\. Did you mean 'smiling'"):
        facesmith.load().directions["smilling"]
    model = facesmith.load(saved_model(tmp_path / "run"))
    with pytest.raises(facesmith.FacesmithError, match=r"^This model has no directions, so there is no 'smiling'"):
        model.directions["smiling"]
    assert "smiling" not in model.directions

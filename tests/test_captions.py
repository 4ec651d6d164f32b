from __future__ import annotations

import numpy as np
import pytest

from facesmith.io.captions import GUTTER_PX, with_caption

GREY = np.full((64, 48, 1), 90, np.uint8)


def test_the_picture_stands_above_its_words():
    shown = with_caption(GREY, "seed 29")
    assert shown.shape[1:] == (48, 3)
    assert (shown[:64] == 90).all()
    assert (shown[64:] < 128).any()
    assert (with_caption(GREY, "")[64:] == 255).all()


def test_signs_differ_and_stand_before_the_picture():
    signs = [with_caption(GREY, "", sign)[:, :GUTTER_PX].tobytes() for sign in ("", "+", "-", "=")]
    assert len(set(signs)) == 4
    assert set(signs[0]) == {255}
    assert (with_caption(GREY, "", "+")[:64, GUTTER_PX:] == 90).all()


@pytest.mark.parametrize("words", ["1", "12.25 * seed 1000000", "a name that is longer than any picture is wide"])
def test_words_never_change_the_size_of_the_cell(words):
    assert with_caption(GREY, words, "+").shape == with_caption(GREY, "", "+").shape

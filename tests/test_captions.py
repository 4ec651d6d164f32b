"""Captions and signs around images."""

from __future__ import annotations

import numpy as np
import pytest

from facesmith.io.captions import GUTTER_PX, with_caption

GRAY = np.full((64, 48, 1), 90, np.uint8)


def test_the_caption_is_below_the_image():
    captioned = with_caption(GRAY, "seed 29")
    assert captioned.shape[1:] == (48, 3)
    assert (captioned[:64] == 90).all()
    assert (captioned[64:] < 128).any()
    assert (with_caption(GRAY, "")[64:] == 255).all()


def test_signs_differ_and_are_left_of_the_image():
    signs = [with_caption(GRAY, "", sign)[:, :GUTTER_PX].tobytes() for sign in ("", "+", "-", "=")]
    assert len(set(signs)) == 4
    assert set(signs[0]) == {255}
    assert (with_caption(GRAY, "", "+")[:64, GUTTER_PX:] == 90).all()


@pytest.mark.parametrize("caption", ["1", "12.25 * seed 1000000", "a name that is longer than any image is wide"])
def test_captions_never_change_the_size_of_the_cell(caption):
    assert with_caption(GRAY, caption, "+").shape == with_caption(GRAY, "", "+").shape

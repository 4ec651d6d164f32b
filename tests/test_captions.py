"""Captions and signs around images."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from facesmith.pictures import fonts
from facesmith.pictures.captions import GUTTER_PX, HEADING_PX, with_caption, with_heading
from facesmith.pictures.fonts import drawable

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


OWN_FONT = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@pytest.mark.parametrize("text", ["Größe", "лицо", "πρόσωπο", "œuvre №5"])
def test_titles_in_the_scripts_of_matplotlibs_font_are_drawn(text):
    assert drawable(text) == text
    picture = with_heading(np.full((40, 40, 3), 90, np.uint8), text)
    assert (picture[:, :HEADING_PX] != with_heading(np.full((40, 40, 3), 90, np.uint8), text[1:])[:, :HEADING_PX]).any()


def test_characters_that_no_font_has_are_written_as_escapes(monkeypatch):
    monkeypatch.setattr(fonts, "_font_files", lambda: iter([OWN_FONT]))
    fonts.font_file.cache_clear()
    assert drawable("顔 2") == "\\u9854 2"
    assert drawable("a\x1b[2J") == "a\N{REPLACEMENT CHARACTER}[2J"
    fonts.font_file.cache_clear()


def test_an_installed_font_is_used_where_it_alone_has_the_characters(monkeypatch, tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(fonts, "_font_files", lambda: iter([tmp_path / "broken.ttf", OWN_FONT]))
    fonts.font_file.cache_clear()
    assert fonts.font_file("лицо") == OWN_FONT
    fonts.font_file.cache_clear()


def test_no_font_of_placeholders_is_used():
    assert not [file for file in fonts._font_files() if "LastResort" in file.name]


def test_a_long_title_does_not_reach_into_the_picture():
    gray = np.full((40, 40, 3), 90, np.uint8)
    assert (with_heading(gray, "a very long name of a run " * 9)[:, HEADING_PX:] == 90).all()

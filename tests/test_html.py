"""Pages: all text is escaped, everything is embedded, and every picture has a description."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from facesmith.pictures.html import Chart, Section, Video, as_picture, page

HOSTILE = '"><script>alert(1)</script>&.jpg'


class Balanced(HTMLParser):
    """Fails if a tag is closed that is not open."""

    void = frozenset({"meta", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def red() -> np.ndarray:
    return np.full((4, 6, 3), (255, 0, 0), np.uint8)


def full_page() -> str:
    picture = as_picture(red(), HOSTILE)
    row = (HOSTILE, 1234, 0.5)
    plain = Section(HOSTILE, [HOSTILE], [HOSTILE, "n", "x"], [row], [picture], [picture])
    chart = Chart("<svg></svg>", ((HOSTILE, 1, True),), HOSTILE, HOSTILE)
    rich = Section(
        HOSTILE, bullets=[HOSTILE], code=[HOSTILE], videos=[Video(b"film", HOSTILE)], strip=[picture], charts=[chart],
        explanation=HOSTILE, folded=True,
    )  # fmt: skip
    return page(HOSTILE, [plain, rich, Section("empty")])


def test_all_text_is_escaped():
    assert "<script" not in full_page()
    # Plain section: two titles of the page, heading, line, column, cell, and two in each picture. Rich section:
    # heading, list item, code, video, three of the picture, three of the chart, and how to read it.
    assert full_page().count("&lt;script&gt;") == 10 + 11


def test_every_tag_is_closed():
    Balanced(full_page())


def test_nothing_is_fetched_from_elsewhere():
    assert re.findall(r"(?:src|href)=\"(?!data:|#)|https?://|url\((?!#)", full_page()) == []


def test_pictures_are_embedded():
    data = re.findall(r"data:image/png;base64,([^\"]+)", full_page())
    assert len(data) == 3
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data[0])))), red())


def test_videos_are_embedded_and_do_not_start_by_themselves():
    (film,) = re.findall(r"<video controls [^>]*src=\"data:video/mp4;base64,([^\"]+)", full_page())
    assert base64.b64decode(film) == b"film"
    assert "autoplay" not in full_page()


def test_every_picture_and_video_has_a_description():
    for tag in re.findall(r"<(?:img|video)[^>]*>", full_page()):
        assert re.search(r"(?:alt|aria-label)=\"[^\"]+\"", tag)


def test_folded_sections_open_without_a_script():
    assert "<details>" in full_page()
    assert "<summary>" in full_page()
    assert "<script" not in full_page()


def test_gray_pictures_can_be_shown():
    assert as_picture(np.zeros((4, 4, 1), np.uint8), "gray").png.startswith(b"\x89PNG")


def test_numbers_have_separators_and_are_right_aligned():
    assert '<td class="number">1,234</td>' in full_page()


def test_the_page_suits_phones_and_dark_mode():
    assert 'name="viewport"' in full_page()
    assert "color-scheme: light dark" in full_page()


def test_control_characters_become_escapes():
    text = page("a\x1b[31mb", [Section("title", lines=["line\x07 one"])])
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "a\\x1b[31mb" in text

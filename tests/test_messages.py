"""Messages can't control the terminal, and stay short, whatever a file contains."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facesmith.io.messages import SafeConsole, encodable, one_line, printable, shorten, with_article


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("faces/Zoë 😀.png", "faces/Zoë 😀.png"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("a\rb", r"a\rb"),
        ("caf\udce9.png", r"caf\udce9.png"),
        ("gpj.\u202eecaf", r"gpj.\u202eecaf"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_control_characters_are_shown_as_escapes(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=[])), st.integers(3, 50))
def test_any_text_becomes_one_short_line_that_can_be_encoded(text, limit):
    line = one_line(text, limit)
    assert len(line) <= limit
    assert "\n" not in line
    assert "\x1b" not in line.encode().decode()


def test_long_texts_end_with_dots():
    assert shorten("a" * 101) == "a" * 97 + "..."
    assert len(printable("a" * 100_000)) == 4000


def test_a_console_prints_no_control_characters():
    stream = io.StringIO()
    SafeConsole(file=stream, markup=False, soft_wrap=True).print("recipe \x1b]0;title\x07", "\udc80")
    assert stream.getvalue() == "recipe \\x1b]0;title\\x07 \\udc80\n"


def test_a_closed_terminal_does_not_stop_the_work():
    class Closed(io.StringIO):
        def write(self, text):
            raise OSError(5, "Input/output error")

    SafeConsole(file=Closed()).print("saved")


def test_long_numbers_are_shortened_and_paths_are_not():
    assert one_line("seed " + "9" * 5000) == "seed 99999999999999999999...(5000 digits)"
    assert one_line("/x/" + "a1" * 120) == "/x/" + "a1" * 120


def test_names_that_are_not_utf8_can_be_stored():
    assert encodable("caf\udce9 \u00e9") == "caf\\udce9 \u00e9"


def test_work_goes_on_when_nobody_reads_the_messages():
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as log:
        console = SafeConsole(file=log)
        console.print("step 1")
        console.print("step 2")


def test_kinds_of_files_have_the_article_that_fits_their_sound():
    kinds = ["RAR", "7z", "zstd", "LZ4", "gzip", "xz", "AVIF", "Office document"]
    assert " ".join(map(with_article, kinds)) == ("a RAR a 7z a zstd an LZ4 a gzip an xz an AVIF an Office document")

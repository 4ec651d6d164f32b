"""JSON is checked where it is read, and what is wrong is said in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from facesmith.errors import BadData, BadModel
from facesmith.io.json_files import as_schema, parse_json, read_json


@dataclass
class Inner:
    counts: list[int]


@dataclass
class Example:
    seed: Annotated[int, Meta(ge=0)]
    rate: float
    names: list[str] = field(default_factory=list)
    inner: Inner | None = None
    shares: dict[str, float] = field(default_factory=dict)


GOOD = {"seed": 1, "rate": 2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1, column 1"),
        ('{"a": ', "line 1, column 7"),
        ("[" * 9999, "nested too deeply"),
        ("[1e999]", "the number 1e999 is not finite"),
        ("[NaN]", "the number NaN is not finite"),
        ("[-Infinity]", "the number -Infinity is not finite"),
        ("[" + "9" * 5000 + "]", "a whole number has 5000 digits"),
        (b'["\xff"]', "not UTF-8 text"),
    ],
)
def test_texts_that_are_no_json_have_a_reason(text, reason):
    with pytest.raises(ValueError, match=r"^(?!Exceeds)") as caught:
        parse_json(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "1"}, 'seed is "1"; expected a whole number'),
        ({"seed": True}, "seed is true; expected a whole number"),
        ({"seed": -1}, "seed is -1; expected a whole number >= 0"),
        ({"rate": None}, "rate is null; expected a number"),
        ({"names": [3]}, "names[0] is 3; expected text"),
        ({"names": {"a": 1}}, "names is an object; expected a list"),
        ({"inner": {"counts": [1, [2]]}}, "inner.counts[1] is a list of 1; expected a whole number"),
        ({"inner": {}}, "inner.counts is missing"),
        ({"shares": {"a": "b"}}, "shares[...] is different; expected a number"),
        ({"seed": "\x1b[2J" + "x" * 999}, "seed is"),
    ],
)
def test_entries_of_wrong_types_are_named_with_what_was_found_and_expected(change, message):
    with pytest.raises(ValueError, match=r"expected|missing") as caught:
        as_schema({**GOOD, **change}, Example)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 150


def test_a_missing_entry_is_named():
    with pytest.raises(ValueError, match=r"^rate is missing$"):
        as_schema({"seed": 1}, Example)


def test_names_that_are_not_unicode_are_read_as_they_were_written():
    assert as_schema(json.loads(json.dumps({**GOOD, "names": ["\udcff"]})), Example).names == ["\udcff"]


def test_a_file_is_read_or_refused_with_its_name_and_the_advice(tmp_path):
    file = tmp_path / "x.json"
    file.write_text(json.dumps(GOOD))
    assert read_json(file, Example, "Do this.") == Example(1, 2.0)
    file.write_text("{}")
    with pytest.raises(BadModel, match=r"x\.json can't be used: seed is missing\. Do this\."):
        read_json(file, Example, "Do this.", error=BadModel)
    with pytest.raises(BadData, match="more than 0 MiB"):
        read_json(file, Example, "Do this.", max_bytes=1)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json", Example, "Do this.")


@pytest.mark.skipif(os.name == "nt", reason="this system has no named pipes")
def test_a_pipe_a_folder_or_a_device_in_place_of_a_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    for name, kind in (("pipe", "a named pipe"), ("folder", "a folder"), ("zero", "a device")):
        with pytest.raises(BadData, match=f"this is {kind}, not a regular file"):
            read_json(tmp_path / f"{name}.json", Example, "Do this.")


@settings(max_examples=30, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_value_follows_the_schema_or_gives_a_reason(value):
    try:
        example = as_schema(parse_json(json.dumps(value)), Example)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert example.seed >= 0


def test_the_help_needs_neither_schemas_nor_torch():
    code = "import sys, facesmith.cli; print(sorted({'msgspec', 'torch', 'pydantic'} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == "[]\n"

from __future__ import annotations

import os
import struct
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facesmith.errors import BadData, BadPicture, FacesmithError
from facesmith.faces.store import open_store, printable


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return path


def names(path):
    return [file.name for file in open_store(path).files()]


def test_folder_and_its_zip_have_the_same_files(tmp_path):
    files = {"b.txt": "1", "a/c.txt": "2", "a/d/e.txt": "3", "ü.txt": "4"}
    hidden = {".x": "", "a/.y/z.txt": "", "__MACOSX/._b.txt": "", "a/._c.txt": ""}
    for name, content in (files | hidden).items():
        file = tmp_path / "folder" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    archive = zipped(tmp_path / "x.zip", (files | hidden).items())
    assert names(tmp_path / "folder") == names(archive) == sorted(files)
    for path in (tmp_path / "folder", archive):
        assert {name: open_store(path).read(name).decode() for name in files} == files


def test_changed_file_has_another_stamp(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("one")
    before = open_store(tmp_path).files()
    assert open_store(tmp_path).files() == before
    file.write_text("two")
    os.utime(file, ns=(1, 1))
    assert open_store(tmp_path).files() != before
    first = open_store(zipped(tmp_path / "1.zip", [("a", "one")])).files()
    assert first != open_store(zipped(tmp_path / "2.zip", [("a", "two")])).files()


def test_linked_folders_are_listed_once_and_circles_end(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.txt").write_text("x")
    faces = tmp_path / "faces"
    (faces / "deep").mkdir(parents=True)
    (faces / "linked").symlink_to(tmp_path / "elsewhere")
    (faces / "again").symlink_to(tmp_path / "elsewhere")
    (faces / "deep" / "circle").symlink_to(faces)
    (faces / "deep" / "b.txt").write_text("y")
    (faces / "self").symlink_to(faces / "self")
    assert names(faces) == ["again/a.txt", "deep/b.txt", "self"]


def test_broken_link_is_listed_and_has_a_reason(tmp_path):
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    assert names(tmp_path) == ["gone.png"]
    with pytest.raises(BadPicture, match="can't be read: No such file"):
        open_store(tmp_path).read("gone.png")


def test_pipes_are_skipped(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert names(tmp_path) == []


def test_names_that_are_not_utf8_are_read_and_printable(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff\n.txt", "w") as stream:
        stream.write("x")
    (name,) = names(tmp_path)
    assert open_store(tmp_path).read(name) == b"x"
    assert printable(name) == "\N{REPLACEMENT CHARACTER}" * 2 + ".txt"


def test_zip_writes_nothing_and_lists_repeated_names_once(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped(
            tmp_path / "x.zip", [("../up.txt", "1"), ("/abs.txt", "2"), ("a.txt", "old"), ("a.txt", "new")]
        )
    store = open_store(archive)
    assert [file.name for file in store.files()] == ["../up.txt", "/abs.txt", "a.txt"]
    assert [store.read(file.name) for file in store.files()] == [b"1", b"2", b"new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.zip"]


def test_encrypted_file_has_a_reason(tmp_path):
    archive = zipped(tmp_path / "x.zip", [("a.txt", "secret")])
    raw = bytearray(archive.read_bytes())
    raw[6] |= 1  # the flag in the local header
    raw[raw.index(b"PK\1\2") + 8] |= 1  # and in the directory
    archive.write_bytes(raw)
    with pytest.raises(BadPicture, match="encrypted in the zip; unpack it first"):
        open_store(archive).read("a.txt")


def test_zip_bomb_is_not_unpacked(tmp_path):
    archive = zipped(tmp_path / "x.zip", [("a.txt", "x")])
    raw = bytearray(archive.read_bytes())
    at = raw.index(b"PK\1\2") + 24
    raw[at : at + 4] = struct.pack("<I", 2**31)
    archive.write_bytes(raw)
    with pytest.raises(BadPicture, match="2048 MiB"):
        open_store(archive).read("a.txt")


def test_path_that_is_neither_folder_nor_zip_is_an_error(tmp_path):
    with pytest.raises(BadData, match="does not exist"):
        open_store(tmp_path / "gone")
    (tmp_path / "file.png").write_bytes(b"x")
    with pytest.raises(BadData, match="neither a folder nor a zip"):
        open_store(tmp_path / "file.png")
    whole = zipped(tmp_path / "whole.zip", [("a.txt", "x" * 1000)]).read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadData, match="Is the copy or download complete"):
        open_store(tmp_path / "half.zip")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_to_a_zip_gives_only_a_facesmith_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("zip") / "x.zip"
    raw = bytearray(zipped(path, [("a/ü.txt", "one" * 50), ("b.txt", "two" * 50)]).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    with suppress(FacesmithError):  # no other error
        store = open_store(path)
        for file in store.files():
            store.read(file.name)

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from facesmith.errors import BadData
from facesmith.faces import packed
from facesmith.faces.packed import cache_folder, pack
from facesmith.faces.store import Folder, open_store
from facesmith.io.images import write_png
from facesmith.procedural import draw_many, write_faces

QUIET = Console(quiet=True)


def pictures(store):
    return [entry for entry in store.entries() if entry.name.endswith((".png", ".heic"))]


def packing(path, resolution=32, channels=3):
    store = open_store(path)
    return pack(store, pictures(store), resolution, channels, QUIET)


@pytest.fixture
def faces(tmp_path):
    return write_faces(tmp_path / "faces", 6, size_px=32)


@pytest.fixture
def no_reading(monkeypatch):
    def read(self, name):
        raise AssertionError(f"{name} was read")

    monkeypatch.setattr(Folder, "read", read)


def test_pixels_are_those_of_the_files(faces):
    assert np.array_equal(packing(faces).pixels, draw_many(range(6), 32))


def test_a_second_start_reads_no_picture(faces, request):
    first = packing(faces)
    request.getfixturevalue("no_reading")
    second = packing(faces)
    assert np.array_equal(first.pixels, second.pixels)
    assert second.key == first.key
    assert isinstance(second.pixels, np.memmap)
    assert not second.pixels.flags.writeable


def test_a_second_start_needs_no_right_to_write(faces, monkeypatch):
    packing(faces)
    monkeypatch.setattr(packed, "atomic_write", None)
    monkeypatch.setattr(packed, "_pack_anew", None)
    assert len(packing(faces).names) == 6


def test_a_touched_file_is_read_but_nothing_is_packed_anew(faces, monkeypatch):
    packing(faces)
    os.utime(faces / "000001.png", ns=(1, 1))
    monkeypatch.setattr(packed, "_pack_anew", None)
    assert packing(faces).changed == []


def test_a_changed_file_is_noticed_and_named_once(faces):
    packing(faces)
    write_png(faces / "000001.png", draw_many([99], 32)[0])
    again = packing(faces)
    assert again.changed == ["000001.png"]
    assert np.array_equal(again.pixels[1], draw_many([99], 32)[0])
    assert packing(faces).changed == []


def test_deleted_and_added_files_are_noticed(faces):
    packing(faces)
    (faces / "000002.png").unlink()
    write_png(faces / "new.png", draw_many([7], 32)[0])
    again = packing(faces)
    assert again.names == [*(f"{i:06d}.png" for i in (0, 1, 3, 4, 5)), "new.png"]
    assert again.changed == []


def test_a_broken_file_is_left_out_with_a_reason_and_welcome_once_mended(faces):
    whole = (faces / "000001.png").read_bytes()
    (faces / "000001.png").write_bytes(whole[: len(whole) // 2])
    (faces / "000003.png").write_bytes(b"")
    (faces / "small.png").write_bytes(whole)
    write_png(faces / "small.png", draw_many([1], 20)[0])
    broken = packing(faces)
    assert broken.left_out.keys() == {"000001.png", "000003.png", "small.png"}
    assert broken.left_out["000003.png"] == "empty file"
    assert broken.left_out["small.png"] == "20x20, smaller than 32x32"
    assert len(broken.pixels) == 4
    (faces / "000001.png").write_bytes(whole)
    mended = packing(faces)
    assert mended.changed == ["000001.png"]
    assert "000001.png" in mended.names


def test_what_could_not_be_read_for_a_passing_reason_is_tried_again(faces, monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.fromarray(draw_many([1], 32)[0])).save(faces / "a.heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as where the extra is not installed
    assert "pip install" in packing(faces).left_out["a.heic"]
    assert "pip install" in packing(faces).left_out["a.heic"]
    monkeypatch.undo()
    assert "a.heic" in packing(faces).names


def test_sizes_and_greys_have_places_of_their_own(faces):
    large, small, grey = packing(faces), packing(faces, 16), packing(faces, 32, 1)
    assert small.pixels.shape == (6, 16, 16, 3)
    assert grey.pixels.shape == (6, 32, 32, 1)
    assert len({large.key, small.key, grey.key}) == 3
    assert small.sizes.tolist() == [[32, 32]] * 6
    assert np.array_equal(small.near, large.near)


def test_equal_contents_under_another_path_need_no_second_place(faces, tmp_path):
    shutil.copytree(faces, tmp_path / "copy")
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        for file in faces.iterdir():
            archive.write(file, file.name)
    assert packing(faces).key == packing(tmp_path / "copy").key == packing(tmp_path / "faces.zip").key


def test_near_duplicates_are_found_on_the_way(faces):
    shutil.copy(faces / "000004.png", faces / "000000_again.png")
    found = packing(faces)
    assert found.near[found.names.index("000004.png")] == found.names.index("000000_again.png")


@pytest.mark.parametrize("name", ["pixels.u8", "index.json"])
@pytest.mark.parametrize("damage", ["emptied", "cut", "removed", "nonsense"])
def test_a_damaged_cache_is_made_anew(faces, name, damage):
    file = packing(faces).key / name
    raw = file.read_bytes()
    file.unlink()
    if damage != "removed":
        file.write_bytes({"emptied": b"", "cut": raw[: len(raw) // 2], "nonsense": b"[" * 9999}[damage])
    assert np.array_equal(packing(faces).pixels, draw_many(range(6), 32))


@pytest.mark.parametrize("change", [{"names": []}, {"near": [0]}, {"shape": 3}, {"left_out": [1]}, {"sizes": None}])
def test_an_index_that_contradicts_itself_is_made_anew(faces, change):
    file = packing(faces).key / "index.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert len(packing(faces).names) == 6


@pytest.mark.parametrize("text", ["", "[1]", '{"000000.png": 5}', '{"000000.png": "ab"}', "[" * 9999])
def test_damaged_stamps_count_for_nothing(faces, cache, text):
    packing(faces)
    (stamps,) = (cache / "stamps").iterdir()
    stamps.write_text(text)
    assert len(packing(faces).names) == 6


def test_nothing_half_packed_stays(faces, cache, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(packed, "near_duplicate_groups", interrupted)
    with pytest.raises(KeyboardInterrupt):
        packing(faces)
    assert list((cache / "faces").iterdir()) == []


def test_what_a_killed_process_left_is_removed_after_a_day(faces, cache):
    old, young = cache / "faces" / ".packing-old", cache / "faces" / ".packing-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (1, 1))
    packing(faces)
    assert not old.exists()
    assert young.exists()


def test_a_cache_that_cant_be_written_is_told_of(faces, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FACESMITH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(BadData, match=r"cache .* can't be written: Not a directory.*FACESMITH_CACHE"):
        packing(faces)


CHILD = """
import resource, sys
from pathlib import Path
from rich.console import Console
from facesmith.errors import FacesmithError
from facesmith.faces.packed import pack
from facesmith.faces.store import open_store
if sys.argv[2] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
store = open_store(Path(sys.argv[1]))
try:
    entries = [entry for entry in store.entries() if entry.name.endswith(".png")]
    print(len(pack(store, entries, 32, 3, Console(quiet=True)).names))
except FacesmithError as error:
    print(error)
"""


def started(faces, largest_bytes=0):
    command = [sys.executable, "-c", CHILD, str(faces), str(largest_bytes)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_disk_that_takes_no_more_is_told_of_and_leaves_nothing(faces, cache):
    out, err = started(faces, largest_bytes=5000).communicate(timeout=120)
    assert "can't be written: File too large. Make room" in out, err
    assert list((cache / "faces").iterdir()) == []


def test_a_disk_that_is_too_small_is_told_of_before_the_work(faces, monkeypatch):
    monkeypatch.setattr(packed, "SPARE_BYTES", 2**60)
    with pytest.raises(BadData, match="MiB are needed and"):
        packing(faces)


def test_two_processes_that_pack_the_same_both_succeed(faces):
    both = [started(faces) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert out == "6\n", err
    assert len(list((cache_folder() / "faces").iterdir())) == 1


def test_a_place_that_another_process_took_first_is_used(faces, monkeypatch):
    """The race itself: the other finishes between our packing and our putting it into place."""
    pack_near, raced = packed.near_duplicate_groups, []

    def meanwhile(hashes):
        if not raced:
            raced.append(True)
            raced.append(packing(faces))
        return pack_near(hashes)

    monkeypatch.setattr(packed, "near_duplicate_groups", meanwhile)
    ours = packing(faces)
    assert ours.key == raced[1].key
    assert np.array_equal(ours.pixels, raced[1].pixels)
    assert len(list((cache_folder() / "faces").iterdir())) == 1

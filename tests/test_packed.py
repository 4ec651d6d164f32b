from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from facesmith.errors import BadData
from facesmith.faces import packed
from facesmith.faces.packed import cache_folder, pack
from facesmith.pictures.images import write_png
from facesmith.procedural import draw_many, write_faces
from facesmith.storage.open_store import open_store
from facesmith.storage.store import FolderStore

QUIET = Console(quiet=True)


def pictures(store):
    return [file for file in store.files() if file.name.endswith((".png", ".heic"))]


def pack_folder(path, resolution=32, channels=3):
    store = open_store(path)
    return pack(store, pictures(store), resolution, channels, QUIET)


@pytest.fixture
def faces(tmp_path):
    return write_faces(tmp_path / "faces", 6, size_px=32)


@pytest.fixture
def reading_fails(monkeypatch):
    def read(self, name):
        raise AssertionError(f"{name} was read")

    monkeypatch.setattr(FolderStore, "read", read)


def test_pixels_equal_those_of_the_files(faces):
    assert np.array_equal(pack_folder(faces).pixels, draw_many(range(6), 32))


def test_second_start_reads_no_picture(faces, request):
    first = pack_folder(faces)
    request.getfixturevalue("reading_fails")
    second = pack_folder(faces)
    assert np.array_equal(first.pixels, second.pixels)
    assert second.folder == first.folder
    assert isinstance(second.pixels, np.memmap)
    assert not second.pixels.flags.writeable


def test_second_start_works_without_write_permission(faces, monkeypatch):
    pack_folder(faces)
    monkeypatch.setattr(packed, "atomic_write", None)
    monkeypatch.setattr(packed, "_pack_all", None)
    assert len(pack_folder(faces).names) == 6


def test_touched_file_is_read_but_not_packed_again(faces, monkeypatch):
    pack_folder(faces)
    os.utime(faces / "000001.png", ns=(1, 1))
    monkeypatch.setattr(packed, "_pack_all", None)
    assert pack_folder(faces).changed == []


def test_changed_file_is_reported_once(faces):
    pack_folder(faces)
    write_png(faces / "000001.png", draw_many([99], 32)[0])
    again = pack_folder(faces)
    assert again.changed == ["000001.png"]
    assert np.array_equal(again.pixels[1], draw_many([99], 32)[0])
    assert pack_folder(faces).changed == []


def test_deleted_and_added_files_are_packed_again(faces):
    pack_folder(faces)
    (faces / "000002.png").unlink()
    write_png(faces / "new.png", draw_many([7], 32)[0])
    again = pack_folder(faces)
    assert again.names == [*(f"{i:06d}.png" for i in (0, 1, 3, 4, 5)), "new.png"]
    assert again.changed == []


def test_broken_file_is_skipped_with_a_reason_until_it_is_repaired(faces):
    whole = (faces / "000001.png").read_bytes()
    (faces / "000001.png").write_bytes(whole[: len(whole) // 2])
    (faces / "000003.png").write_bytes(b"")
    (faces / "small.png").write_bytes(whole)
    write_png(faces / "small.png", draw_many([1], 20)[0])
    broken = pack_folder(faces)
    assert broken.skipped.keys() == {"000001.png", "000003.png", "small.png"}
    assert broken.skipped["000003.png"] == "empty file"
    assert broken.skipped["small.png"] == "20x20, smaller than 32x32"
    assert len(broken.pixels) == 4
    (faces / "000001.png").write_bytes(whole)
    repaired = pack_folder(faces)
    assert repaired.changed == ["000001.png"]
    assert "000001.png" in repaired.names


def test_file_that_needs_a_missing_package_is_tried_again(faces, monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.fromarray(draw_many([1], 32)[0])).save(faces / "a.heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if the extra were not installed
    assert "pip install" in pack_folder(faces).skipped["a.heic"]
    assert "pip install" in pack_folder(faces).skipped["a.heic"]
    monkeypatch.undo()
    assert "a.heic" in pack_folder(faces).names


def test_each_size_and_color_mode_has_its_own_folder(faces):
    large, small, gray = pack_folder(faces), pack_folder(faces, 16), pack_folder(faces, 32, 1)
    assert small.pixels.shape == (6, 16, 16, 3)
    assert gray.pixels.shape == (6, 32, 32, 1)
    assert len({large.folder, small.folder, gray.folder}) == 3
    assert small.sizes.tolist() == [[32, 32]] * 6
    assert np.array_equal(small.near, large.near)


def test_copies_and_zips_share_one_cache_folder(faces, tmp_path):
    shutil.copytree(faces, tmp_path / "copy")
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        for file in faces.iterdir():
            archive.write(file, file.name)
    assert (
        pack_folder(faces).folder == pack_folder(tmp_path / "copy").folder == pack_folder(tmp_path / "faces.zip").folder
    )


def test_near_duplicates_are_found(faces):
    shutil.copy(faces / "000004.png", faces / "000000_again.png")
    result = pack_folder(faces)
    assert result.near[result.names.index("000004.png")] == result.names.index("000000_again.png")


@pytest.mark.parametrize("name", ["pixels.u8", "index.json"])
@pytest.mark.parametrize("damage", ["emptied", "cut", "removed", "nonsense"])
def test_damaged_cache_is_rebuilt(faces, name, damage):
    file = pack_folder(faces).folder / name
    raw = file.read_bytes()
    file.unlink()
    if damage != "removed":
        file.write_bytes({"emptied": b"", "cut": raw[: len(raw) // 2], "nonsense": b"[" * 9999}[damage])
    assert np.array_equal(pack_folder(faces).pixels, draw_many(range(6), 32))


@pytest.mark.parametrize("change", [{"names": []}, {"near": [0]}, {"shape": 3}, {"left_out": [1]}, {"sizes": None}])
def test_inconsistent_index_is_rebuilt(faces, change):
    file = pack_folder(faces).folder / "index.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert len(pack_folder(faces).names) == 6


@pytest.mark.parametrize("text", ["", "[1]", '{"000000.png": 5}', '{"000000.png": "ab"}', "[" * 9999])
def test_damaged_stamps_are_ignored(faces, cache, text):
    pack_folder(faces)
    (stamps,) = (cache / "stamps").iterdir()
    stamps.write_text(text)
    assert len(pack_folder(faces).names) == 6


def test_interrupted_packing_leaves_nothing(faces, cache, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(packed, "near_duplicate_groups", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pack_folder(faces)
    assert list((cache / "faces").iterdir()) == []


def test_leftovers_of_a_killed_process_are_removed(faces, cache):
    child = started(
        faces, before="import os, facesmith.faces.packed as p; p.near_duplicate_groups = lambda _: os.abort()"
    )
    child.communicate(timeout=120)
    (left,) = (cache / "faces").iterdir()
    running = left.with_name(left.name.replace(f"-{child.pid}-", f"-{os.getpid()}-"))
    running.mkdir()
    pack_folder(faces)
    assert not left.exists()
    assert running.exists()


def test_a_packing_of_another_machine_that_still_grows_is_kept(faces, cache):
    """The time of a folder does not change while a file in it grows. A machine's name can be the start of another's."""
    growing, stopped = (cache / "faces" / f".packing-1-{socket.gethostname()}-{n}-x" for n in (2, 3))
    for folder in (growing, stopped):
        folder.mkdir(parents=True)
        (folder / "pixels.u8").write_bytes(b"")
        os.utime(folder, (1, 1))
    os.utime(stopped / "pixels.u8", (1, 1))
    pack_folder(faces)
    assert growing.exists()
    assert not stopped.exists()


def test_a_packing_of_this_machine_is_kept_as_long_as_its_process_runs(faces, cache):
    running = cache / "faces" / f".packing-{os.getpid()}-{socket.gethostname()}-x"
    running.mkdir(parents=True)
    os.utime(running, (1, 1))
    pack_folder(faces)
    assert running.exists()


def test_leftovers_of_another_machine_are_removed_after_a_day(faces, cache):
    old, young = cache / "faces" / ".packing-old", cache / "faces" / ".packing-young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (1, 1))
    pack_folder(faces)
    assert not old.exists()
    assert young.exists()


def test_unwritable_cache_is_an_error(faces, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FACESMITH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(BadData, match=r"cache .* can't be written: Not a directory.*FACESMITH_CACHE"):
        pack_folder(faces)


CHILD = """
import resource, sys
from pathlib import Path
from rich.console import Console
from facesmith.errors import FacesmithError
from facesmith.faces.packed import pack
from facesmith.storage.open_store import open_store
if sys.argv[2] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
store = open_store(Path(sys.argv[1]))
try:
    files = [file for file in store.files() if file.name.endswith(".png")]
    print(len(pack(store, files, 32, 3, Console(quiet=True)).names))
except FacesmithError as error:
    print(error)
"""


def started(faces, largest_bytes=0, before=""):
    command = [sys.executable, "-c", f"{before}\n{CHILD}", str(faces), str(largest_bytes)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_full_disk_is_an_error_and_leaves_nothing(faces, cache):
    out, err = started(faces, largest_bytes=5000).communicate(timeout=120)
    assert "can't be written: File too large. The file is too large for the disk or for ulimit -f" in out, err
    assert list((cache / "faces").iterdir()) == []


def test_too_little_disk_space_is_an_error_before_packing(faces, monkeypatch):
    monkeypatch.setattr(packed, "SPARE_BYTES", 2**60)
    with pytest.raises(BadData, match=r"it needs .* MiB, and .* MiB are free"):
        pack_folder(faces)


def test_two_processes_can_pack_the_same_faces(faces):
    both = [started(faces) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert out == "6\n", err
    assert len(list((cache_folder() / "faces").iterdir())) == 1


def test_folder_of_a_faster_process_is_used(faces, monkeypatch):
    """The other process finishes after this one has packed, but before it moves its folder into the cache."""
    find_groups, raced = packed.near_duplicate_groups, []

    def race(hashes):
        if not raced:
            raced.append(True)
            raced.append(pack_folder(faces))
        return find_groups(hashes)

    monkeypatch.setattr(packed, "near_duplicate_groups", race)
    ours = pack_folder(faces)
    assert ours.folder == raced[1].folder
    assert np.array_equal(ours.pixels, raced[1].pixels)
    assert len(list((cache_folder() / "faces").iterdir())) == 1


def test_a_user_without_a_home_folder_gets_one_line_about_the_cache(monkeypatch, tmp_path):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("FACESMITH_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(BadData, match="Set FACESMITH_CACHE"):
        cache_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "facesmith"


@pytest.mark.parametrize(("variable", "folder"), [("FACESMITH_CACHE", "c"), ("XDG_CACHE_HOME", "c/facesmith")])
def test_a_tilde_in_the_variables_of_the_cache_is_the_home_folder(monkeypatch, tmp_path, variable, folder):
    monkeypatch.delenv("FACESMITH_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, "~/c")
    assert cache_folder() == tmp_path / folder

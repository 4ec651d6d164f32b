"""Files are written completely or not at all, and never overwrite others by accident."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from facesmith.errors import BadOption, OutputExists
from facesmith.io.files import (
    atomic_write,
    explain_disk_error,
    holds_files,
    is_disk_error,
    refuse_to_overwrite,
    remove_partial_files,
    shorten_name,
)
from facesmith.pictures.images import write_png


def test_a_file_appears_complete_or_not_at_all(tmp_path):
    target = tmp_path / "new" / "file.txt"
    with pytest.raises(TypeError), atomic_write(target, "w") as stream:
        stream.writelines(["half", None])
    assert list(target.parent.iterdir()) == []
    with atomic_write(target, "w", durable=True) as stream:
        stream.write("ü\n")
    assert target.read_bytes() == "ü\n".encode()
    assert list(target.parent.iterdir()) == [target]


def test_threads_can_write_the_same_file(tmp_path):
    barrier = threading.Barrier(4)

    def write(i: int) -> None:
        with atomic_write(tmp_path / "file.txt", "w") as stream:
            barrier.wait()
            stream.write(str(i) * 1000)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert len(set((tmp_path / "file.txt").read_text())) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_outputs_that_cant_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file" / "a.png", tmp_path / "file" / "b" / "a.png"):
        with pytest.raises(BadOption, match="folder"):
            write_png(path, np.zeros((2, 2, 3), np.uint8))
    for option, advice in (("--html", "Choose another --html, or add --force"), ("", "To replace it, add --force")):
        with pytest.raises(OutputExists, match=f"already exists. {advice}"):
            refuse_to_overwrite(tmp_path / "file", False, option)
    refuse_to_overwrite(tmp_path / "file", force=True)
    (tmp_path / "empty").mkdir()
    refuse_to_overwrite(tmp_path / "empty", force=False)


def test_a_full_disk_is_reported_with_the_files_name(tmp_path):
    target = tmp_path / "a.txt"
    with pytest.raises(OSError, match="No space") as caught, atomic_write(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(target)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ETIMEDOUT, errno.ENOTCONN, errno.EINVAL])
def test_a_file_that_a_network_disk_refuses_is_a_fault_of_the_disk(tmp_path, number):
    with pytest.raises(OSError, match=os.strerror(number)) as caught, atomic_write(tmp_path / "a.txt"):
        raise OSError(number, os.strerror(number))
    assert is_disk_error(caught.value)
    assert not is_disk_error(OSError(errno.EINVAL, "without a file"))
    assert not is_disk_error(ValueError())


@pytest.mark.parametrize(
    ("free_files", "free_blocks", "cause"),
    [(0, 1000, "No room for more files on this disk"), (0, 0, "No space left"), (9, 1000, "No space left")],
)
def test_a_disk_without_inodes_is_not_called_full(tmp_path, monkeypatch, free_files, free_blocks, cause):
    disk = SimpleNamespace(f_files=100, f_favail=free_files, f_bavail=free_blocks)
    error = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "new" / "a.png"))

    def statvfs(folder):
        if folder == tmp_path:
            return disk
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(folder))

    monkeypatch.setattr("os.statvfs", statvfs)
    assert explain_disk_error(error).startswith(f"{tmp_path}/new/a.png: {cause}")


@pytest.mark.parametrize("name", ["a" * 255, "ü" * 127])
def test_name_at_the_limit_is_written(tmp_path, name):
    with atomic_write(tmp_path / name) as stream:
        stream.write(b"x")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_shortened_name_has_no_half_characters():
    assert shorten_name("äöü", 5) == "äö"
    assert shorten_name("abc", 5) == "abc"


def test_a_place_that_can_not_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    def read_only(dir):
        raise OSError(errno.EROFS, "Read-only file system", str(dir))

    refuse_to_overwrite(tmp_path / "new" / "out.png", False)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    refuse_to_overwrite(tmp_path / "new" / "out.png", False)  # what counts is whether writing fails
    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    with pytest.raises(OSError, match="Read-only file system") as refused:
        refuse_to_overwrite(tmp_path / "new" / "out.png", False)
    assert refused.value.filename == str(tmp_path / "new" / "out.png")


def test_without_a_folder_for_temporary_files_the_message_names_tmpdir():
    error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    assert explain_disk_error(error).startswith("There is no folder for temporary files. Set TMPDIR")


@pytest.mark.parametrize("name", [".DS_Store", "desktop.ini", "Thumbs.db", "@eaDir", "lost+found", ".gitkeep"])
def test_a_folder_with_files_of_the_system_alone_counts_as_empty(tmp_path, name):
    (tmp_path / name).touch()
    assert not holds_files(tmp_path)
    (tmp_path / ".hidden").touch()  # of the user
    assert holds_files(tmp_path)


def test_what_an_earlier_process_with_the_same_id_left_is_removed(tmp_path):
    left, own = (tmp_path / f".faces.png.{os.getpid()}-{thread}.part" for thread in (1, 2))
    left.touch()
    own.touch()
    os.utime(left, (0, 0))  # before this process started
    remove_partial_files(tmp_path)
    assert not left.exists()
    assert own.exists()

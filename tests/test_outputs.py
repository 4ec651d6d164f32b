"""Outputs of several files: a stopped command may be run again, and no other command may replace them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from faults import MODES, Disk, Killed, faulty

from facesmith.errors import OutputExists
from facesmith.io.files import atomic_write, holds_files
from facesmith.io.outputs import Outputs


def write_all(folder, request=1, *, as_folder, force=False):
    """A command with two outputs: two files, or a folder of two files."""
    paths = [folder / "out"] if as_folder else [folder / "a.txt", folder / "b.txt"]
    outputs = Outputs(paths, request, folder=as_folder)
    outputs.refuse_to_overwrite(force)
    with outputs.writing():
        for i, path in enumerate([folder / "out" / "a.txt", folder / "out" / "b.txt"] if as_folder else paths):
            with atomic_write(path) as stream:
                stream.write(f"{request} {i}".encode())


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("as_folder", [False, True])
def test_the_same_command_succeeds_after_a_fault_at_any_file_operation(tmp_path, as_folder, mode):
    with faulty(Disk(tmp_path)) as disk:
        write_all(tmp_path / "whole", as_folder=as_folder)
    expected = contents(tmp_path / "whole")
    assert len(expected) == 2
    assert disk.operations > 10
    for at in range(disk.operations):
        folder = tmp_path / str(at)
        with faulty(Disk(folder, mode, at)) as failing, suppress(OSError, Killed):
            write_all(folder, as_folder=as_folder)
        assert failing.operations > at, "the fault was reached"
        if contents(folder) != expected:
            write_all(folder, as_folder=as_folder)
        assert contents(folder) == expected, f"operation {at}"


@pytest.mark.parametrize("as_folder", [False, True])
def test_another_command_does_not_replace_unfinished_outputs(tmp_path, as_folder):
    with faulty(Disk(tmp_path, "killed", 14)), pytest.raises(Killed):
        write_all(tmp_path, as_folder=as_folder)
    before = contents(tmp_path)
    assert len(before) > 1
    with pytest.raises(OutputExists):
        write_all(tmp_path, 2, as_folder=as_folder)
    assert contents(tmp_path).items() <= before.items()  # the partial file of the killed process is removed
    assert any(name.endswith("a.txt") for name in contents(tmp_path))
    write_all(tmp_path, 2, as_folder=as_folder, force=True)
    assert set(contents(tmp_path).values()) == {b"2 0", b"2 1"}


@pytest.mark.parametrize("as_folder", [False, True])
def test_complete_outputs_are_not_replaced(tmp_path, as_folder):
    write_all(tmp_path, as_folder=as_folder)
    with pytest.raises(OutputExists):
        write_all(tmp_path, as_folder=as_folder)


def test_a_command_that_fails_before_its_first_file_leaves_nothing(tmp_path):
    outputs = Outputs([tmp_path / "a.txt"], 1)
    with pytest.raises(ZeroDivisionError), outputs.writing():
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_only_own_leftovers_do_not_count_as_files(tmp_path):
    (tmp_path / ".a.png.1-2.part").touch()
    (tmp_path / ".unfinished").touch()
    assert not holds_files(tmp_path)
    for name in ("a.part", ".profile", "unfinished", ".a.png.part"):
        (tmp_path / name).touch()
        assert holds_files(tmp_path)
        (tmp_path / name).unlink()

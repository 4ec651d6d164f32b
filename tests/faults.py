"""Faults of a disk, injected into this process: at one file operation after another, and only below one folder."""

from __future__ import annotations

import builtins
import errno
import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NO_PROCESS = 2**22 + 1  # above the largest process id of Linux, so that partial files count as those of a dead process
FULL, BROKEN, READ_ONLY, KILLED = "full", "broken", "read-only", "killed"
MODES = (FULL, BROKEN, READ_ONLY, KILLED)
NUMBERS = re.compile(r"[0-9a-f]{8,}|[0-9]+")
FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Killed(BaseException):
    """In place of SIGKILL: from here on, each file operation raises it, so that nothing is cleaned up."""


class Disk:
    """A disk whose file operations fail from one on.

    Args:
        root: only operations on files in this folder count.
        mode: FULL fails from operation `at` on, except where space is freed, with ENOSPC, EDQUOT or EFBIG, by turns of
            `at`. BROKEN fails at one operation, with EIO. READ_ONLY fails at all operations from then on, with EROFS.
            KILLED ends the process there.
        at: the number of the operation, counted from 0; None counts only.

    Attributes:
        operations: number of operations so far.
        log: their kinds, and their files without numbers and hashes.
    """

    def __init__(self, root: Path, mode: str = FULL, at: int | None = None) -> None:
        self.root, self.mode, self.at, self.operations = str(root), mode, at, 0
        self.log: list[tuple[str, str]] = []

    def operate(self, kind: str, path: object, *, needs_space: bool, named: bool = True) -> None:
        """Count an operation on a file, or fail. Writing fails without the file's name, as in reality."""
        if not isinstance(path, str | os.PathLike) or not os.fspath(path).startswith(self.root):
            return
        number, self.operations = self.operations, self.operations + 1
        self.log.append((kind, NUMBERS.sub("#", os.fspath(path).removeprefix(self.root))))
        if self.at is None or number < self.at:
            return
        if self.mode == KILLED:
            raise Killed
        if self.mode == FULL and needs_space:
            code = FULL_ERRORS[self.at % len(FULL_ERRORS)]
        elif self.mode == BROKEN and number == self.at:
            code = errno.EIO
        elif self.mode == READ_ONLY:
            code = errno.EROFS
        else:
            return
        raise OSError(code, os.strerror(code), *([os.fspath(path)] if named else []))


class FaultyFile:
    """An open file. Its first write and its end count as operations."""

    def __init__(self, file: io.IOBase, path: object, disk: Disk) -> None:
        self.file, self.path, self.disk, self.has_written = file, path, disk, False

    def write(self, content) -> int:
        if not self.has_written:
            self.has_written = True
            self.disk.operate("write", self.path, needs_space=True, named=False)
        return self.file.write(content)

    def writelines(self, lines) -> None:
        for line in lines:
            self.write(line)

    def __enter__(self) -> FaultyFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        was_open = not self.file.closed
        self.file.close()
        if was_open:
            self.disk.operate("close", self.path, needs_space=True, named=False)

    def __getattr__(self, name: str):
        return getattr(self.file, name)


@contextmanager
def faulty(disk: Disk) -> Iterator[Disk]:
    """Replace the file operations of this process by those of a faulty disk while the block runs."""
    plain_open = io.open

    def opening(path, mode="r", *arguments, **options):
        if not set(mode) & set("wax+"):
            return plain_open(path, mode, *arguments, **options)
        disk.operate("open", path, needs_space=True)
        return FaultyFile(plain_open(path, mode, *arguments, **options), path, disk)

    def counted(name, operation, needs_space):
        def call(path, *arguments, **options):
            disk.operate(name, path, needs_space=needs_space)
            return operation(path, *arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtins, "open", opening)
        patch.setattr(io, "open", opening)
        for name, needs_space in (
            *(("mkdir", True), ("replace", False), ("rename", False)),
            *(("unlink", False), ("remove", False), ("rmdir", False), ("truncate", False)),
        ):
            patch.setattr(os, name, counted(name, getattr(os, name), needs_space))
        yield disk
    # The process that was killed is this one, which still runs. So give its partial files another process id.
    for partial in Path(disk.root).rglob(f".*.{os.getpid()}-*.part"):
        partial.rename(partial.with_name(partial.name.replace(f".{os.getpid()}-", f".{NO_PROCESS}-")))

"""Lock a folder, so that two processes don't write into it, on disks with and without file locks."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from facesmith.errors import FacesmithError
from facesmith.io.files import read_regular_file
from facesmith.io.messages import as_typed, printable_name

NO_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS)  # some network and FUSE disks
MAX_MARK_BYTES = 1024


def lock_names(name: str) -> set[str]:
    """The names of the files that a lock of this name may leave in a folder."""
    return {name, f"{name}-process"}


@contextmanager
def locked(file: Path, busy: FacesmithError) -> Iterator[None]:
    """Hold a lock while the block runs. The operating system releases it even if the process is killed.

    A disk may have no file locks. There a second file marks that the folder is in use. It names the process, so that
    the next start removes it if that process was killed. On another machine nobody can tell, so the message names it.

    Raises:
        busy: another process holds the lock.
    """
    try:
        lock = _acquire(file)
    except Timeout as timeout:
        advice = _advice_for_other_machine(Path(timeout.lock_file))
        raise (type(busy)(f"{busy} {advice}") if advice else busy) from None
    try:
        yield
    finally:
        lock.release()


def remove_lock(file: Path) -> None:
    """Remove the file of a current lock, if the system allows it: Windows does not, and removes it on release."""
    with suppress(OSError):
        file.unlink()


def _acquire(file: Path) -> BaseFileLock:
    lock: BaseFileLock = FileLock(file, timeout=0, fallback_to_soft=False)
    try:
        lock.acquire()
    except OSError as error:
        if isinstance(error, Timeout) or error.errno not in NO_LOCKS:
            raise
        lock = SoftFileLock(file.with_name(f"{file.name}-process"), timeout=0)
        lock.acquire()
    return lock


def _advice_for_other_machine(mark: Path) -> str:
    """What to do if the process that set this mark is on another machine, where it may be gone; otherwise empty."""
    with suppress(OSError):
        lines = read_regular_file(mark, MAX_MARK_BYTES).decode("utf-8", "replace").splitlines()
        if len(lines) > 1 and lines[1] != socket.gethostname():
            host = printable_name(lines[1])
            return f"It is marked as running on {host}. If nothing runs there any more, delete {as_typed(mark)}."
    return ""

"""Write files completely or not at all, and never overwrite one by accident."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import tempfile
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from facesmith.errors import BadModel, BadOption, OutputExists
from facesmith.io.file_kinds import SYSTEM_NAMES

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
# Faults of a disk, its permissions or its limits, rather than of our code. A message names the file and the fault.
DISK_ERRORS = frozenset(
    {
        *(errno.EEXIST, errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO),
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE, errno.EBUSY, errno.EMFILE, errno.ENFILE),
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS),
        *(errno.EXDEV, errno.ENOTEMPTY, errno.EMLINK, errno.ETXTBSY),
    }
)
# A drive that fails or was unplugged, or a network disk that is gone, rather than a damaged file.
LOST_DRIVE_ERRORS = frozenset(
    {errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN}
)
# These are faults of a disk if they concern a file. Otherwise they are faults of the network, or of our code.
DISK_ERRORS_OF_FILES = LOST_DRIVE_ERRORS | {errno.EHOSTUNREACH, errno.EINVAL, errno.EILSEQ, errno.EAGAIN}

# What to do about some disk errors; after others, running the command again may help.
ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free some space, then run the same command again."),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        "Change the permissions or choose another place, then run the same command again.",
    ),
    errno.EFBIG: "The file is too large for the disk or for ulimit -f. Raise the limit, or choose another disk.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ENOTDIR: "A part of its path is a file, not a folder. Choose another place.",
}

MAX_NAME_BYTES = 255  # of a file name, on most systems
PARTIAL = "part"  # the ending of a file that is being written
UNFINISHED = "unfinished"  # the ending of the mark that `outputs.Outputs` sets
OWN_LEFTOVERS = re.compile(rf"\.(.+\.(?P<process>\d+)-\d+\.{PARTIAL}|(.+\.)?{UNFINISHED})")


# What systems and editors put into a folder by themselves, and what keeps an empty folder in Git; in lower case.
NO_CONTENT = SYSTEM_NAMES | {".ds_store", ".localized", ".directory", ".gitkeep", ".gitignore", ".ipynb_checkpoints"}
MAX_CLOCK_SKEW_SECONDS = 60  # between this machine and that of a network disk


def user_path(path: str | os.PathLike[str]) -> Path:
    """The path that a program gives, with `~` replaced by the home folder, as a shell does."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path.expanduser fails for unknown users)


def named(path: Path) -> Path:
    """The path with its last part a name: `.` and `..` become absolute."""
    return path.resolve() if path.name in ("", "..") else path


def is_disk_error(error: BaseException) -> bool:
    """Whether an error is a fault of a disk, its permissions or its limits, rather than of our code."""
    if not isinstance(error, OSError):
        return False
    return error.errno in DISK_ERRORS or (error.filename is not None and error.errno in DISK_ERRORS_OF_FILES)


@contextmanager
def atomic_write(path: Path, mode: str = "wb", *, durable: bool = False) -> Iterator[IO[Any]]:
    """Open a file that appears at `path` only once it is complete: it is written under another name, then renamed.

    Args:
        durable: also wait until the data is on the disk, so that it survives a power cut. Slow for many small files.

    Raises:
        BadOption: `path` is a folder, or can't be in one.
        OSError: the file can't be written, for example because the disk is full. It names `path`.
    """
    if path.is_dir():
        raise BadOption(f"{path} is a folder; expected the name of a file to write.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise BadOption(f"{path} can't be written: {path.parent} must be a folder, but a file is in the way.") from None
    ending = f".{os.getpid()}-{threading.get_ident()}.{PARTIAL}"
    partial = path.with_name(f".{shorten_name(path.name, MAX_NAME_BYTES - len(ending) - 1)}{ending}")
    # The text may contain file names that are not valid UTF-8: surrogateescape writes them as they were read.
    text: dict[str, Any] = {} if "b" in mode else {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}
    try:
        with open(partial, mode, **text) as stream:
            yield stream
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(partial, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename in (None, str(partial)):  # a full disk is reported unnamed
            error.filename = str(path)
        with suppress(OSError):  # a read-only disk allows no removal
            partial.unlink()
        raise


@contextmanager
def naming_errors(path: Path) -> Iterator[None]:
    """Add a file's name to disk errors that lack it, because a failed write doesn't name its file."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def shorten_name(name: str, max_bytes: int) -> str:
    """The start of a file name, at most `max_bytes` long, without half a character at its end."""
    while len(os.fsencode(name)) > max_bytes:
        name = name[:-1]
    return name


def refuse_to_overwrite(path: Path, force: bool, option: str = "--out") -> None:
    """Raise `OutputExists` if `path` is a file or a folder with content, unless `force` is set.

    Also removes what a killed process left of this output: its partial file, or partial files in the folder.

    Args:
        option: the option that gives the path, for the message; empty if there is none.

    Raises:
        BadOption: it is a device or a pipe.
        OSError: nothing can be written there, for example because the disk is read-only.
    """
    if path.parent == Path("/dev") or (path.exists() and not path.is_file() and not path.is_dir()):
        raise BadOption(f"{path} is a device or a pipe, not a file. Name a file, such as faces.png.")
    remove_partial_files(path)
    if holds_files(path) and not force:
        advice = f"Choose another {option}, or add --force to replace it." if option else "To replace it, add --force."
        raise OutputExists(f"{path} already exists. {advice}")
    _refuse_unwritable(path)


def _refuse_unwritable(path: Path) -> None:
    """Raise the OSError with which writing a file or folder at `path` would fail, before the work for it is done."""
    folder = next((each for each in (path, *path.absolute().parents) if each.is_dir()), path)
    if os.access(folder, os.W_OK | os.X_OK):
        return
    try:
        tempfile.TemporaryFile(dir=folder).close()  # fails with the true cause
    except OSError as error:
        error.filename = str(path)
        raise


def holds_files(path: Path, ignore: Collection[str] = ()) -> bool:
    """Whether `path` is a file, or a folder with content.

    What a killed process left half-written is no content, and neither are files such as `.DS_Store`.

    Args:
        ignore: names of further files in the folder that don't count.
    """
    if not path.is_dir():
        return path.exists()
    names = {each.name for each in path.iterdir() if each.name.lower() not in NO_CONTENT}
    return any(name not in ignore and not OWN_LEFTOVERS.fullmatch(name) for name in names)


def remove_partial_files(path: Path) -> None:
    """Remove the partial files of killed processes: those of the file `path`, or all in the folder `path`."""
    folder, prefix = (path, "") if path.is_dir() else (path.parent, f".{path.name}.")
    with suppress(OSError):
        for each in folder.iterdir():
            match = OWN_LEFTOVERS.fullmatch(each.name)
            if match and match["process"] and each.name.startswith(prefix) and _is_left(each, int(match["process"])):
                each.unlink()


def _is_left(partial: Path, process: int) -> bool:
    """Whether the process that wrote a partial file has ended. In a container, this process may have the same id."""
    import psutil  # slow to import, and rarely needed

    if process != os.getpid():
        return not is_running(process)
    started: float = psutil.Process().create_time()
    return partial.stat().st_mtime < started - MAX_CLOCK_SKEW_SECONDS


def is_running(process: int) -> bool:
    """Whether there is a process of this id on this machine."""
    import psutil  # slow to import, and rarely needed

    return process == os.getpid() or psutil.pid_exists(process)


def explain_disk_error(error: OSError, note: str = "Everything saved before is intact.") -> str:
    """One line about a disk error: the file, the cause, what to do, and a note about what was saved."""
    if "temporary directory" in str(error.strerror):  # raised by `tempfile`
        return f"There is no folder for temporary files. Set TMPDIR to a folder with free space. {note}"
    return f"{error.filename or 'A file'}: {disk_cause(error)}. {disk_advice(error)} {note}"


def disk_cause(error: OSError) -> str:
    """The cause of a disk error, without a final period. Where the disk only lacks inodes, "no space" would mislead."""
    if _lacks_inodes(error):
        return "No room for more files on this disk: all its inodes are in use"
    return str(error.strerror or error)


def disk_advice(error: OSError) -> str:
    """What to do about a disk error, in one or two sentences."""
    if _lacks_inodes(error):
        return "Delete some files there, or choose another disk. Then run the same command again."
    return ADVICE.get(error.errno or 0, "Run the same command again.")


def _lacks_inodes(error: OSError) -> bool:
    """Whether a disk is full although it has free space: each file takes an inode, and none is left."""
    if error.errno != errno.ENOSPC or not error.filename or not hasattr(os, "statvfs"):
        return False
    path = Path(os.fsdecode(error.filename)).absolute()
    for folder in (path, *path.parents):
        with suppress(OSError):
            disk = os.statvfs(folder)
            return disk.f_files > 0 and disk.f_favail == 0 and disk.f_bavail > 0
    return False


def refuse_lfs_pointer(path: Path, *, is_model: bool = True) -> None:
    """Raise BadModel if a file is a Git LFS pointer: a short text that replaces a file that was not downloaded.

    Args:
        is_model: whether `--model` could name it on the Hub.
    """
    with open(path, "rb") as stream:
        start = stream.read(len(LFS_POINTER))
    if start == LFS_POINTER:
        hub = ". Or use --model hf://user/name, which downloads it." if is_model else ""
        kind = "model" if is_model else "file"
        raise BadModel(f"{path} is a Git LFS pointer, not the {kind} itself. Download it: git lfs pull{hub}")


def open_regular_file(path: Path) -> IO[bytes]:
    """Open a file to read its bytes. Named pipes, sockets and devices are refused: they could block or never end.

    Raises:
        OSError: there is no file, or it can't be read. The error names it.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.ENXIO
        raise OSError(number, f"this is {_kind_of_mode(mode)}, not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def real_path(path: Path) -> Path:
    """The absolute path without symbolic links. Unlike `Path.resolve`, it never fails on links that form a circle."""
    return Path(os.path.realpath(path))


def _kind_of_mode(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def read_regular_file(path: Path, max_bytes: int) -> bytes:
    """The content of a small file; see `open_regular_file`.

    Raises:
        OSError: it can't be read, or has more than `max_bytes`.
    """
    with open_regular_file(path) as stream:
        if os.fstat(stream.fileno()).st_size > max_bytes:
            raise OSError(errno.EFBIG, f"it has more than {max_bytes / 2**20:.0f} MiB", str(path))
        return stream.read()


def sha256(file: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

"""Files at addresses such as s3://bucket/photos, read by fsspec: a folder, an archive or a single file.

fsspec comes with PyTorch. The package for each kind of address, such as s3fs, is the user's own.
"""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import unquote

from facesmith.errors import BadData, BadPicture, MissingExtra, Unreachable
from facesmith.io.commands import quoted
from facesmith.io.file_kinds import HEAD_BYTES, is_hidden
from facesmith.io.files import real_path
from facesmith.io.messages import printable_name
from facesmith.io.suggest_path import suggest_path
from facesmith.pictures.images import MAX_FILE_BYTES
from facesmith.storage.seekable import Slice, read_at
from facesmith.storage.store import UNKNOWN_SIZE, Store, StoredFile

ADDRESS = re.compile(r"(?P<scheme>[a-zA-Z][\w+.-]+):/+(?P<rest>[^/].*|)")  # a single letter is a drive of Windows
# Addresses without folders to list, and the name of a dataset on the Hub.
DOWNLOADED = re.compile(r"(?:hf|https?|ftp)://(?:huggingface\.co/)?(?:datasets/([\w.-]+/[\w.-]+))?")
WEB_ADDRESS = re.compile(r"(https?|ftp)://")
NO_SUCH_FILE = "can't be read: no such file"
ATTEMPTS = 3
T = TypeVar("T")


def address_of(path: Path) -> str | None:
    """The address that a path was made from, or None. A `Path` collapses the slashes of an address."""
    match = ADDRESS.fullmatch(path.as_posix())
    return f"{match['scheme']}://{match['rest']}" if match else None


def local_path_of(path: Path) -> Path | None:
    """The path in an address such as file:///home/ann/photos, as file managers copy it; None for other paths."""
    match = ADDRESS.fullmatch(path.as_posix())
    return Path("/" + unquote(match["rest"])) if match and match["scheme"].lower() == "file" else None


def open_file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path there.

    Raises:
        BadData: there is no such kind of address.
        MissingExtra: its package is not installed.
        Unreachable: there is no answer, or access is denied.
    """
    import fsspec

    try:
        return fsspec.core.url_to_fs(address)  # type: ignore[no-untyped-call, no-any-return]
    except ImportError as error:
        raise MissingExtra(f"{address} needs another package. {error}") from None
    except ValueError as error:
        raise BadData(f"{address} can't be used: {error}") from None
    except Exception as error:  # noqa: BLE001 (each kind of address has its own errors)
        raise _unreachable(address, error) from None


def refuse_download(address: str) -> None:
    """Raise BadData, with the command that helps, for an address whose files must be downloaded first."""
    if match := DOWNLOADED.match(address):
        command = f"curl -LO {quoted(printable_name(address))}"
        if match[1] or not WEB_ADDRESS.match(address):
            command = f"hf download {match[1] or 'USER/NAME'} --repo-type dataset --local-dir FOLDER"
        raise BadData(f"{printable_name(address)} is an address. Download it first: {command}")


def checked_paths(paths: Iterable[Path]) -> list[Path]:
    """Several paths, each place once.

    Raises:
        BadData: one does not exist, or is an address to download first. No work has been done yet.
    """
    by_place: dict[Path, Path] = {}
    for path in paths:
        by_place.setdefault(path if address_of(path) else real_path(path), path)
    for path in by_place.values():
        if address := address_of(path):
            refuse_download(address)
        elif not (path.is_dir() or path.is_file()):
            raise unusable_path(path)
    return list(by_place.values())


def unusable_path(path: Path) -> BadData:
    """The error for a path that is neither a folder, a file nor an address."""
    problem = "is neither a folder nor a file" if path.exists() else "does not exist"
    return BadData(f"{path} {problem}. Give a folder or a zip of pictures.{suggest_path(path)}")


class AddressStore(Store):
    """A folder or a single file at an address.

    Attributes:
        is_file: whether the address is that of one file.

    Raises:
        BadData: there is nothing at the address.
        Unreachable: it can't be reached.
    """

    is_remote = True

    def __init__(self, address: str) -> None:
        refuse_download(address)
        self.path = Path(address)
        self.address = address
        self.file_system, self.root = open_file_system(address)
        self._info: dict[str, Any] = self._reach(lambda: self.file_system.info(self.root))
        self.is_file = self._info["type"] == "file"

    def files(self) -> list[StoredFile]:
        infos: dict[str, dict[str, Any]] = {self.root: self._info}
        if not self.is_file:
            infos = self._reach(lambda: self.file_system.find(self.root, detail=True))
        listed = []
        for path, info in infos.items():
            name = self._name(path)
            if not is_hidden(name):
                version = info.get("ETag") or info.get("mtime") or info.get("created") or ""
                size_bytes = UNKNOWN_SIZE if info["size"] is None else int(info["size"])
                listed.append(StoredFile(name, f"{info['size']}-{version}", size_bytes))
        return sorted(listed, key=lambda file: file.name)

    def _name(self, path: str) -> str:
        root = self.root.rstrip("/")
        return path[len(root) + 1 :] if path.startswith(f"{root}/") else path.rpartition("/")[2]

    def _path(self, name: str) -> str:
        return self.root if self.is_file else f"{self.root.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes:
        return read_address(self.file_system, self._path(name))

    def head(self, name: str) -> bytes:
        return head_of_address(self.file_system, self._path(name))

    def unpack(self, name: str) -> IO[bytes]:
        return open_address(self.file_system, self._path(name))

    def _reach(self, request: Callable[[], Any]) -> Any:
        try:
            return reach(request, self.address)
        except FileNotFoundError:
            raise BadData(f"{self.address} does not exist.") from None


def read_address(file_system: Any, path: str) -> bytes:
    """The bytes of a file at an address.

    Raises:
        BadPicture: there is no such file, or it is too large.
        Unreachable: the address can't be reached.
    """
    try:
        content = reach(lambda: _first_bytes(file_system, path, MAX_FILE_BYTES + 1), path)
    except FileNotFoundError:
        raise BadPicture(NO_SUCH_FILE) from None
    except IsADirectoryError:
        raise BadPicture("can't be read: this is a folder") from None
    if len(content) > MAX_FILE_BYTES:
        raise BadPicture(f"file of more than {MAX_FILE_BYTES // 2**20} MiB; make it smaller first")
    return content


def head_of_address(file_system: Any, path: str) -> bytes:
    """The first `HEAD_BYTES` bytes of a file at an address; empty if there is no such file. Raises Unreachable."""
    try:
        return reach(lambda: _first_bytes(file_system, path, HEAD_BYTES), path)
    except (FileNotFoundError, IsADirectoryError):
        return b""


def _first_bytes(file_system: Any, path: str, count: int) -> bytes:
    """At most this many bytes from the start of a file at an address."""
    try:
        content: bytes = file_system.cat_file(path, start=0, end=count)
    except (FileNotFoundError, IsADirectoryError):
        raise
    except Exception:
        if file_system.size(path) == 0:  # S3 refuses to send a part of an empty file
            return b""
        raise
    return content


def open_address(file_system: Any, path: str) -> IO[bytes]:
    """A file at an address, open to be read in any order. Each read is tried a few times, and may raise Unreachable.

    Raises:
        BadData: there is no such file.
        Unreachable: the address can't be reached.
    """

    def opened() -> tuple[Any, int]:
        file = file_system.open(path, "rb")
        file.seek(0, io.SEEK_END)
        return file, file.tell()

    try:
        file, size_bytes = reach(opened, path)
    except (FileNotFoundError, IsADirectoryError):
        raise BadData(NO_SUCH_FILE) from None
    lock = threading.Lock()

    def read_part(offset: int, part_bytes: int) -> bytes:
        return reach(lambda: read_at(file, lock, offset, part_bytes), path)

    return io.BufferedReader(Slice(read_part, 0, size_bytes, file))


def reach(request: Callable[[], T], what: str) -> T:
    """The result of a request, which is tried a few times. A network error must not count as a damaged photo.

    Raises:
        FileNotFoundError, IsADirectoryError: there is no such file.
        Unreachable: every attempt failed.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return request()
        except (FileNotFoundError, IsADirectoryError):
            raise
        except Exception as error:  # noqa: BLE001 (each kind of address has its own errors)
            if attempt == ATTEMPTS:
                raise _unreachable(what, error) from None
            time.sleep(2 ** (attempt - 1))
    raise AssertionError("unreachable")


def _unreachable(what: str, error: Exception) -> Unreachable:
    reason = printable_name(str(error) or type(error).__name__)[:200]
    return Unreachable(
        f"{what} can't be reached: {reason}. Check the network and your login, then run the same command again."
    )

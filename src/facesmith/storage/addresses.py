"""Files at addresses such as s3://bucket/photos, read by fsspec: a folder, an archive, or a text file that lists paths.

fsspec comes with PyTorch. The package for each kind of address, such as s3fs, is the user's own.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Callable, Iterable
from itertools import takewhile
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import unquote

from facesmith.errors import BadData, BadPicture, MissingExtra
from facesmith.io.file_kinds import HEAD_BYTES, is_hidden
from facesmith.io.files import open_regular_file, real_path
from facesmith.io.messages import printable_name
from facesmith.io.suggest_path import suggest_path
from facesmith.pictures.images import MAX_FILE_BYTES, read_file
from facesmith.storage.store import BROKEN_LINK, Store, StoredFile

ADDRESS = re.compile(r"(?P<scheme>[a-zA-Z][\w+.-]+):/+(?P<rest>[^/].*|)")  # a single letter is a drive of Windows
# Addresses without folders to list, and the name of a dataset on the Hub.
DOWNLOADED = re.compile(r"(?:hf|https?|ftp)://(?:huggingface\.co/)?(?:datasets/([\w.-]+/[\w.-]+))?")
WEB_ADDRESS = re.compile(r"(https?|ftp)://")
LIST_SUFFIXES = frozenset({".txt", ".lst", ".list"})
MAX_LIST_BYTES = 2**31
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
        BadData: there is no such kind of address, or it can't be reached.
        MissingExtra: its package is not installed.
    """
    import fsspec

    try:
        return fsspec.core.url_to_fs(address)  # type: ignore[no-untyped-call, no-any-return]
    except ImportError as error:
        raise MissingExtra(f"{address} needs another package. {error}") from None
    except ValueError as error:
        raise BadData(f"{address} can't be used: {error}") from None


def refuse_download(address: str) -> None:
    """Raise BadData, with the command that helps, for an address whose files must be downloaded first."""
    if match := DOWNLOADED.match(address):
        command = f"curl -LO {shlex.quote(printable_name(address))}"
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
    """A folder or a single file at an address."""

    is_remote = True

    def __init__(self, address: str) -> None:
        refuse_download(address)
        self.path = Path(address)
        self.address = address
        self.file_system, self.root = open_file_system(address)

    def is_file(self) -> bool:
        """Whether the address is that of one file. Raises BadData if there is nothing."""
        info: dict[str, Any] = self._reach(lambda: self.file_system.info(self.root), self.address)
        return bool(info["type"] == "file")

    def files(self) -> list[StoredFile]:
        infos: dict[str, dict[str, Any]] = self._reach(
            lambda: self.file_system.find(self.root, detail=True), self.address
        )
        listed = []
        for path, info in infos.items():
            name = self._name(path)
            if not is_hidden(name):
                version = info.get("ETag") or info.get("mtime") or info.get("created") or ""
                listed.append(StoredFile(name, f"{info['size']}-{version}", int(info["size"] or 0)))
        return sorted(listed, key=lambda file: file.name)

    def _name(self, path: str) -> str:
        root = self.root.rstrip("/")
        return path[len(root) + 1 :] if path.startswith(f"{root}/") else path.rpartition("/")[2]

    def _path(self, name: str) -> str:
        root = self.root.rstrip("/")
        return root if root.rpartition("/")[2] == name and self.file_system.isfile(root) else f"{root}/{name}"

    def read(self, name: str) -> bytes:
        return read_address(self.file_system, self._path(name))

    def head(self, name: str) -> bytes:
        path = self._path(name)
        return self._reach(lambda: self.file_system.cat_file(path, start=0, end=HEAD_BYTES), path)  # type: ignore[no-any-return]

    def unpack(self, name: str) -> IO[bytes]:
        path = self._path(name)
        return self._reach(lambda: self.file_system.open(path, "rb"), path)

    @staticmethod
    def _reach(request: Callable[[], T], what: str) -> T:
        try:
            return reach(request, what)
        except FileNotFoundError:
            raise BadData(f"{what} does not exist.") from None


def read_address(file_system: Any, path: str) -> bytes:
    """The bytes of a file at an address.

    Raises:
        BadPicture: there is no such file, or it is too large.
        BadData: the address can't be reached.
    """
    try:
        content: bytes = reach(lambda: file_system.cat_file(path), path)
    except FileNotFoundError:
        raise BadPicture("can't be read: no such file") from None
    except IsADirectoryError:
        raise BadPicture("can't be read: this is a folder") from None
    if len(content) > MAX_FILE_BYTES:
        raise BadPicture(f"file of {len(content) / 2**20:.0f} MiB, more than {MAX_FILE_BYTES // 2**20} MiB")
    return content


def reach(request: Callable[[], T], what: str) -> T:
    """The result of a request, which is tried a few times. A fault of the network must not count as one of a photo.

    Raises:
        FileNotFoundError, IsADirectoryError: there is no such file.
        BadData: every attempt failed.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return request()
        except (FileNotFoundError, IsADirectoryError):
            raise
        except Exception as error:  # noqa: BLE001 (each kind of address has its own errors)
            if attempt == ATTEMPTS:
                reason = printable_name(str(error) or type(error).__name__)[:200]
                raise BadData(f"{what} can't be reached: {reason}. The same command resumes.") from None
            time.sleep(2 ** (attempt - 1))
    raise AssertionError("unreachable")


class ListStore(Store):
    """The files that a text file lists, one path or address a line. Relative paths start at the folder of the list.

    A file is named by its path below the folder that contains all files, so that names don't show where that is.

    Raises:
        BadData: the list is empty or no text, or none of its files exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_regular_file(path) as stream:
            content = stream.read(MAX_LIST_BYTES)
        if b"\0" in content:
            raise BadData(f"{path} is not a text file that lists photos. Give a folder, an archive or a list of paths.")
        lines = content.decode("utf-8-sig", "surrogateescape").splitlines()
        places = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        places = list(dict.fromkeys(map(self._absolute, places)))
        if not places:
            raise BadData(f"{path} lists no photos. Write one path in each line.")
        if downloaded := list(filter(WEB_ADDRESS.match, places)):
            command = f"grep -E '^(https?|ftp)://' {shlex.quote(str(path))} | wget -P photos -i -"
            raise BadData(
                f"{path} lists {len(downloaded)} web addresses, first {printable_name(downloaded[0])}. Download them "
                f"first, and list the paths of the files: {command}"
            )
        for place in places:
            refuse_download(place)
        root = _common_folder(places)
        self.places = {place[len(root) :]: place for place in places}
        self.is_remote = any(map(ADDRESS.fullmatch, places))
        self._file_systems: dict[str, Any] = {}
        if not any(ADDRESS.fullmatch(place) or os.path.exists(place) for place in places):  # noqa: PTH110
            raise BadData(
                f"None of the {len(places)} files that {path} lists exists; the first is {printable_name(places[0])}. "
                "Paths start at the folder of the list."
            )

    def _absolute(self, line: str) -> str:
        if ADDRESS.fullmatch(line):
            return line
        return os.path.abspath(self.path.parent / line).replace(os.sep, "/")  # noqa: PTH100 (keeps links)

    def files(self) -> list[StoredFile]:
        return [self._file(name, place) for name, place in sorted(self.places.items())]

    def _file(self, name: str, place: str) -> StoredFile:
        if ADDRESS.fullmatch(place):
            return StoredFile(name, place, 0)
        try:
            status = os.stat(place)  # noqa: PTH116
        except OSError:  # reading it gives the reason
            return StoredFile(name, BROKEN_LINK, 0)
        return StoredFile(name, f"{status.st_size}-{status.st_mtime_ns}", status.st_size)

    def read(self, name: str) -> bytes:
        place = self.places[name]
        if not ADDRESS.fullmatch(place):
            return read_file(Path(place))
        file_system, path = self._file_system(place)
        return read_address(file_system, path)

    def _file_system(self, place: str) -> tuple[Any, str]:
        scheme = place.partition(":")[0]
        if scheme not in self._file_systems:
            self._file_systems[scheme] = open_file_system(place)[0]
        file_system = self._file_systems[scheme]
        return file_system, file_system._strip_protocol(place)

    def head(self, name: str) -> bytes:
        place = self.places[name]
        if ADDRESS.fullmatch(place):
            file_system, path = self._file_system(place)
            try:
                return reach(lambda: file_system.cat_file(path, start=0, end=HEAD_BYTES), place)  # type: ignore[no-any-return]
            except (FileNotFoundError, IsADirectoryError):
                return b""
        try:
            with open_regular_file(Path(place)) as stream:
                return stream.read(HEAD_BYTES)
        except OSError:
            return b""

    def unpack(self, name: str) -> IO[bytes]:
        file_system, path = self._file_system(self.places[name])
        return reach(lambda: file_system.open(path, "rb"), path)

    def local_path(self, name: str) -> Path | None:
        place = self.places[name]
        return None if ADDRESS.fullmatch(place) else Path(place)


def _common_folder(places: list[str]) -> str:
    """The longest folder, with its last slash, that all places begin with."""
    first, last = min(places).split("/"), max(places).split("/")
    shared = [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first[:-1], last[:-1], strict=False))]
    return "/".join([*shared, ""]) if shared else ""

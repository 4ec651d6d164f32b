"""A folder or a zip, as names and bytes: what reads pictures need not know which of the two it is."""

from __future__ import annotations

import zipfile
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from facesmith.errors import BadData, BadPicture
from facesmith.images import MAX_FILE_BYTES


@dataclass(frozen=True)
class Entry:
    """A file of a store. `stamp` changes when the file does, and costs no reading."""

    name: str
    stamp: str


class Store(ABC):
    """Files by name, with `/` between folders, in the order of their names; hidden ones are left out."""

    path: Path

    @abstractmethod
    def entries(self) -> list[Entry]: ...

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            BadPicture: they can't be read; the message is the reason.
        """


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


class Folder(Store):
    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[Entry]:
        found = []
        for file in self.path.rglob("*"):
            name = file.relative_to(self.path).as_posix()
            if not _hidden(name) and file.is_file():
                stat = file.stat()
                found.append(Entry(name, f"{stat.st_size}-{stat.st_mtime_ns}"))
        return sorted(found, key=lambda entry: entry.name)

    def read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise BadPicture(f"can't be read: {error.strerror}") from None


class Zip(Store):
    """Read in place, never unpacked to disk, so a name in it can lead nowhere."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise BadData(f"{path} can't be opened as a zip ({error}). Is the download complete?") from None

    def entries(self) -> list[Entry]:
        infos = (info for info in self.zip.infolist() if not info.is_dir() and not _hidden(info.filename))
        return sorted((Entry(i.filename, f"{i.file_size}-{i.CRC:08x}") for i in infos), key=lambda entry: entry.name)

    def read(self, name: str) -> bytes:
        try:
            if self.zip.getinfo(name).file_size > MAX_FILE_BYTES:  # a small zip can unpack into all of the memory
                raise BadPicture(f"larger than {MAX_FILE_BYTES // 2**20} MiB")
            return self.zip.read(name)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as error:
            raise BadPicture(f"damaged in the zip: {error}") from None


def open_store(path: Path) -> Store:
    """The store at a path.

    Raises:
        BadData: there is nothing, or neither a folder nor a zip.
    """
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise BadData(f"{path} does not exist. Give a folder or a zip of pictures.")
    if not zipfile.is_zipfile(path):
        raise BadData(f"{path} is neither a folder nor a zip of pictures. To find faces in photos: facesmith extract")
    return Zip(path)

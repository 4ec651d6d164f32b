"""A folder or a zip, as names and bytes: what reads pictures need not know which of the two it is."""

from __future__ import annotations

import lzma
import os
import stat
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from facesmith.errors import BadData, BadPicture
from facesmith.io.images import MAX_FILE_BYTES, read_file

# What zipfile and its decompressors raise for damage and for ways of packing that they don't know.
ZIP_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, NotImplementedError, ValueError),
)


@dataclass(frozen=True)
class Entry:
    """A file of a store. `stamp` changes when the file does, and costs no reading."""

    name: str
    stamp: str


class Store(ABC):
    """Files by name, with `/` between folders, in the order of their names; hidden ones are left out."""

    path: Path

    @abstractmethod
    def entries(self) -> list[Entry]:
        """All files.

        Raises:
            BadData: they can't be listed.
        """

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of a file. May be called by many threads.

        Raises:
            BadPicture: they can't be read; the message is the reason.
        """


def shown(name: str) -> str:
    """A name as it can stand in one line on every terminal, whatever was found on the disk."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name)


def _hidden(name: str) -> bool:
    return any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in name.split("/"))


class Folder(Store):
    """Subfolders are searched, linked ones too, each only once, so that links in a circle end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[Entry]:
        return sorted(self._below("", set()), key=lambda entry: entry.name)

    def _below(self, folder: str, seen: set[tuple[int, int]]) -> Iterator[Entry]:
        here = self.path / folder
        try:
            status = here.stat()
            files = sorted(os.scandir(here), key=lambda file: (file.is_symlink(), file.name))
        except OSError as error:
            raise BadData(f"{here} can't be read: {error.strerror}. Change its rights, or move it away.") from None
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        for file in files:
            name = f"{folder}{file.name}"
            if _hidden(file.name):
                continue
            try:
                if file.is_dir():
                    yield from self._below(f"{name}/", seen)
                    continue
                status = file.stat()
            except OSError:  # a link that leads nowhere: listed, so that reading it gives the reason
                yield Entry(name, "broken")
                continue
            if stat.S_ISREG(status.st_mode):  # a pipe would keep its reader waiting for ever
                yield Entry(name, f"{status.st_size}-{status.st_mtime_ns}")

    def read(self, name: str) -> bytes:
        return read_file(self.path / name)


class Zip(Store):
    """Read in place, never unpacked to disk, so a name in it can lead nowhere."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.zip = zipfile.ZipFile(path)
        except ZIP_DAMAGED as error:
            raise BadData(f"{path} can't be opened as a zip ({error}). Is the download complete?") from None

    def entries(self) -> list[Entry]:
        # Of two files with one name, reading gives the last.
        named = {i.filename: i for i in self.zip.infolist() if not i.is_dir() and not _hidden(i.filename)}
        return [Entry(name, f"{named[name].file_size}-{named[name].CRC:08x}") for name in sorted(named)]

    def read(self, name: str) -> bytes:
        info = self.zip.getinfo(name)
        if info.file_size > MAX_FILE_BYTES:  # a small zip can unpack into all of the memory
            raise BadPicture(f"file of {info.file_size / 2**20:.0f} MiB, more than {MAX_FILE_BYTES // 2**20} MiB")
        if info.flag_bits & 1:
            raise BadPicture("encrypted in the zip; unpack it first")
        try:
            return self.zip.read(info)
        except ZIP_DAMAGED as error:
            raise BadPicture(f"damaged in the zip: {shown(str(error))[:120]}") from None


def open_store(path: Path) -> Store:
    """The store at a path.

    Raises:
        BadData: there is nothing, or neither a folder nor a zip.
    """
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise BadData(f"{path} does not exist. Give a folder or a zip of pictures.")
    # A zip whose end is missing is told by its name alone.
    if not path.is_file() or not (zipfile.is_zipfile(path) or path.suffix.lower() == ".zip"):
        raise BadData(f"{path} is neither a folder nor a zip of pictures. To find faces in photos: facesmith extract")
    return Zip(path)

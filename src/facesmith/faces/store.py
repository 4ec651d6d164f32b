"""A folder or a zip as names and bytes, so that readers of pictures need not distinguish the two."""

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

# What zipfile and its decompressors raise for damaged entries and for compression methods that they don't support.
ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, NotImplementedError, ValueError),
)


@dataclass(frozen=True)
class StoredFile:
    """A file in a store. `stamp` changes when the file changes; to get it, the file need not be read."""

    name: str
    stamp: str


class Store(ABC):
    """Files by name, with `/` as separator. Hidden files are skipped."""

    path: Path

    @abstractmethod
    def files(self) -> list[StoredFile]:
        """All files, sorted by name.

        Raises:
            BadData: a folder can't be listed.
        """

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of a file. Threads may share a store.

        Raises:
            BadPicture: the file can't be read; the message is the reason.
        """


def printable(name: str) -> str:
    """A name that any terminal can print in one line: unprintable characters are replaced."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)


def _is_hidden(name: str) -> bool:
    return any((part.startswith(".") and part not in (".", "..")) or part == "__MACOSX" for part in name.split("/"))


class FolderStore(Store):
    """A folder with its subfolders. Links are followed; each folder is listed once, so circular links end."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> list[StoredFile]:
        return sorted(self._walk("", set()), key=lambda file: file.name)

    def _walk(self, folder: str, seen: set[tuple[int, int]]) -> Iterator[StoredFile]:
        here = self.path / folder
        try:
            status = here.stat()
            entries = sorted(os.scandir(here), key=lambda entry: (entry.is_symlink(), entry.name))
        except OSError as error:
            raise BadData(f"{here} can't be read: {error.strerror}. Change its permissions, or remove it.") from None
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            name = f"{folder}{entry.name}"
            if _is_hidden(entry.name):
                continue
            try:
                if entry.is_dir():
                    yield from self._walk(f"{name}/", seen)
                    continue
                status = entry.stat()
            except OSError:  # a broken link: reading it gives the reason
                yield StoredFile(name, "broken")
                continue
            if stat.S_ISREG(status.st_mode):  # reading a pipe would block forever
                yield StoredFile(name, f"{status.st_size}-{status.st_mtime_ns}")

    def read(self, name: str) -> bytes:
        return read_file(self.path / name)


class ZipStore(Store):
    """A zip, read in place. Nothing is unpacked to disk, so no name in it can reach outside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.zip = zipfile.ZipFile(path)
        except ZIP_ERRORS as error:
            raise BadData(f"{path} can't be read as a zip ({error}). Is the copy or download complete?") from None

    def files(self) -> list[StoredFile]:
        # Of several entries with one name, reading returns the last, so each name is listed once.
        entries = {i.filename: i for i in self.zip.infolist() if not i.is_dir() and not _is_hidden(i.filename)}
        return [StoredFile(name, f"{entries[name].file_size}-{entries[name].CRC:08x}") for name in sorted(entries)]

    def read(self, name: str) -> bytes:
        info = self.zip.getinfo(name)
        if info.file_size > MAX_FILE_BYTES:  # a small zip can unpack to more than the memory
            raise BadPicture(f"file of {info.file_size / 2**20:.0f} MiB, more than {MAX_FILE_BYTES // 2**20} MiB")
        if info.flag_bits & 1:
            raise BadPicture("encrypted in the zip; unpack it first")
        try:
            return self.zip.read(info)
        except ZIP_ERRORS as error:
            raise BadPicture(f"damaged in the zip: {printable(str(error))[:120]}") from None


def open_store(path: Path) -> Store:
    """The store at a path.

    Raises:
        BadData: the path does not exist, or is neither a folder nor a zip.
    """
    if path.is_dir():
        return FolderStore(path)
    if not path.exists():
        raise BadData(f"{path} does not exist. Give a folder or a zip of pictures.")
    # A truncated zip is recognized by its suffix only, because its directory is missing.
    if not path.is_file() or not (zipfile.is_zipfile(path) or path.suffix.lower() == ".zip"):
        raise BadData(f"{path} is neither a folder nor a zip of pictures. To find faces in photos: facesmith extract")
    return ZipStore(path)

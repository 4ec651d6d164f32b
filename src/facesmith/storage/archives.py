"""Zip and tar archives and Parquet files, read in place, as stores of names and bytes.

Nothing is unpacked to a name on the disk, so no name in an archive can reach outside. Compressed tars and archives
inside archives are unpacked to a temporary file without a name, because they don't allow random access.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from facesmith.errors import BadData, BadPicture, PictureUnavailable
from facesmith.io.commands import quoted
from facesmith.io.file_kinds import EMPTY_FILE, HEAD_BYTES, FileKind, is_hidden, suffix_of
from facesmith.io.files import LOST_DRIVE_ERRORS
from facesmith.io.messages import printable_name, with_article
from facesmith.pictures.images import MAX_FILE_BYTES
from facesmith.storage.parquet import ParquetStore, RecentReaders
from facesmith.storage.seekable import SMALL_COPY_BYTES, Slice, read_at, stored_entry, temporary_copy
from facesmith.storage.store import NotAStore, Store, StoredFile
from facesmith.storage.zip_names import names_in_zip

# What the archive modules and their decompressors raise for damaged entries and for unsupported compression methods.
ARCHIVE_ERRORS = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, NotImplementedError, ValueError, OverflowError, IndexError),
)
COPY_BYTES = 2**20
METHOD_NAMES = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 97: "WavPack", 98: "PPMd"}
SUPPORTED_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})
UNREADABLE_ARCHIVES = frozenset({"RAR", "7z", "zstd", "LZ4"})
UNPACK_COMMANDS = {
    **{"RAR": "unrar x", "7z": "7z x", "zstd": "tar --zstd -xf", "LZ4": "tar -I lz4 -xf"},
    **{"gzip": "gunzip", "bzip2": "bunzip2", "xz": "unxz"},
}
SPLIT_ARCHIVE = re.compile(r"\.(z\d\d)$|\.zip\.\d{3}$", re.IGNORECASE)  # `a.z01`, `a.zip.001`
DECOMPRESSORS: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    "gzip": gzip.open,  # type: ignore[dict-item]
    "bzip2": bz2.open,
    "xz": lzma.open,
}


def open_archive(path: Path, kind: FileKind, readers: RecentReaders, stream: IO[bytes] | None = None) -> Store:
    """The store of an archive.

    Args:
        path: of the archive; only a name in messages if `stream` is given.
        kind: its kind by content, or without a name if the content was not recognized.
        readers: shared by all Parquet files of a dataset.
        stream: its content, which the store closes.

    Raises:
        BadData: it is damaged, encrypted, or of a kind that can't be read; the message names the command that unpacks.
        NotAStore: it has no files inside, such as a table that is compressed alone.
    """
    if not kind.name and _is_empty(path, stream):
        raise NotAStore(f"{path} is empty. Is the copy or download complete?", EMPTY_FILE)
    if kind.name in UNREADABLE_ARCHIVES:
        if stream is not None:
            stream.close()
        problem = f"is {with_article(kind.name)} archive, which can't be read in place"
        raise _unpack_first(path, problem, UNPACK_COMMANDS[kind.name])
    if kind.name == "Parquet":
        return ParquetStore(path, stream, readers)
    if kind.name in ("tar", *DECOMPRESSORS):
        version = "" if stream is not None else str(path.stat().st_mtime_ns)
        return TarStore(path, stream or open(path, "rb"), kind.name, version)
    return ZipStore(path, stream, bool(kind.name))


def _is_empty(path: Path, stream: IO[bytes] | None) -> bool:
    if stream is None:
        return path.stat().st_size == 0
    content = stream.read(1)
    stream.seek(0)
    return not content


def _unpack_first(path: Path, problem: str, command: str) -> BadData:
    return BadData(f"{path} {problem}. Unpack it first: {command} {quoted(printable_name(path.name))}")


class ZipStore(Store):
    """A zip, read in place. `has_signature` is whether it begins as a zip does."""

    def __init__(self, path: Path, stream: IO[bytes] | None = None, has_signature: bool = True) -> None:
        self.path = path
        self.stream = stream
        try:
            self.zip = zipfile.ZipFile(path if stream is None else stream)
        except ARCHIVE_ERRORS as error:
            if part := SPLIT_ARCHIVE.search(path.name):
                first = f"{path.stem}.zip" if part[1] else path.name
                command = f"7z x {quoted(printable_name(first))}"
                raise BadData(f"{path} is one part of a split zip. Unpack it first: {command}") from None
            if has_signature and "not a zip file" in str(error):
                name = quoted(printable_name(path.name))
                raise BadData(
                    f"{path} is cut off, or other data follows the zip: the list of its files is not at its end. "
                    f"Copy or download it again, or unpack what is there: 7z x {name}"
                ) from None
            reason = printable_name(str(error))[:120]
            named = "zip" if has_signature else suffix_of(path.name).lstrip(".") or "zip"
            raise BadData(f"{path} can't be read as a {named} ({reason}). Is the copy or download complete?") from None
        if any(info.volume not in (0, 0xFFFF) or info.header_offset < 0 for info in self.zip.infolist()):
            self.close()
            raise _unpack_first(path, "is the last part of a split zip, or its beginning is missing", "7z x")
        # Of several entries with one name, the last counts.
        names = names_in_zip(self.zip.infolist())
        self.entries = {name: info for name, info in zip(names, self.zip.infolist(), strict=True) if name[-1:] != "/"}
        problems = [self._problem(info) for info in self.entries.values()]
        if problems and all(problems):
            self.close()
            command = "unzip" if problems[0].startswith("encrypted") else "7z x"
            raise _unpack_first(path, f"can't be read in place: its files are {problems[0]}", command)

    @staticmethod
    def _problem(info: zipfile.ZipInfo) -> str:
        """Why an entry can't be read, or an empty text."""
        if info.flag_bits & 1:
            return "encrypted"
        if info.compress_type in SUPPORTED_METHODS:
            return ""
        return f"compressed with {METHOD_NAMES.get(info.compress_type, f'method {info.compress_type}')}"

    def files(self) -> list[StoredFile]:
        return [
            StoredFile(name, f"{info.file_size}-{info.CRC:08x}", info.file_size)
            for name, info in sorted(self.entries.items())
            if not is_hidden(name)
        ]

    def read(self, name: str) -> bytes:
        info = self.entries[name]
        _check_size(info.file_size)  # a small zip can unpack to more than the memory
        if problem := self._problem(info):
            raise BadPicture(f"{problem} in the zip; unpack it first")
        bounded = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        try:
            with self.zip.open(info) as stream:
                return b"".join(iter(lambda: stream.read(COPY_BYTES if bounded else SMALL_COPY_BYTES), b""))
        except ARCHIVE_ERRORS as error:
            raise _unreadable(error, "zip") from None

    def head(self, name: str) -> bytes:
        try:
            with self.zip.open(self.entries[name]) as stream:
                return stream.read(HEAD_BYTES)
        except (*ARCHIVE_ERRORS, RuntimeError):  # encrypted files raise RuntimeError
            return b""

    def unpack(self, name: str) -> IO[bytes]:
        info = self.entries[name]
        if problem := self._problem(info):
            raise BadData(f"{problem} in the zip; unpack it first")
        try:
            if info.compress_type == zipfile.ZIP_STORED and self.stream is None:
                return stored_entry(self.path, info)
            with self.zip.open(info) as stream:
                return temporary_copy(stream, info.compress_size)
        except ARCHIVE_ERRORS as error:
            raise BadData(f"damaged in the zip: {printable_name(str(error))[:120]}") from None

    def close(self) -> None:
        self.zip.close()
        if self.stream is not None:
            self.stream.close()

    def __del__(self) -> None:  # most callers read a store to its end and drop it
        if self.stream is not None:
            self.stream.close()


class TarStore(Store):
    """A tar, read in place; with gzip, bzip2 or xz, its decompressed copy.

    Args:
        stream: the content, closed by the store.
        compression: "tar" for none, or a key of `DECOMPRESSORS`.
        version: changes when the archive changes; for the stamps of its files.
    """

    def __init__(self, path: Path, stream: IO[bytes], compression: str, version: str) -> None:
        self.path = path
        self.version = version
        self.stream = stream
        self.lock = threading.Lock()
        self.entries: dict[str, tuple[int, int]] = {}  # offset and size; of several with one name, the last
        try:
            if compression != "tar":
                packed_bytes = stream.seek(0, 2)
                stream.seek(0)
                with DECOMPRESSORS[compression](stream) as decompressed:
                    self.stream = temporary_copy(decompressed, packed_bytes)
                stream.close()
            with tarfile.TarFile(fileobj=self.stream) as tar:
                for member in tar:
                    if member.isreg() and not member.issparse() and not is_hidden(member.name):
                        self.entries[member.name] = (member.offset_data, member.size)
        except BadData as error:
            stream.close()
            raise BadData(f"{path} {error}.") from None
        except ARCHIVE_ERRORS as error:
            self.close()
            stream.close()
            if compression != "tar" and isinstance(error, tarfile.ReadError):
                command = UNPACK_COMMANDS[compression]
                raise NotAStore(
                    f"{path} is {with_article(compression)} file, but not of a tar. "
                    f"Unpack it first: {command} {quoted(printable_name(path.name))}",
                    FileKind("other", f"{compression} file of no tar (unpack it: {command})"),
                ) from None
            reason = printable_name(str(error))[:120]
            raise BadData(f"{path} can't be read as a tar ({reason}). Is the copy or download complete?") from None

    def files(self) -> list[StoredFile]:
        return [
            StoredFile(name, f"{self.version}-{size}-{offset}", size)
            for name, (offset, size) in sorted(self.entries.items())
        ]

    def read(self, name: str) -> bytes:
        offset, size = self.entries[name]
        _check_size(size)
        try:
            content = self._read_at(offset, size)
        except OSError as error:
            raise _unreadable(error, "tar") from None
        if len(content) < size:
            raise BadPicture("truncated in the tar")
        return content

    def head(self, name: str) -> bytes:
        offset, size = self.entries[name]
        return self._read_at(offset, min(size, HEAD_BYTES))

    def _read_at(self, offset: int, size: int) -> bytes:
        return read_at(self.stream, self.lock, offset, size)

    def unpack(self, name: str) -> IO[bytes]:
        return io.BufferedReader(Slice(self._read_at, *self.entries[name]))

    def close(self) -> None:
        self.stream.close()

    def __del__(self) -> None:  # as in `ZipStore`
        self.stream.close()


def _unreadable(error: Exception, kind: str) -> BadPicture:
    """Why a picture in an archive can't be read: its drive, or damaged data."""
    if isinstance(error, OSError) and error.errno in LOST_DRIVE_ERRORS:
        return PictureUnavailable(f"can't be read: {error.strerror}")
    return BadPicture(f"damaged in the {kind}: {printable_name(str(error))[:120]}")


def _check_size(size_bytes: int) -> None:
    if size_bytes > MAX_FILE_BYTES:
        raise BadPicture(f"file of {size_bytes / 2**20:.0f} MiB, more than {MAX_FILE_BYTES // 2**20} MiB")

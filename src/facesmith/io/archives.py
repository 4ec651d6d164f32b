"""Zip and tar archives, read in place, as stores of names and bytes.

Nothing is unpacked to a name on the disk, so no name in an archive can reach outside. Compressed tars and archives
inside archives are unpacked to a temporary file without a name, because they can't be read at any place.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import shlex
import struct
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO

from facesmith.errors import BadData, BadPicture
from facesmith.io.file_kinds import DOCUMENT_SUFFIXES, HEAD_BYTES, FileKind, is_hidden, suffix_of
from facesmith.io.images import MAX_FILE_BYTES
from facesmith.io.store import FileStore, FolderStore, Store, StoredFile, printable

# What the archive modules and their decompressors raise for damaged entries and for unsupported compression methods.
ARCHIVE_ERRORS = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, NotImplementedError, ValueError, OverflowError),
)
COPY_BYTES = 2**20
SMALL_COPY_BYTES = 2**12  # bzip2 and LZMA unpack all that they get, up to 20,000 times as much
MAX_UNPACKED_RATIO = 100  # pictures hardly shrink, so an archive that unpacks to more than this is an attack
MIN_UNPACKED_LIMIT = 2**30
METHOD_NAMES = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 97: "WavPack", 98: "PPMd"}
MAX_DEPTH = 3  # of archives in archives
MAX_INNER = 256  # archives in a store; each keeps a file open
SUPPORTED_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})
UNPACK_COMMANDS = {"RAR": "unrar x", "7z": "7z x", "zstd": "tar --zstd -xf"}
DECOMPRESSORS: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    "gzip": gzip.open,  # type: ignore[dict-item]
    "bzip2": bz2.open,
    "xz": lzma.open,
}


class NotATar(BadData):
    """A compressed file has no tar inside, such as a table that is compressed alone."""


def open_archive(path: Path, kind: FileKind, stream: IO[bytes] | None = None) -> Store:
    """The store of an archive.

    Args:
        path: of the archive; only a name in messages if `stream` is given.
        kind: its kind by content, or without a name if the content was not recognized.
        stream: its content, which the store closes.

    Raises:
        BadData: it is damaged, encrypted, or of a kind that can't be read; the message names the command that unpacks.
    """
    if kind.name in UNPACK_COMMANDS:
        if stream is not None:
            stream.close()
        raise _unpack_first(path, f"is a {kind.name} archive, which can't be read in place", UNPACK_COMMANDS[kind.name])
    if kind.name in ("tar", *DECOMPRESSORS):
        version = "" if stream is not None else str(path.stat().st_mtime_ns)
        return TarStore(path, stream or open(path, "rb"), kind.name, version)
    return ZipStore(path, stream)


def _unpack_first(path: Path, problem: str, command: str) -> BadData:
    return BadData(f"{path} {problem}. Unpack it first: {command} {shlex.quote(printable(path.name))}")


class ZipStore(Store):
    """A zip, read in place."""

    def __init__(self, path: Path, stream: IO[bytes] | None = None) -> None:
        self.path = path
        self.stream = stream
        try:
            self.zip = zipfile.ZipFile(path if stream is None else stream)
        except ARCHIVE_ERRORS as error:
            reason = printable(str(error))[:120]
            raise BadData(f"{path} can't be read as a zip ({reason}). Is the copy or download complete?") from None
        problems = [self._problem(info) for info in self.zip.infolist() if not info.is_dir()]
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
        # Of several entries with one name, reading returns the last, so each name is listed once.
        entries = {i.filename: i for i in self.zip.infolist() if not i.is_dir() and not is_hidden(i.filename)}
        return [
            StoredFile(name, f"{entries[name].file_size}-{entries[name].CRC:08x}", entries[name].file_size)
            for name in sorted(entries)
        ]

    def read(self, name: str) -> bytes:
        info = self.zip.getinfo(name)
        _check_size(info.file_size)  # a small zip can unpack to more than the memory
        if problem := self._problem(info):
            raise BadPicture(f"{problem} in the zip; unpack it first")
        bounded = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        try:
            with self.zip.open(info) as stream:
                return b"".join(iter(lambda: stream.read(COPY_BYTES if bounded else SMALL_COPY_BYTES), b""))
        except ARCHIVE_ERRORS as error:
            raise BadPicture(f"damaged in the zip: {printable(str(error))[:120]}") from None

    def head(self, name: str) -> bytes:
        try:
            with self.zip.open(name) as stream:
                return stream.read(HEAD_BYTES)
        except (*ARCHIVE_ERRORS, RuntimeError):  # encrypted files raise RuntimeError
            return b""

    def unpack(self, name: str) -> IO[bytes]:
        info = self.zip.getinfo(name)
        try:
            with self.zip.open(info) as stream:
                return _temporary_copy(stream, info.compress_size)
        except (*ARCHIVE_ERRORS, RuntimeError) as error:
            raise BadData(f"damaged in the zip: {printable(str(error))[:120]}") from None

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
                    self.stream = _temporary_copy(decompressed, packed_bytes)
                stream.close()
            with tarfile.TarFile(fileobj=self.stream) as tar:
                for member in tar:
                    if member.isreg() and not member.issparse() and not is_hidden(member.name):
                        self.entries[member.name] = (member.offset_data, member.size)
        except ARCHIVE_ERRORS as error:
            self.close()
            stream.close()
            if compression != "tar" and isinstance(error, tarfile.ReadError):
                raise NotATar(
                    f"{path} is a {compression} file, but not of a tar. Give a tar, a zip or a folder."
                ) from None
            reason = printable(str(error))[:120]
            raise BadData(f"{path} can't be read as a tar ({reason}). Is the copy or download complete?") from None

    def files(self) -> list[StoredFile]:
        return [
            StoredFile(name, f"{self.version}-{size}-{offset}", size)
            for name, (offset, size) in sorted(self.entries.items())
        ]

    def read(self, name: str) -> bytes:
        offset, size = self.entries[name]
        _check_size(size)
        content = self._read_at(offset, size)
        if len(content) < size:
            raise BadPicture("truncated in the tar")
        return content

    def head(self, name: str) -> bytes:
        offset, size = self.entries[name]
        return self._read_at(offset, min(size, HEAD_BYTES))

    def _read_at(self, offset: int, size: int) -> bytes:
        with self.lock:  # threads share the stream and its position
            self.stream.seek(offset)
            return self.stream.read(size)

    def unpack(self, name: str) -> IO[bytes]:
        offset, size = self.entries[name]
        copy = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
        for start in range(0, size, COPY_BYTES):
            copy.write(self._read_at(offset + start, min(COPY_BYTES, size - start)))
        copy.seek(0)
        return copy

    def close(self) -> None:
        self.stream.close()

    def __del__(self) -> None:  # as in `ZipStore`
        self.stream.close()


def _check_size(size_bytes: int) -> None:
    if size_bytes > MAX_FILE_BYTES:
        raise BadPicture(f"file of {size_bytes / 2**20:.0f} MiB, more than {MAX_FILE_BYTES // 2**20} MiB")


def _temporary_copy(stream: IO[bytes], packed_bytes: int) -> IO[bytes]:
    """A temporary file with the content of a stream that decompresses `packed_bytes`.

    Raises:
        ValueError: it unpacks to suspiciously much.
    """
    limit = max(MIN_UNPACKED_LIMIT, MAX_UNPACKED_RATIO * packed_bytes)
    copy = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    try:
        while content := stream.read(SMALL_COPY_BYTES * 16):
            copy.write(content)
            if copy.tell() > limit:
                raise ValueError(f"unpacks to more than {limit / 2**30:.0f} GiB")
    except BaseException:
        copy.close()
        raise
    copy.seek(0)
    return copy


class NestedStore(Store):
    """A store whose archives are read like folders: `img.zip` in it gives files such as `img.zip/a.jpg`.

    Archives that can't be opened stay files, and their kind is the reason.
    """

    def __init__(self, outer: Store, depth: int = 1) -> None:
        self.path, self.outer, self.depth = outer.path, outer, depth
        self.inner: dict[str, Store] = {}
        self.kinds: dict[str, FileKind] = {}

    def files(self) -> list[StoredFile]:
        listed: list[StoredFile] = []
        for file in self.outer.files():
            inner = self._open(file)
            if inner is None:
                listed.append(file)
                continue
            for member in inner.files():
                name, stamp = f"{file.name}/{member.name}", f"{file.stamp}/{member.stamp}"
                listed.append(StoredFile(name, stamp, member.size_bytes))
        return sorted(listed, key=lambda file: file.name)

    def _open(self, file: StoredFile) -> Store | None:
        """The store of a file if it is an archive that can be read; otherwise its kind is noted."""
        if file.name in self.inner:
            return self.inner[file.name]
        if self.trusts(file):
            return None
        kind = self.kinds[file.name] = self.outer.kind(file.name)
        if kind.category != "archive":
            return None
        try:
            if self.depth > MAX_DEPTH or len(self.inner) >= MAX_INNER:
                raise BadData(f"an archive too many or too deep (limits {MAX_INNER} and {MAX_DEPTH}); unpack it first")
            path = self.outer.local_path(file.name)
            stream = self.outer.unpack(file.name) if path is None else open(path, "rb")  # noqa: SIM115
            store = NestedStore(open_archive(Path(file.name), kind, stream), self.depth + 1)
        except NotATar:
            self.kinds[file.name] = FileKind("other")
            return None
        except (BadData, OSError) as error:
            self.kinds[file.name] = FileKind("other", f"archive that can't be read: {str(error).rstrip('.')}")
            return None
        self.inner[file.name] = store
        return store

    def _locate(self, name: str) -> tuple[Store, str]:
        """The store that has a file, and the file's name there."""
        parts = name.split("/")
        for i in range(1, len(parts)) if self.inner else ():
            if (prefix := "/".join(parts[:i])) in self.inner:
                return self.inner[prefix], "/".join(parts[i:])
        return self.outer, name

    def kind(self, name: str) -> FileKind:
        store, inside = self._locate(name)
        if store is not self.outer:
            return store.kind(inside)
        return self.kinds[name] if name in self.kinds else self.outer.kind(name)

    def read(self, name: str) -> bytes:
        store, inside = self._locate(name)
        return store.read(inside)

    def head(self, name: str) -> bytes:
        store, inside = self._locate(name)
        return store.head(inside)

    def local_path(self, name: str) -> Path | None:
        store, inside = self._locate(name)
        return store.local_path(inside)

    def close(self) -> None:
        for store in (*self.inner.values(), self.outer):
            store.close()


def open_store(path: Path, exclude: Path | None = None) -> Store:
    """The store at a path: a folder, an archive, or a single file. Archives inside are read like folders.

    Args:
        exclude: a folder to leave out.

    Raises:
        BadData: the path does not exist, or can't be opened.
    """
    if path.is_dir():
        return NestedStore(FolderStore(path, exclude))
    if not path.is_file():
        problem = "is neither a folder nor a file" if path.exists() else "does not exist"
        raise BadData(f"{path} {problem}. Give a folder or a zip of pictures.")
    kind = FileStore(path).kind(path.name)
    if kind.category == "archive" or _is_zip_with_prefix(path, kind):
        return NestedStore(open_archive(path, kind))
    return FileStore(path)


def _is_zip_with_prefix(path: Path, kind: FileKind) -> bool:
    """Whether a file of unknown kind is a zip after other bytes, such as a program that unpacks itself."""
    unknown = kind.category == "other" and not kind.name and suffix_of(path.name) not in DOCUMENT_SUFFIXES
    return unknown and zipfile.is_zipfile(path)

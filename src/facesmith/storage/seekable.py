"""The content of a file in an archive as an open file that is seekable: a part of the archive, or a temporary copy."""

from __future__ import annotations

import errno
import io
import struct
import tempfile
import threading
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

from facesmith.errors import BadData

LOCAL_HEADER = struct.Struct("<26x2H")  # of a zip entry, with the lengths of name and extra field
SMALL_COPY_BYTES = 2**12  # one read of bzip2 or LZMA may unpack to 20,000 times as much
MAX_UNPACKED_RATIO = 100  # pictures hardly shrink, so an archive that unpacks to more than this is an attack
MIN_UNPACKED_LIMIT = 2**30
FULL_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Slice(io.RawIOBase):
    """A part of an open file as a file of its own.

    Args:
        read_at: the bytes of the open file, from an offset on.
        offset: where the part starts.
        size_bytes: of the part.
        file: is closed with the part.
    """

    def __init__(
        self, read_at: Callable[[int, int], bytes], offset: int, size_bytes: int, file: IO[bytes] | None = None
    ) -> None:
        self.read_at, self.offset, self.size_bytes, self.file = read_at, offset, size_bytes, file
        self.position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.size_bytes}[whence]
        self.position = max(0, base + offset)
        return self.position

    def readinto(self, buffer: Any) -> int:
        size_bytes = max(0, min(len(buffer), self.size_bytes - self.position))
        content = self.read_at(self.offset + self.position, size_bytes)
        buffer[: len(content)] = content
        self.position += len(content)
        return len(content)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
        super().close()


def read_at(file: IO[bytes], lock: threading.Lock, offset: int, size_bytes: int) -> bytes:
    """The bytes of an open file, from an offset on; fewer at its end."""
    with lock:  # threads share the file and its position
        file.seek(offset)
        return file.read(size_bytes)


def stored_entry(archive: Path, info: zipfile.ZipInfo) -> IO[bytes]:
    """An entry of a zip that is stored without compression, without a copy.

    Raises:
        zipfile.BadZipFile, OSError: the archive is damaged, or can't be read.
    """
    file = open(archive, "rb")  # noqa: SIM115 (the slice closes it)
    try:
        file.seek(info.header_offset)
        header = file.read(LOCAL_HEADER.size)
        if len(header) < LOCAL_HEADER.size or not header.startswith(b"PK\3\4"):
            raise zipfile.BadZipFile("bad magic number for file header")
    except BaseException:
        file.close()
        raise
    offset = info.header_offset + LOCAL_HEADER.size + sum(LOCAL_HEADER.unpack(header))
    return io.BufferedReader(Slice(partial(read_at, file, threading.Lock()), offset, info.file_size, file))


def unpacked_limit(packed_bytes: int) -> int:
    """How many bytes an archive of this size may unpack to."""
    return max(MIN_UNPACKED_LIMIT, MAX_UNPACKED_RATIO * packed_bytes)


def temporary_copy(stream: IO[bytes], packed_bytes: int) -> IO[bytes]:
    """A temporary file with the content of a stream that decompresses `packed_bytes`.

    Raises:
        ValueError: it unpacks to more than `unpacked_limit`.
        BadData: the folder for temporary files is full.
    """
    limit = unpacked_limit(packed_bytes)
    copy = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    try:
        while content := stream.read(SMALL_COPY_BYTES * 16):
            copy.write(content)
            if copy.tell() > limit:
                raise ValueError(f"unpacks to more than {limit / 2**30:.0f} GiB")
        copy.seek(0)
    except OSError as error:
        copy.close()
        if error.errno not in FULL_DISK_ERRORS:
            raise
        folder = tempfile.gettempdir()
        raise BadData(f"can't be unpacked to {folder} ({error.strerror}); set TMPDIR to another folder") from None
    except BaseException:
        copy.close()
        raise
    return copy

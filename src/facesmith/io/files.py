"""Write files completely or not at all, and never overwrite one by accident."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from facesmith.errors import BadOption, OutputExists


@contextmanager
def atomic_write(path: Path, mode: str = "wb", *, durable: bool = False) -> Iterator[IO[Any]]:
    """Open a file that appears at `path` only once it is complete: it is written under another name, then renamed.

    Args:
        durable: also wait until the data is on the disk, so that it survives a power cut. Slow for many small files.

    Raises:
        BadOption: `path` is a folder, or can't be in one.
    """
    if path.is_dir():
        raise BadOption(f"{path} is a folder; expected the name of a file to write.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise BadOption(f"{path} can't be written: {path.parent} must be a folder, but a file is in the way.") from None
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    # The text may contain file names that are not valid UTF-8: surrogateescape writes them as they were read.
    text: dict[str, Any] = {} if "b" in mode else {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}
    try:
        with open(partial, mode, **text) as stream:
            yield stream
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def refuse_to_overwrite(path: Path, force: bool) -> None:
    """Raise `OutputExists` if `path` is a file or a folder with content, unless `force` is set."""
    exists = any(path.iterdir()) if path.is_dir() else path.exists()
    if exists and not force:
        raise OutputExists(f"{path} already exists. Choose another --out, or add --force to replace it.")


def sha256(file: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

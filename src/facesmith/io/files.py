"""Files that are whole or not there, and that never replace another unasked."""

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
    """A file that appears at `path` whole or not at all: written beside it, then renamed.

    Args:
        durable: wait until the disk holds it, so that it survives a power cut; slow for many small files.
    """
    if path.is_dir():
        raise BadOption(f"{path} is a folder; expected the name of a file to write.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise BadOption(f"{path} can't be written: there is a file where its folder {path.parent} has to be.") from None
    beside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    # Names of files may be no UTF-8; they come back as they were read.
    text: dict[str, Any] = {} if "b" in mode else {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}
    try:
        with open(beside, mode, **text) as stream:
            yield stream
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def refuse_to_overwrite(path: Path, force: bool) -> None:
    """Raise `OutputExists` where an output is in the way (an empty folder is not)."""
    in_the_way = any(path.iterdir()) if path.is_dir() else path.exists()
    if in_the_way and not force:
        raise OutputExists(f"{path} exists already. Choose another --out, or add --force to replace it.")


def sha256(file: Path) -> str:
    """Hash of a file's bytes, in hexadecimal."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

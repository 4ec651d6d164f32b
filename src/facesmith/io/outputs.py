"""Outputs of several files: what a stopped command leaves unfinished does not block its next start.

A single file needs none of this, because `atomic_write` makes it appear complete or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from facesmith.io.files import (
    MAX_NAME_BYTES,
    UNFINISHED,
    atomic_write,
    holds_files,
    refuse_to_overwrite,
    remove_partial_files,
    shorten_name,
)


class Outputs:
    """The files, or the folder of files, that one command writes.

    While they are written, a hidden file next to the first one names the command by a hash. It is removed when all are
    complete. If the command fails or is killed before, the same command finds this file, and replaces what it left. All
    other commands refuse to overwrite those files.

    Args:
        paths: at least one; a single path must be a folder.
        request: everything that decides the content, such as the command's options.
        folder: whether the first path is a folder.
        options: the option that gives each path, for messages; by default --out.
    """

    def __init__(
        self, paths: Sequence[Path], request: object, *, folder: bool = False, options: Sequence[str] = ()
    ) -> None:
        self.paths = paths
        self._options = options or ["--out"] * len(paths)
        first, ending = paths[0], f".{UNFINISHED}"
        hidden = f".{shorten_name(first.name, MAX_NAME_BYTES - len(ending) - 1)}{ending}"
        self._marker = first / ending if folder else first.with_name(hidden)
        digest = hashlib.sha256(repr(([str(path.absolute()) for path in paths], request)).encode("utf-8", "replace"))
        self._mark = f"The same facesmith command replaces these unfinished files. {digest.hexdigest()}\n".encode()

    def refuse_to_overwrite(self, force: bool) -> None:
        """Raise `OutputExists` if an output exists, unless the same command left it unfinished, or `force` is set."""
        remove_partial_files(self._marker)
        for path, option in zip(self.paths, self._options, strict=True):
            refuse_to_overwrite(path, force or self._is_unfinished(), option)

    def _is_unfinished(self) -> bool:
        try:
            return self._marker.is_file() and self._marker.read_bytes() == self._mark
        except OSError:
            return False

    @contextmanager
    def writing(self, remove: Iterable[Path] = ()) -> Iterator[None]:
        """Mark the outputs as unfinished while the block writes them.

        Args:
            remove: earlier outputs that must not remain beside the new ones.

        Raises:
            OSError: the mark can't be written or removed. Then the outputs can't be written either, or are complete.
        """
        with atomic_write(self._marker, durable=True) as stream:
            stream.write(self._mark)
        try:
            for path in remove:
                path.unlink(missing_ok=True)
            yield
        except BaseException:
            if not any(map(holds_files, self.paths)):
                with suppress(OSError):
                    self._marker.unlink()
            raise
        self._marker.unlink(missing_ok=True)

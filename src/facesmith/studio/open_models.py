"""The models that are open, by ids that tell nothing of where their files lie.

A model's id follows from its file and from its directions, since a face with edits follows from both.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from facesmith.errors import BadModel
from facesmith.io.files import sha256
from facesmith.model import Model, load
from facesmith.modelfiles.locate import model_file
from facesmith.modelfiles.sidecar import sidecar_path

ID_LENGTH = 16
MOST_OPEN = 8
SIDECARS = ("directions", "inversion")


class Shelf:
    """Opens models and keeps them; one whose file has changed is opened anew under its new id.

    Args:
        paths: run folders and model files. A run that has saved no model yet is looked at again later.
        names: how they are called on the page, one each.
    """

    def __init__(self, paths: Sequence[Path], names: Sequence[str]) -> None:
        self.paths, self.names = list(paths), list(names)
        self._open: OrderedDict[str, Model] = OrderedDict()
        self._current: list[str | None] = [None] * len(self.paths)
        self._stamps: list[list[tuple[int, int]] | None] = [None] * len(self.paths)
        self._lock = threading.Lock()

    def current(self) -> list[tuple[str, str, Model]]:
        """Id, name and model of all that can be opened now."""
        with self._lock:
            for i, path in enumerate(self.paths):
                self._renew(i, path)
            return [
                (known, name, self._open[known])
                for known, name in zip(self._current, self.names, strict=True)
                if known is not None
            ]

    def model(self, known: str) -> Model | None:
        """The model of an id that `current` gave, or None."""
        return self._open.get(known)  # without the lock: whoever renews may take a while

    def _renew(self, i: int, path: Path) -> None:
        try:
            file = model_file(path)
            sidecars = [sidecar_path(file, kind) for kind in SIDECARS]
            stamps = [_stamp(each) for each in (file, *sidecars)]
            if self._stamps[i] == stamps:
                return
            model = load(path)
            hashes = [model.hash, *(sha256(each) for each in sidecars[:1] if each.exists())]
        except (BadModel, OSError):  # not saved yet, or just being replaced: what is open stays open
            return
        self._stamps[i] = stamps
        known = self._current[i] = hashlib.sha256("".join(hashes).encode()).hexdigest()[:ID_LENGTH]
        self._open[known] = model
        for old in [each for each in self._open if each not in self._current][: max(0, len(self._open) - MOST_OPEN)]:
            del self._open[old]


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when a file does; the same for all files that are not there."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return 0, -1
    return stat.st_mtime_ns, stat.st_size

"""The models that are open, by ids that tell nothing of where their files lie."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from facesmith.checkpoint import model_file
from facesmith.errors import BadModel
from facesmith.sample import Model, load

ID_LENGTH = 16
MOST_OPEN = 8


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
        self._stamps: list[tuple[int, int] | None] = [None] * len(self.paths)
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
        with self._lock:
            return self._open.get(known)

    def _renew(self, i: int, path: Path) -> None:
        try:
            stat = model_file(path).stat()
            if self._stamps[i] == (stat.st_mtime_ns, stat.st_size):
                return
            model = load(path)
        except (BadModel, OSError):  # not saved yet, or just being replaced: what is open stays open
            return
        self._stamps[i] = (stat.st_mtime_ns, stat.st_size)
        known = self._current[i] = model.hash[:ID_LENGTH]
        self._open[known] = model
        for old in [each for each in self._open if each not in self._current][: max(0, len(self._open) - MOST_OPEN)]:
            del self._open[old]

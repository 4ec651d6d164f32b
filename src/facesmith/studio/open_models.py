"""The open models, by ids that reveal nothing about the location of their files.

The id of a model is a hash of its file and of its directions, because an edited face depends on both.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from facesmith.errors import BadModel
from facesmith.io.files import sha256
from facesmith.model import Model, load
from facesmith.modelfiles.locate import model_file
from facesmith.modelfiles.sidecar import sidecar_path

ID_LENGTH = 16
MAX_OPEN = 8
SIDECARS = ("directions", "inversion")


class OpenModel(NamedTuple):
    """A model with its id and its name on the page."""

    id: str
    name: str
    model: Model


class OpenModels:
    """Opens models and keeps them. When a file changes, its model is opened again under a new id.

    Args:
        paths: run folders and model files. A run that has not saved a model yet is tried again later.
        names: the name of each on the page.
    """

    def __init__(self, paths: Sequence[Path], names: Sequence[str]) -> None:
        self.paths, self.names = list(paths), list(names)
        self._open: OrderedDict[str, Model] = OrderedDict()
        self._current_ids: list[str | None] = [None] * len(self.paths)
        self._file_versions: list[list[tuple[int, int]] | None] = [None] * len(self.paths)
        self._lock = threading.Lock()

    def refresh(self) -> list[OpenModel]:
        """The newest version of every model that can be opened."""
        with self._lock:
            for i, path in enumerate(self.paths):
                self._open_if_changed(i, path)
            return [
                OpenModel(model_id, name, self._open[model_id])
                for model_id, name in zip(self._current_ids, self.names, strict=True)
                if model_id is not None
            ]

    def get(self, model_id: str) -> Model | None:
        """The model with an id that `refresh` returned, or None."""
        return self._open.get(model_id)  # without the lock, because opening a model takes a while

    def _open_if_changed(self, i: int, path: Path) -> None:
        try:
            file = model_file(path)
            sidecars = [sidecar_path(file, kind) for kind in SIDECARS]
            versions = [_file_version(each) for each in (file, *sidecars)]
            if self._file_versions[i] == versions:
                return
            model = load(path)
            hashes = [model.hash, *(sha256(each) for each in sidecars[:1] if each.exists())]
        except (BadModel, OSError):  # not saved yet, or about to be replaced: the earlier version stays open
            return
        self._file_versions[i] = versions
        model_id = self._current_ids[i] = hashlib.sha256("".join(hashes).encode()).hexdigest()[:ID_LENGTH]
        self._open[model_id] = model
        outdated = [each for each in self._open if each not in self._current_ids]
        for old_id in outdated[: max(0, len(self._open) - MAX_OPEN)]:
            del self._open[old_id]


def _file_version(path: Path) -> tuple[int, int]:
    """Modification time and size; the same for all files that don't exist."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return 0, -1
    return stat.st_mtime_ns, stat.st_size

"""The open models, by id.

The id of a model is a hash of its file and its directions, because an edited face depends on both. Browsers keep
pictures by this id, so it also depends on the marks of pictures. It reveals nothing about the location of the files.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from facesmith.errors import BadModel
from facesmith.io.files import sha256
from facesmith.model import Model, load
from facesmith.modelfiles.locate import model_file
from facesmith.modelfiles.sidecar import sidecar_path

ID_LENGTH = 16
MAX_OPEN_MODELS = 8  # If more are open, the oldest outdated versions are closed.


class OpenModel(NamedTuple):
    """A model with its id and its name on the page."""

    id: str
    name: str
    model: Model


class OpenModels:
    """Opens models and keeps them open. When the file of a model changes, the model is opened again under a new id.

    Args:
        paths: run folders and model files. A run may have no model yet.
        names: their names on the page, in the same order.
        marks: identifies the marks of pictures, if they are not the usual ones.
    """

    def __init__(self, paths: Sequence[Path], names: Sequence[str], marks: str = "") -> None:
        self.paths, self.names, self._marks = list(paths), list(names), marks
        self._models: OrderedDict[str, Model] = OrderedDict()
        self._current_ids: list[str | None] = [None] * len(self.paths)
        self._file_versions: list[list[tuple[int, int]] | None] = [None] * len(self.paths)
        self._lock = threading.Lock()

    def open(self, path: Path) -> None:
        """Open one of `paths`.

        Raises:
            BadModel: there is no model, or it is damaged.
        """
        with self._lock:
            self._open_if_changed(self.paths.index(path))

    def refresh(self) -> list[OpenModel]:
        """Open all models that are new or changed. Return the newest version of each model that could be opened."""
        with self._lock:
            for i in range(len(self.paths)):
                with suppress(BadModel, OSError):  # no model yet, or being replaced: the earlier version stays open
                    self._open_if_changed(i)
            return [
                OpenModel(model_id, name, self._models[model_id])
                for model_id, name in zip(self._current_ids, self.names, strict=True)
                if model_id is not None
            ]

    def get(self, model_id: str) -> Model | None:
        """Return the model with an id that `refresh` returned, or None."""
        return self._models.get(model_id)  # Without the lock: another thread may hold it while it opens a model.

    def _open_if_changed(self, i: int) -> None:
        file = model_file(self.paths[i])
        directions = sidecar_path(file, "directions")
        others = [sidecar_path(file, kind) for kind in ("inversion", "attributes")]
        versions = [_file_version(each) for each in (file, directions, *others)]
        if self._file_versions[i] == versions:
            return
        model = load(file)
        # Pictures don't depend on the other files, so the id does not either.
        hashes = model.hash + (sha256(directions) if directions.exists() else "") + self._marks
        self._file_versions[i] = versions
        model_id = self._current_ids[i] = hashlib.sha256(hashes.encode()).hexdigest()[:ID_LENGTH]
        self._models[model_id] = model
        outdated = [each for each in self._models if each not in self._current_ids]
        for old_id in outdated[: max(0, len(self._models) - MAX_OPEN_MODELS)]:
            del self._models[old_id]


def _file_version(path: Path) -> tuple[int, int]:
    """Return modification time and size, or the same pair for all files that don't exist."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return 0, -1
    return stat.st_mtime_ns, stat.st_size

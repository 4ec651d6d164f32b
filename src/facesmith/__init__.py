"""Facesmith turns a folder of photos into a working face generator.

>>> import facesmith
>>> faces = facesmith.load("runs/first").sample(range(16))  # uint8 [16, 64, 64, 3]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facesmith.api import detect, evaluate, extract, train
    from facesmith.errors import FacesmithError
    from facesmith.faces import Faces, open_faces
    from facesmith.model import Model, load

__version__ = "0.1.0"
__all__ = [
    "Faces",
    "FacesmithError",
    "Model",
    "__version__",
    "detect",
    "evaluate",
    "extract",
    "load",
    "open_faces",
    "train",
]

_HOMES = {
    "Faces": "facesmith.faces",
    "FacesmithError": "facesmith.errors",
    "Model": "facesmith.model",
    "detect": "facesmith.api",
    "evaluate": "facesmith.api",
    "extract": "facesmith.api",
    "load": "facesmith.model",
    "open_faces": "facesmith.faces",
    "train": "facesmith.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import facesmith` does not import torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'facesmith' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__

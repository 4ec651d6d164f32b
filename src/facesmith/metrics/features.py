"""Pictures -> features, by a network that learnt to tell things apart; kept in the cache by the pictures' contents.

An extractor is a file of the folder `extractors` with one class derived from `Extractor`; the file's name is how it is
asked for, and what stands last in the names of the metrics.
"""

from __future__ import annotations

import hashlib
import json
import pkgutil
from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from facesmith.errors import BadData, BadOption
from facesmith.faces.packed import cache_folder
from facesmith.io.batches import full_batches
from facesmith.io.files import atomic_write
from facesmith.io.images import Pixels, as_rgb
from facesmith.io.progress import bar
from facesmith.metrics import extractors

# Every batch has this many pictures, filled up where fewer are left, so that a picture's features don't depend on its
# neighbours. Larger ones are slower: their tensors are taken from the system anew each time.
BATCH_SIZE = 4
FORMAT = 1


class Extractor(ABC):
    """Gives each picture a point, such that alike pictures lie near each other.

    Attributes:
        name: the last part of the names of metrics: `fd5k_lite0`.
        fid: whether the Fréchet distance of these features is FID.
        dims: length of a feature.
        resize: the filter and size to which pictures are brought, in words; receipts repeat it.
        sha256: of the weights.
        source: which file they came from, in words.
    """

    name: ClassVar[str]
    dims: ClassVar[int]
    resize: ClassVar[str]
    fid: ClassVar[bool] = False
    sha256: str
    source: str

    @abstractmethod
    def __init__(self, weights: Path | None = None, *, download: bool = False) -> None:
        """Open the weights.

        Args:
            weights: a file, where the extractor needs one.
            download: whether they may be fetched.

        Raises:
            FacesmithError: they are missing, or not the ones we know; there is no falling back.
        """

    @abstractmethod
    def features(self, pixels: Tensor) -> Tensor:
        """float32 `[N, dims]` of uint8 RGB `[N, S, S, 3]`."""


def extractor_names() -> list[str]:
    """The extractors there are."""
    return sorted(module.name for module in pkgutil.iter_modules(extractors.__path__))


def open_extractor(name: str, weights: Path | None = None, *, download: bool = False) -> Extractor:
    """The extractor of that name, with its weights.

    Raises:
        BadOption: there is none of that name.
        FacesmithError: its weights can't be had.
    """
    if name not in extractor_names():
        raise BadOption(f"--features {name!r} is not one of {', '.join(extractor_names())}.")
    module = import_module(f"{extractors.__name__}.{name}")
    (found,) = (kind for kind in Extractor.__subclasses__() if kind.__module__ == module.__name__)
    return found(weights, download=download)


@torch.inference_mode()
def extract_features(extractor: Extractor, pixels: Pixels, what: str, console: Console) -> NDArray[np.float32]:
    """Features `[N, dims]` of pictures, uint8 `[N, S, S, C]`; grey ones are given three equal channels.

    Args:
        what: said beside the progress.

    Raises:
        BadData: a feature is not finite.
    """
    out = np.empty((len(pixels), extractor.dims), np.float32)
    batches = full_batches(len(pixels), BATCH_SIZE)
    for rows, n in bar(batches, len(batches), f"looking at {what}, {BATCH_SIZE} at a time", console):
        out[rows[:n]] = extractor.features(torch.from_numpy(as_rgb(pixels[rows])))[:n].numpy()
    if not np.isfinite(out).all():
        raise BadData(f"The features of {what} by {extractor.name} are not finite.")
    return out


def cached_features(extractor: Extractor, pixels: Pixels, what: str, console: Console) -> NDArray[np.float32]:
    """As `extract_features`, but taken from the cache where the same pictures were looked at before."""
    file = cache_folder() / "features" / f"{extractor.name}-{_key(extractor, pixels)}.npy"
    try:
        kept = np.load(file, allow_pickle=False)
        if kept.shape == (len(pixels), extractor.dims) and kept.dtype == np.float32 and np.isfinite(kept).all():
            return np.asarray(kept)
    except (OSError, ValueError, EOFError):
        pass  # none there, or damaged: made anew
    features = extract_features(extractor, pixels, what, console)
    try:
        with atomic_write(file) as stream:
            np.save(stream, features)
    except OSError as error:
        console.print(f"notice: features can't be kept in {cache_folder()} ({error.strerror}); they are made each time")
    return features


def _key(extractor: Extractor, pixels: Pixels) -> str:
    """A hash of all that features follow from, to the last bit: arithmetic differs by threads and processors."""
    arithmetic = [torch.__version__, torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()]
    made_by = [FORMAT, BATCH_SIZE, extractor.name, extractor.sha256, extractor.resize, list(pixels.shape), *arithmetic]
    digest = hashlib.sha256(json.dumps(made_by).encode())
    for start in range(0, len(pixels), BATCH_SIZE):
        digest.update(np.ascontiguousarray(pixels[start : start + BATCH_SIZE]).data)
    return digest.hexdigest()[:24]

"""Pictures -> features by a pretrained network, with a cache that is keyed by the pictures' content.

An extractor is one file in the folder `extractors` with one class derived from `Extractor`. The file's name is its name
on the command line and the last part of the metrics' names.
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
from facesmith.io.progress import bar
from facesmith.metrics import extractors
from facesmith.pictures.images import Pixels, as_rgb

# All batches have this size, so that a picture's features don't depend on the others. Larger batches are slower, since
# their tensors are allocated from the system each time.
BATCH_SIZE = 4
FORMAT = 1


class Extractor(ABC):
    """A network that maps similar pictures to close feature vectors.

    Attributes:
        name: the last part of the metrics' names: `fd5k_lite0`.
        dims: length of a feature vector.
        resize: how pictures are resized, with filter and size; reports quote it.
        fid: whether the Fréchet distance of these features is FID.
        sha256: of the weights.
        source: where the weights are from; reports quote it.
    """

    name: ClassVar[str]
    dims: ClassVar[int]
    resize: ClassVar[str]
    fid: ClassVar[bool] = False
    sha256: str
    source: str

    @abstractmethod
    def __init__(self, weights: Path | None = None, *, download: bool = False) -> None:
        """Load the weights.

        Args:
            weights: a file, if the extractor needs one.
            download: whether they may be downloaded.

        Raises:
            FacesmithError: they are missing, or their sha256 is wrong. Other weights are never used instead.
        """

    @abstractmethod
    def features(self, pixels: Tensor) -> Tensor:
        """float32 `[N, dims]` of uint8 RGB `[N, S, S, 3]`."""


def extractor_names() -> list[str]:
    """The names of all extractors, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(extractors.__path__))


def open_extractor(name: str, weights: Path | None = None, *, download: bool = False) -> Extractor:
    """Load the extractor with this name.

    Raises:
        BadOption: there is no such extractor.
        FacesmithError: its weights can't be loaded.
    """
    if name not in extractor_names():
        raise BadOption(f"--features {name!r} is not one of {', '.join(extractor_names())}.")
    module = import_module(f"{extractors.__name__}.{name}")
    (extractor,) = (each for each in Extractor.__subclasses__() if each.__module__ == module.__name__)
    return extractor(weights, download=download)


@torch.inference_mode()
def extract_features(extractor: Extractor, pixels: Pixels, description: str, console: Console) -> NDArray[np.float32]:
    """Features `[N, dims]` of pictures uint8 `[N, S, S, C]`; gray ones are converted to three equal channels.

    Args:
        description: of the pictures, for the progress bar.

    Raises:
        BadData: a feature is not finite.
    """
    out = np.empty((len(pixels), extractor.dims), np.float32)
    batches = full_batches(len(pixels), BATCH_SIZE)
    for rows, n in bar(batches, len(batches), f"extracting features of {description}, {BATCH_SIZE} at a time", console):
        out[rows[:n]] = extractor.features(torch.from_numpy(as_rgb(pixels[rows])))[:n].numpy()
    if not np.isfinite(out).all():
        raise BadData(f"The features of {description} by {extractor.name} are not finite.")
    return out


def cached_features(extractor: Extractor, pixels: Pixels, description: str, console: Console) -> NDArray[np.float32]:
    """As `extract_features`, but from the cache if the features of the same pictures are in it."""
    try:
        file = cache_folder() / "features" / f"{extractor.name}-{_key(extractor, pixels)}.npy"
    except BadData as error:
        console.print(f"notice: features can't be cached. {error}")
        return extract_features(extractor, pixels, description, console)
    try:
        cached = np.load(file, "r", allow_pickle=False)  # mapped, so that a forged shape allocates no memory
        if cached.shape == (len(pixels), extractor.dims) and cached.dtype == np.float32 and np.isfinite(cached).all():
            return np.asarray(cached)
    except (OSError, ValueError, EOFError):
        pass  # missing or damaged
    features = extract_features(extractor, pixels, description, console)
    try:
        with atomic_write(file) as stream:
            np.save(stream, features)
    except OSError as error:
        console.print(f"notice: features can't be cached in {cache_folder()} ({error.strerror})")
    return features


def _key(extractor: Extractor, pixels: Pixels) -> str:
    """A hash of everything that the features depend on, including what changes rounding: threads and processor."""
    arithmetic = [torch.__version__, torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()]
    protocol = [FORMAT, BATCH_SIZE, extractor.name, extractor.sha256, extractor.resize, list(pixels.shape), *arithmetic]
    digest = hashlib.sha256(json.dumps(protocol).encode())
    for start in range(0, len(pixels), BATCH_SIZE):
        digest.update(np.ascontiguousarray(pixels[start : start + BATCH_SIZE]).data)
    return digest.hexdigest()[:24]

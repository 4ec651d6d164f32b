"""InceptionV3 as FID was defined on: the TensorFlow weights of 2015, on which alone a Fréchet distance is called FID.

Paper: Szegedy et al. 2016, arXiv:1512.00567; Heusel et al. 2017, arXiv:1706.08500. The network, its resize and its
scaling are those of torch-fidelity, which agree with the original to the last digits; its weights are a file of 91 MiB
that no package ships.
"""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor

from facesmith.errors import FacesmithError, MissingExtra
from facesmith.faces.packed import cache_folder
from facesmith.io.files import sha256
from facesmith.metrics.features import Extractor

FILE = "weights-inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


class Inception(Extractor):
    """The pooled features of InceptionV3, 2,048 of them."""

    name, dims, resize, fid = "inception", 2048, "TensorFlow 1, bilinear without antialiasing, to 299 px", True

    def __init__(self, weights: Path | None = None, *, download: bool = False) -> None:
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError:
            raise MissingExtra("--features inception needs an extra. Run: pip install 'facesmith[fid]'") from None
        file = weight_file(weights, download=download)
        self.sha256, self.source = SHA256, f"{FILE}, network of torch-fidelity"
        self.network = FeatureExtractorInceptionV3(  # type: ignore[no-untyped-call]
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(file)
        )

    def features(self, pixels: Tensor) -> Tensor:
        """float32 `[N, 2048]` of uint8 RGB `[N, S, S, 3]`."""
        (out,) = self.network(pixels.permute(0, 3, 1, 2).contiguous())
        return torch.as_tensor(out)


def weight_file(condition: Path | None, *, download: bool) -> Path:
    """The weights, checked: the file given, else the one kept in the cache, which `download` may fetch.

    Raises:
        FacesmithError: there are none, or not the ones that FID means.
    """
    kept = cache_folder() / "weights" / FILE
    if condition is None and download and not kept.exists():
        _fetch(kept)
    file = kept if condition is None else condition
    if not file.is_file():
        raise FacesmithError(
            f"FID needs the file {FILE}, which {'is not at ' + str(condition) if condition else 'is not here'}. "
            "Add --download to fetch its 91 MiB, or name the file with --weights."
        )
    if (found := sha256(file)) != SHA256:
        raise FacesmithError(
            f"{file} has sha256 {found[:8]}…, expected {SHA256[:8]}…; it was not opened. "
            f"It is to be {URL} (pytorch-fid's file is the same)."
        )
    return file


def _fetch(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(file), hash_prefix=SHA256, progress=True)
    except (URLError, OSError, RuntimeError) as error:
        raise FacesmithError(
            f"{URL} can't be fetched ({error}). Fetch it elsewhere and name the file with --weights."
        ) from None

"""InceptionV3 with the TensorFlow weights of 2015. Only on these features is a Fréchet distance called FID.

Paper: Szegedy et al. 2016, arXiv:1512.00567; Heusel et al. 2017, arXiv:1706.08500. Network, resizing and scaling are
those of torch-fidelity, which agree with the original up to rounding. The weights are a file of 91 MiB that no package
includes.
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


def weight_file(weights: Path | None, *, download: bool) -> Path:
    """The weight file, with its sha256 checked.

    Args:
        weights: by default the file in the cache.
        download: whether to download it into the cache if it is missing.

    Raises:
        FacesmithError: the file is missing, or its sha256 is not that of FID's weights.
    """
    file = weights or cache_folder() / "weights" / FILE
    if weights is None and download and not file.exists():
        _download(file)
    if not file.is_file():
        raise FacesmithError(
            f"FID needs the file {FILE}, but {file} does not exist. "
            "Add --download to download it (91 MiB), or give the file with --weights."
        )
    if (actual := sha256(file)) != SHA256:
        raise FacesmithError(
            f"{file} has sha256 {actual[:8]}…, expected {SHA256[:8]}…; it was not opened. "
            f"Use {URL} (pytorch-fid has the same file)."
        )
    return file


def _download(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(file), hash_prefix=SHA256, progress=True)
    except (URLError, OSError, RuntimeError) as error:
        raise FacesmithError(
            f"{URL} can't be downloaded ({error}). Download it elsewhere and give the file with --weights."
        ) from None

"""The three networks of MTCNN, with the weights from the `mtcnn` package.

Paper: Zhang et al. 2016, "Joint face detection and alignment using multitask cascaded convolutional networks",
arXiv:1604.02878. Each network returns the probability that its input shows a face, and a correction of the box; the
last one adds five landmarks. Only the package's weight files are read: importing it would import TensorFlow.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facesmith.errors import FacesmithError

# The weight files are pickles, which can run code. Only files with exactly these hashes are unpickled.
SHA256 = {
    "pnet": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}


def _conv(channels_in: int, channels_out: int, kernel: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(channels_in, channels_out, kernel), nn.PReLU(channels_out)


class _MaxPool(nn.Module):
    """The same as `nn.MaxPool2d(side, 2, ceil_mode=ceil_mode)`, but three times as fast on CPUs."""

    def __init__(self, side: int, ceil_mode: bool = True) -> None:
        super().__init__()
        self.side, self.ceil_mode = side, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        return self._along(self._along(x, 2), 3)

    def _along(self, x: Tensor, dim: int) -> Tensor:
        rest = x.shape[dim] - self.side
        count = (rest + 1 if self.ceil_mode else rest) // 2 + 1
        largest = x.narrow(dim, 0, 2 * count - 1)[(slice(None),) * dim + (slice(None, None, 2),)].clone()
        for offset in range(1, self.side):
            others = x[(slice(None),) * dim + (slice(offset, offset + 2 * count - 1, 2),)]
            inside = largest.narrow(dim, 0, others.shape[dim])
            torch.maximum(inside, others, out=inside)
        return largest


class _ColumnsFirst(nn.Module):
    """Flatten in the order in which the weights of the dense layers were trained."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 2, 1).flatten(1)  # [N, C, H, W] -> [N, W*H*C]


class PNet(nn.Module):
    """Proposes boxes: a face probability for every 12x12 window of a picture, with stride 2."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*_conv(3, 10, 3), _MaxPool(2), *_conv(10, 16, 3), *_conv(16, 32, 3))
        self.box, self.face = nn.Conv2d(32, 4, 1), nn.Conv2d(32, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities `[N, h, w]` and box corrections `[N, h, w, 4]` of pictures `[N, 3, H, W]`."""
        x = self.trunk(x)
        return self.face(x).softmax(1)[:, 1], self.box(x).permute(0, 2, 3, 1)


class RNet(nn.Module):
    """Refines boxes: a face probability and a box correction for a 24x24 crop."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *(*_conv(3, 28, 3), _MaxPool(3)),
            *(*_conv(28, 48, 3), _MaxPool(3, ceil_mode=False)),
            *(*_conv(48, 64, 2), _ColumnsFirst()),
            *(nn.Linear(576, 128), nn.PReLU(128)),
        )
        self.box, self.face = nn.Linear(128, 4), nn.Linear(128, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities `[N]` and box corrections `[N, 4]` of crops `[N, 3, 24, 24]`."""
        x = self.trunk(x)
        return self.face(x).softmax(1)[:, 1], self.box(x)


class ONet(nn.Module):
    """Produces the output: a face probability, a box correction and five landmarks for a 48x48 crop."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            *(*_conv(3, 32, 3), _MaxPool(3)),
            *(*_conv(32, 64, 3), _MaxPool(3, ceil_mode=False)),
            *(*_conv(64, 64, 3), _MaxPool(2, ceil_mode=False)),
            *(*_conv(64, 128, 2), _ColumnsFirst()),
            *(nn.Linear(1152, 256), nn.PReLU(256)),
        )
        self.box, self.landmarks, self.face = nn.Linear(256, 4), nn.Linear(256, 10), nn.Linear(256, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities `[N]`, box corrections `[N, 4]` and landmarks `[N, 5, 2]` of crops `[N, 3, 48, 48]`.

        Corrections and landmarks are fractions of the crop's side.
        """
        x = self.trunk(x)
        points = self.landmarks(x).unflatten(1, (2, 5)).transpose(1, 2)  # five x, then five y -> five pairs
        return self.face(x).softmax(1)[:, 1], self.box(x), points


def load_networks() -> tuple[PNet, RNet, ONet]:
    """The trained networks, in evaluation mode, on the CPU.

    Raises:
        FacesmithError: the `mtcnn` package is missing, or a weight file has an unexpected hash.
    """
    networks = PNet(), RNet(), ONet()
    for network, name in zip(networks, SHA256, strict=True):
        _fill(network, _unpickle(mtcnn_weight_file(name), SHA256[name]))
        network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return networks


def mtcnn_weight_file(name: str) -> Path:
    """The weight file of `pnet`, `rnet` or `onet` in the installed `mtcnn` package."""
    spec = importlib.util.find_spec("mtcnn")
    if spec is None or not spec.submodule_search_locations:
        raise FacesmithError("The face detector's weights are missing. Run: pip install 'mtcnn>=1.0,<2'")
    return Path(spec.submodule_search_locations[0]) / "assets" / "weights" / f"{name}.lz4"


def _unpickle(path: Path, sha256: str) -> list[Any]:
    import joblib

    advice = "Run: pip install --force-reinstall --no-deps mtcnn==1.0.0"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FacesmithError(f"{path} can't be read ({error.strerror}). {advice}") from None
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise FacesmithError(f"{path} has sha256 {actual[:8]}…, expected {sha256[:8]}…; it was not opened. {advice}")
    arrays: list[Any] = joblib.load(io.BytesIO(content))  # type: ignore[no-untyped-call]
    return arrays


def _fill(network: nn.Module, arrays: list[Any]) -> None:
    """Copy arrays into the parameters. Both are in the order of the layers: kernel, bias, PReLU slopes."""
    for parameter, array in zip(network.parameters(), arrays, strict=True):
        values = torch.from_numpy(array)
        if values.ndim == 4:
            values = values.permute(3, 2, 0, 1)  # HWIO -> OIHW
        elif values.ndim == 2:
            values = values.T
        parameter.data.copy_(values.reshape(parameter.shape))

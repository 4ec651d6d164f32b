"""Faces -> embeddings that distinguish people: photos of one person are close, whatever the light and the expression.

The network is the one of dlib's face recognition, with its weights (public domain, CC0; see
`tools/convert_face_embedding.py`). Embeddings are biometric data: they stay in memory and are never written to a file.

Source: King 2017, "High quality face recognition with deep metric learning"; He et al. 2016, arXiv:1512.03385.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, max_pool2d, pad, relu

from facesmith.detection.align import Points, similarity
from facesmith.detection.detect import BLACK, Detector
from facesmith.errors import FacesmithError
from facesmith.io.progress import bar
from facesmith.pictures.images import Pixels, as_rgb, resize

WEIGHTS = Path(__file__).with_name("face_embedding.safetensors")
SHA256 = "f5bff9f4db4fcd3486a500cb54483fc738e40e1068b6655a72bbbd2e37bf19ea"
SCALE_SUFFIX = ".scale"
DIMS = 128
SIDE_PX = 150
MIN_SIDE_PX = 32  # in smaller pictures, people can't be distinguished
BATCH_SIZE = 32
# Where the five landmarks of MTCNN lie in the network's input, in pixels: the mean over photos that dlib aligned.
LANDMARKS_PX = np.array([(48.1, 45.9), (101.9, 45.9), (75.0, 76.3), (52.0, 105.5), (98.0, 105.5)])
DETECTION_SIDE_PX, MIN_FACE_PX, THRESHOLD = 64, 30, 0.5  # of the landmarks
MEAN_COLOR, SCALE = (122.782, 117.001, 104.298), 256.0
# Channels, number of blocks, and whether the first block halves the picture.
STAGES = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))


class FaceEmbedding(nn.Module):
    """A residual network with 29 convolutions, whose affine layers are part of the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, STAGES[0][0], 7, 2)
        blocks, c_in = [], STAGES[0][0]
        for c_out, count, halves in STAGES:
            for number in range(count):
                blocks.append(_Block(c_in, c_out, halves=halves and number == 0))
                c_in = c_out
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(c_in, DIMS, bias=False)

    def forward(self, faces: Tensor) -> Tensor:
        """Embeddings `[N, 128]` of aligned faces, float `[N, 3, 150, 150]`, 0 to 255."""
        x = (faces - faces.new_tensor(MEAN_COLOR).view(3, 1, 1)) / SCALE
        x = max_pool2d(relu(self.first(x)), 3, 2)
        embeddings: Tensor = self.last(self.blocks(x).mean((2, 3)))
        return embeddings


class _Block(nn.Module):
    """Two 3x3 convolutions and a shortcut. Like in dlib, the smaller of the two results is padded with zeros."""

    def __init__(self, c_in: int, c_out: int, *, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.first = nn.Conv2d(c_in, c_out, 3, 2 if halves else 1, 0 if halves else 1)
        self.second = nn.Conv2d(c_out, c_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(relu(self.first(x)))
        if self.halves:
            x = avg_pool2d(x, 2)
            shape = [max(sizes) for sizes in zip(x.shape[1:], y.shape[1:], strict=True)]
            x, y = _padded(x, shape), _padded(y, shape)
        return relu(x + y)


def _padded(x: Tensor, shape: list[int]) -> Tensor:
    channels, height, width = (size - old for size, old in zip(shape, x.shape[1:], strict=True))
    return pad(x, (0, width, 0, height, 0, channels))


def load_face_embedding() -> FaceEmbedding:
    """The trained network, in evaluation mode, on the CPU.

    Raises:
        FacesmithError: the file with its weights is missing or damaged.
    """
    try:
        content = WEIGHTS.read_bytes()
    except OSError as error:
        raise FacesmithError(f"{WEIGHTS} can't be read ({error.strerror}). Install facesmith again.") from None
    actual = hashlib.sha256(content).hexdigest()
    if actual != SHA256:
        raise FacesmithError(f"{WEIGHTS} has sha256 {actual[:8]}…, expected {SHA256[:8]}…. Install facesmith again.")
    network = FaceEmbedding()
    try:
        network.load_state_dict(unpacked(load(content)))
    except (SafetensorError, RuntimeError) as error:
        raise AssertionError(f"{WEIGHTS} does not fit the network") from error
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def packed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as the file has them: a matrix or kernel as int8 with a scale per output channel, the rest as float32.

    This makes the file a quarter as large.
    """
    tensors = {}
    for name, tensor in weights.items():
        if tensor.ndim == 1:
            tensors[name] = tensor.float().contiguous()
            continue
        scale = tensor.flatten(1).abs().amax(1).clamp_min(1e-12) / 127
        tensors[name + SCALE_SUFFIX] = scale
        tensors[name] = (tensor / _along_first(scale, tensor)).round().to(torch.int8).contiguous()
    return tensors


def unpacked(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The float32 weights of `packed`, nearly."""
    return {
        name: tensor.float() * _along_first(tensors[name + SCALE_SUFFIX], tensor) if tensor.ndim > 1 else tensor
        for name, tensor in tensors.items()
        if not name.endswith(SCALE_SUFFIX)
    }


def _along_first(scale: Tensor, tensor: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (tensor.ndim - 1))


@torch.inference_mode()
def embed_faces(
    network: FaceEmbedding, pixels: Pixels, rows: NDArray[np.int64], description: str, console: Console
) -> NDArray[np.float32]:
    """Embeddings `[M, 128]` of some rows of the faces uint8 `[N, S, S, C]`. Distances are Euclidean.

    Faces are aligned by their landmarks. A face without landmarks is aligned by the mean landmarks of its batch.

    Args:
        description: of the faces, for the progress bar.
    """
    detector = Detector(MIN_FACE_PX, THRESHOLD, BLACK)
    embeddings = np.empty((len(rows), DIMS), np.float32)
    starts = range(0, len(rows), BATCH_SIZE)
    for start in bar(starts, len(starts), f"recognizing people on {description}, {BATCH_SIZE} at a time", console):
        faces = as_rgb(np.asarray(pixels[rows[start : start + BATCH_SIZE]]))
        aligned = _aligned(faces, _landmarks(faces, detector))
        embeddings[start : start + len(faces)] = network(aligned.contiguous(memory_format=torch.channels_last))
    return embeddings


def _landmarks(faces: Pixels, detector: Detector) -> list[Points]:
    """The five landmarks of each of the faces uint8 `[n, S, S, 3]`, as fractions of the side."""
    small = [resize(face, DETECTION_SIDE_PX) for face in faces]
    found = [each.landmarks[0] / DETECTION_SIDE_PX if len(each) else None for each in detector.detect(small)]
    known = [points for points in found if points is not None]
    mean = np.mean(known, axis=0) if known else LANDMARKS_PX / SIDE_PX
    return [mean if points is None else points for points in found]


def _aligned(faces: Pixels, landmarks: list[Points]) -> Tensor:
    """The network's input, float `[n, 3, 150, 150]`, of faces uint8 `[n, S, S, 3]`."""
    # grid_sample needs, for each pixel of the input, its place in the face; both sides reach from -1 to 1.
    targets = LANDMARKS_PX / SIDE_PX * 2 - 1
    matrices = np.stack([similarity(targets, points * 2 - 1) for points in landmarks])
    pictures = torch.from_numpy(np.ascontiguousarray(faces)).permute(0, 3, 1, 2).float()
    theta = torch.from_numpy(matrices).float()
    grid = affine_grid(theta, [len(pictures), 3, SIDE_PX, SIDE_PX], align_corners=False)
    return grid_sample(pictures, grid, padding_mode="border", align_corners=False)

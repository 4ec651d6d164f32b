"""Tensors as bytes for a page, and what their rounding changes.

Vectors are float32. In other tensors each row, the part with the same first index, has a scale and integers of 24 bits.
That is three quarters of the size of float32. Rounding changes a gray level by a ten-thousandth or so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

BITS = 24
LARGEST = 2 ** (BITS - 1) - 1


@dataclass
class Constants:
    """The tensors of a page.

    Attributes:
        content: their bytes, one after another, little-endian.
        tensors: `shape`, `kind` ("float" or "integer") and first byte of each.
    """

    content: bytearray = field(default_factory=bytearray)
    tensors: list[dict[str, Any]] = field(default_factory=list)

    def add(self, tensor: Tensor) -> int:
        """Append a tensor and return its number."""
        kind = "float" if tensor.ndim < 2 else "integer"
        self.tensors.append({"shape": list(tensor.shape), "kind": kind, "first": len(self.content)})
        if kind == "float":
            self.content += _float_bytes(tensor)
        else:
            scales, integers = _integers(tensor)
            self.content += _float_bytes(scales) + _three_bytes(integers)
        return len(self.tensors) - 1

    def add_floats(self, tensor: Tensor) -> int:
        """Append a tensor of any shape as float32, without rounding, and return its number."""
        self.tensors.append({"shape": list(tensor.shape), "kind": "float", "first": len(self.content)})
        self.content += _float_bytes(tensor)
        return len(self.tensors) - 1


def rounded(tensor: Tensor) -> Tensor:
    """The tensor as a page restores it."""
    if tensor.ndim < 2:
        return tensor
    scales, integers = _integers(tensor)
    return (scales.double()[:, None] * integers).float().reshape(tensor.shape)


def _integers(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Scales `[rows]` and integers `[rows, numbers per row]`."""
    rows = tensor.detach().flatten(1).double()
    scales = (rows.abs().amax(1) / LARGEST).clamp_min(1e-30).float()
    return scales, (rows / scales.double()[:, None]).round().clamp(-LARGEST, LARGEST)


def _float_bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().numpy().astype("<f4").tobytes()


def _three_bytes(integers: Tensor) -> bytes:
    numbers = (integers.to(torch.int64).cpu().numpy().reshape(-1) + (LARGEST + 1)).astype("<u4")
    return np.ascontiguousarray(numbers.view(np.uint8).reshape(-1, 4)[:, :3]).tobytes()

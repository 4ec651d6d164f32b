"""A network as a list of simple steps, which a web page can compute: the format, and a reference in PyTorch.

Each step computes one value from earlier ones. Values are numbered: first the inputs, then the result of each step. The
last value is the result. A value is a vector `[N, C]` or a stack of maps `[N, C, H, W]`.

| step | computes | tensors | options |
|---|---|---|---|
| linear | `x @ weight.T + bias`, of all numbers of x | weight `[out, in]`, bias | |
| maps | the numbers of x as maps | | channels, height, width |
| conv | a convolution of stride 1 | weight `[out, in, k, k]`, bias | padding |
| up_conv | nearest-neighbor upsampling by 2, then a 5x5 convolution of padding 2 | weight `[out, in, 5, 5]`, bias | |
| transposed | a transposed 4x4 convolution of stride 2 and padding 1 | weight `[in, out, 4, 4]`, bias | |
| affine | `x * scale + shift` per channel | scale, shift `[C]` | |
| modulate | the same with the second value, `[N, 2 C]`, as scale and shift | | |
| add | the sum of two values | | |
| scaled | `x * times + plus` | | times, plus |
| concat | two vectors, one after the other | | |
| relu | `max(x, slope * x)` | | slope |
| elu, tanh, sigmoid | the functions of these names | | |
| upsample | nearest-neighbor upsampling | | times |
| pixel_norm | each pixel, or vector, scaled to a mean square of 1 | | |
| blur | a 3x3 binomial filter with replicated borders | | |
| crop | a square part | | first, side |

A bias may be missing. `page/program.js` computes the same in the browser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from facesmith.nets.layers import Blur, PixelNorm, UpConv2d


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        op: its name in the table above.
        inputs: numbers of the values that it computes from.
        tensors: constants, in the order of the table; None for a bias that is missing.
        options: numbers by name.
    """

    op: str
    inputs: tuple[int, ...]
    tensors: tuple[Tensor | None, ...] = ()
    options: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """A network with `input_count` inputs. Without steps, the result is the last input."""

    input_count: int
    steps: tuple[Step, ...]

    def with_tensors(self, change: Callable[[Tensor], Tensor]) -> Program:
        """The program with other constants."""
        steps = [
            replace(step, tensors=tuple(None if each is None else change(each) for each in step.tensors))
            for step in self.steps
        ]
        return Program(self.input_count, tuple(steps))


@torch.inference_mode()
def run(program: Program, *inputs: Tensor) -> Tensor:
    """The result of a program for inputs `[N, ...]`."""
    assert len(inputs) == program.input_count
    values = list(inputs)
    for step in program.steps:
        chosen = [values[number] for number in step.inputs]
        values.append(OPS[step.op](step.options, chosen, step.tensors))
    return values[-1]


Op = Callable[[Mapping[str, Any], Sequence[Any], Sequence[Any]], Tensor]  # options, values, tensors -> result


def _per_channel(vector: Tensor, x: Tensor) -> Tensor:
    return vector.reshape(*vector.shape, *[1] * (x.ndim - 2))


def _modulate(o: Mapping[str, Any], v: Sequence[Tensor], t: Sequence[Tensor]) -> Tensor:
    scale, shift = v[1].chunk(2, 1)
    return v[0] * _per_channel(scale, v[0]) + _per_channel(shift, v[0])


def _up_conv(o: Mapping[str, Any], v: Sequence[Tensor], t: Sequence[Tensor]) -> Tensor:
    layer = UpConv2d(1, 1)
    layer.weight, layer.bias = (torch.nn.Parameter(each, requires_grad=False) for each in t)
    result: Tensor = layer(v[0])
    return result


OPS: Mapping[str, Op] = MappingProxyType({
    "linear": lambda o, v, t: F.linear(v[0].flatten(1), t[0], t[1]),
    "maps": lambda o, v, t: v[0].reshape(len(v[0]), o["channels"], o["height"], o["width"]),
    "conv": lambda o, v, t: F.conv2d(v[0], t[0], t[1], padding=o["padding"]),
    "up_conv": _up_conv,
    "transposed": lambda o, v, t: F.conv_transpose2d(v[0], t[0], t[1], 2, 1),
    "affine": lambda o, v, t: v[0] * _per_channel(t[0], v[0]) + _per_channel(t[1], v[0]),
    "modulate": _modulate,
    "add": lambda o, v, t: v[0] + v[1],
    "scaled": lambda o, v, t: v[0] * o["times"] + o["plus"],
    "concat": lambda o, v, t: torch.cat([v[0], v[1]], 1),
    "relu": lambda o, v, t: F.leaky_relu(v[0], o["slope"]),
    "elu": lambda o, v, t: F.elu(v[0]),
    "tanh": lambda o, v, t: v[0].tanh(),
    "sigmoid": lambda o, v, t: v[0].sigmoid(),
    "upsample": lambda o, v, t: F.interpolate(v[0], scale_factor=o["times"]),
    "pixel_norm": lambda o, v, t: PixelNorm()(v[0]),
    "blur": lambda o, v, t: Blur()(v[0]),
    "crop": lambda o, v, t: v[0][..., o["first"] : o["first"] + o["side"], o["first"] : o["first"] + o["side"]],
})  # fmt: skip

"""Trace a generator's mapping and synthesis as programs.

torch.fx records which layers and functions the networks call. Each becomes one or a few steps; what has no step is
refused in one line.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import singledispatch
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from facesmith.errors import BadModel
from facesmith.export.webpage.program import Program, Step
from facesmith.gan.contracts import Generator
from facesmith.nets.layers import Blur, EqualizedLR, PixelNorm, SmoothConv2d, UpConv2d
from facesmith.nets.modulated import ModulatedBatchNorm2d

Node = Any  # an fx.Node, whose arguments have no useful types
LEAVES = (UpConv2d, SmoothConv2d, Blur, EqualizedLR, PixelNorm, ModulatedBatchNorm2d)


class Unsupported(Exception):
    """A part of a network that has no step. The text names it."""


@dataclass
class _Trace:
    """The steps so far.

    Attributes:
        value: number of the value of each node.
    """

    input_count: int
    steps: list[Step] = field(default_factory=list)
    value: dict[Node, int] = field(default_factory=dict)

    def add(self, op: str, *inputs: int, tensors: tuple[Tensor | None, ...] = (), **options: float) -> int:
        """Append a step and return the number of its value."""
        constants = tuple(None if each is None else each.detach().float().contiguous() for each in tensors)
        self.steps.append(Step(op, inputs, constants, options))
        return self.input_count + len(self.steps) - 1


def trace_mapping(G: Generator) -> Program:
    """The program of `G.mapping`. Its inputs are z `[N, z_dim]` and, if G is conditional, labels `[N, label_dim]`.

    Raises:
        BadModel: the mapping uses something that a web page can't compute.
    """
    inputs = [torch.zeros(2, G.z_dim), *([torch.zeros(2, G.label_dim)] if G.label_dim else [])]
    return _trace(G, "mapping", inputs)


def trace_synthesis(G: Generator) -> Program:
    """The program of `G.synthesis`. Its input is w `[N, w_dim]`.

    Raises:
        BadModel: the networks use something that a web page can't compute.
    """
    return _trace(G, "synthesis", [torch.zeros(2, G.w_dim)])


def _trace(G: Generator, method: str, inputs: list[Tensor]) -> Program:
    G = copy.deepcopy(G).eval().cpu().float()
    name = f"{type(G).__module__.rpartition('.')[2]}.{type(G).__name__}.{method}"
    try:
        module = fx.GraphModule(G, _Tracer(method).trace(G, {"labels": None} if len(inputs) == 1 else {}))
        with torch.no_grad():
            ShapeProp(module).propagate(*inputs)
        return _program(module, len(inputs))
    except Unsupported as error:
        raise BadModel(f"A web page can't draw this recipe's faces: {error} has no counterpart in it.") from None
    except (fx.proxy.TraceError, TypeError, RuntimeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:150]
        raise BadModel(f"A web page can't draw this recipe's faces: {name} can't be traced ({reason}).") from None


class _Tracer(fx.Tracer):
    """Records a method of a generator. Layers that have a step of their own are not looked into."""

    def __init__(self, method: str) -> None:
        from facesmith.nets import layers

        super().__init__(autowrap_functions=(layers.single_w,))
        self.traced_func_name = method

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LEAVES) or super().is_leaf_module(m, module_qualified_name)


def _program(module: fx.GraphModule, input_count: int) -> Program:
    trace = _Trace(input_count)
    result = input_count - 1
    inputs = iter(range(input_count))
    for node in module.graph.nodes:
        if node.op == "placeholder":
            number = next(inputs, None)
            if number is not None:
                trace.value[node] = number
        elif node.op == "output":
            result = trace.value[node.args[0]]
        elif not node.users:
            continue  # its result is not used
        elif node.op == "call_module":
            numbers = [trace.value[each] for each in node.args]
            trace.value[node] = _layer(module.get_submodule(node.target), trace, node, numbers)
        elif node.op in ("call_function", "call_method"):
            trace.value[node] = _call(module, trace, node)
    if result != input_count + len(trace.steps) - 1:
        raise Unsupported("a result that is not computed last")
    return Program(input_count, tuple(trace.steps))


def _shape(node: Any) -> tuple[int, ...]:
    return tuple(node.meta["tensor_meta"].shape)


# Layers: (layer, trace, node, numbers of its inputs) -> number of its result.


@singledispatch
def _layer(layer: nn.Module, trace: _Trace, node: Node, x: list[int]) -> int:
    raise Unsupported(f"the layer {type(layer).__name__}")


@_layer.register(nn.Identity)
@_layer.register(nn.Dropout)
@_layer.register(nn.Dropout2d)
def _unchanged(layer: nn.Module, trace: _Trace, node: Node, x: list[int]) -> int:
    return x[0]


@_layer.register
def _linear(layer: nn.Linear, trace: _Trace, node: Node, x: list[int]) -> int:
    if len(_shape(node)) != 2:
        raise Unsupported("a linear layer on maps")
    return trace.add("linear", *x, tensors=(layer.weight, layer.bias))


@_layer.register(nn.Unflatten)
@_layer.register(nn.Flatten)
def _reshaped(layer: nn.Module, trace: _Trace, node: Node, x: list[int]) -> int:
    return _as_shape(trace, node, x[0])


@_layer.register
def _conv(layer: nn.Conv2d, trace: _Trace, node: Node, x: list[int]) -> int:
    size, padding = layer.kernel_size[0], layer.padding[0]
    plain = layer.stride == layer.dilation == (1, 1) and layer.groups == 1 and layer.padding_mode == "zeros"
    square = layer.kernel_size == (size, size) and layer.padding == (padding, padding)
    if not plain or not square or not isinstance(padding, int) or padding >= size:
        raise Unsupported(f"the layer {layer}")
    return trace.add("conv", *x, tensors=(layer.weight, layer.bias), padding=padding)


@_layer.register
def _smooth_conv(layer: SmoothConv2d, trace: _Trace, node: Node, x: list[int]) -> int:
    identity = torch.zeros(layer.in_channels, layer.in_channels, 9, 9)
    identity[range(layer.in_channels), range(layer.in_channels), 4, 4] = 1
    # The response to a single pixel is the kernel that the layer computes with, mirrored.
    kernel = (layer(identity) - (0 if layer.bias is None else layer.bias[:, None, None]))[:, :, 2:7, 2:7]
    return trace.add("conv", *x, tensors=(kernel.transpose(0, 1).flip(2, 3), layer.bias), padding=2)


@_layer.register
def _transposed(layer: nn.ConvTranspose2d, trace: _Trace, node: Node, x: list[int]) -> int:
    size, padding = layer.kernel_size[0], int(layer.padding[0])
    plain = layer.dilation == (1, 1) and layer.groups == 1 and layer.output_padding == (0, 0)
    if not plain or layer.kernel_size != (size, size) or layer.padding != (padding, padding):
        raise Unsupported(f"the layer {layer}")
    if layer.stride == (2, 2) and (size, padding) == (4, 1):
        return trace.add("transposed", *x, tensors=(layer.weight, layer.bias))
    if layer.stride != (1, 1):
        raise Unsupported(f"the layer {layer}")
    if _shape(node.args[0])[2:] == (1, 1) and padding == 0:  # of one pixel: each output is a sum over channels
        weight = layer.weight.permute(1, 2, 3, 0).reshape(-1, layer.in_channels)
        bias = None if layer.bias is None else layer.bias.repeat_interleave(size * size)
        return _as_shape(trace, node, trace.add("linear", *x, tensors=(weight, bias)))
    mirrored = layer.weight.transpose(0, 1).flip(2, 3)
    return trace.add("conv", *x, tensors=(mirrored, layer.bias), padding=size - 1 - padding)


@_layer.register
def _up_conv(layer: UpConv2d, trace: _Trace, node: Node, x: list[int]) -> int:
    return trace.add("up_conv", *x, tensors=(layer.weight, layer.bias))


@_layer.register(nn.BatchNorm1d)
@_layer.register(nn.BatchNorm2d)
def _batch_norm(layer: nn.BatchNorm2d, trace: _Trace, node: Node, x: list[int]) -> int:
    return trace.add("affine", *x, tensors=_scale_and_shift(layer))


@_layer.register
def _modulated_batch_norm(layer: ModulatedBatchNorm2d, trace: _Trace, node: Node, x: list[int]) -> int:
    scale, shift = _scale_and_shift(layer)
    (w_scale, w_shift), (b_scale, b_shift) = layer.by.weight.chunk(2), layer.by.bias.chunk(2)
    # (scale * x + shift) * (1 + s(w)) + t(w), as one scale and one shift that are linear in w
    weight = torch.cat([scale[:, None] * w_scale, shift[:, None] * w_scale + w_shift])
    bias = torch.cat([scale * (1 + b_scale), shift * (1 + b_scale) + b_shift])
    return trace.add("modulate", x[0], trace.add("linear", x[1], tensors=(weight, bias)))


def _scale_and_shift(layer: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    if layer.running_mean is None or layer.running_var is None:
        raise Unsupported(f"the layer {layer}")
    scale = (layer.running_var.double() + layer.eps).rsqrt()
    shift = -layer.running_mean.double() * scale
    if layer.affine:
        scale, shift = scale * layer.weight.double(), shift * layer.weight.double() + layer.bias.double()
    return scale.float(), shift.float()


@_layer.register
def _equalized(layer: EqualizedLR, trace: _Trace, node: Node, x: list[int]) -> int:
    weight = layer.weight * layer.scale
    if layer.padding is None:
        return trace.add("linear", *x, tensors=(weight, layer.bias))
    return trace.add("conv", *x, tensors=(weight, layer.bias), padding=layer.padding)


@_layer.register
def _relu(layer: nn.ReLU, trace: _Trace, node: Node, x: list[int]) -> int:
    return trace.add("relu", *x, slope=0)


@_layer.register
def _leaky_relu(layer: nn.LeakyReLU, trace: _Trace, node: Node, x: list[int]) -> int:
    return trace.add("relu", *x, slope=layer.negative_slope)


@_layer.register
def _elu(layer: nn.ELU, trace: _Trace, node: Node, x: list[int]) -> int:
    if layer.alpha != 1:
        raise Unsupported(f"the layer {layer}")
    return trace.add("elu", *x)


@_layer.register
def _tanh(layer: nn.Tanh, trace: _Trace, node: Node, x: list[int]) -> int:
    return trace.add("tanh", *x)


@_layer.register
def _sigmoid(layer: nn.Sigmoid, trace: _Trace, node: Node, x: list[int]) -> int:
    return trace.add("sigmoid", *x)


@_layer.register
def _upsample(layer: nn.Upsample, trace: _Trace, node: Node, x: list[int]) -> int:
    return _upsampled(trace, layer.mode, layer.scale_factor, x[0])


@_layer.register
def _pixel_norm(layer: PixelNorm, trace: _Trace, node: Node, x: list[int]) -> int:
    return trace.add("pixel_norm", *x)


@_layer.register
def _blur(layer: Blur, trace: _Trace, node: Node, x: list[int]) -> int:
    return trace.add("blur", *x)


# Functions and methods: (module, trace, node) -> number of the result.


def _call(module: fx.GraphModule, trace: _Trace, node: Node) -> int:
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    handler = CALLS.get(str(name))
    if handler is None:
        raise Unsupported(f"the function {name}")
    return handler(module, trace, node)


def _constant(module: fx.GraphModule, argument: Any) -> Tensor | None:
    """The tensor of a `get_attr` node; None for any other argument."""
    if not (isinstance(argument, fx.Node) and argument.op == "get_attr"):
        return None
    value = module
    for part in str(argument.target).split("."):
        value = getattr(value, part)
    return value if isinstance(value, Tensor) else None


def _as_shape(trace: _Trace, node: Node, x: int) -> int:
    shape = _shape(node)
    if len(shape) == 2:
        return trace.add("maps", x, channels=shape[1], height=1, width=1)
    if len(shape) != 4:
        raise Unsupported(f"a tensor of shape {list(shape)}")
    return trace.add("maps", x, channels=shape[1], height=shape[2], width=shape[3])


def _upsampled(trace: _Trace, mode: str, factor: Any, x: int) -> int:
    times = int(factor[0] if isinstance(factor, tuple) else factor or 0)
    if mode != "nearest" or times < 1 or factor not in (times, (times, times)):
        raise Unsupported(f"upsampling by {factor} with mode {mode}")
    return trace.add("upsample", x, times=times)


def _sum(module: fx.GraphModule, trace: _Trace, node: Node, sign: int = 1) -> int:
    """`a + b` or, with sign -1, `a - b`, of values, numbers and constant vectors."""
    left, right = node.args
    if isinstance(right, int | float):
        return trace.add("scaled", trace.value[left], times=1, plus=sign * right)
    if isinstance(left, int | float):
        return trace.add("scaled", trace.value[right], times=sign, plus=left)
    for each, constant, times in ((left, _constant(module, right), sign), (right, _constant(module, left), 1)):
        if constant is not None:
            of_each = 1 if each is left else sign
            scale = torch.full(_shape(each)[1:2], float(of_each))
            return trace.add("affine", trace.value[each], tensors=(scale, times * constant.expand(scale.shape)))
    minuend, subtrahend = trace.value[left], trace.value[right]
    if sign < 0:
        subtrahend = trace.add("scaled", subtrahend, times=-1, plus=0)
    return trace.add("add", minuend, subtrahend)


def _difference(module: fx.GraphModule, trace: _Trace, node: Node) -> int:
    return _sum(module, trace, node, -1)


def _scaled(module: fx.GraphModule, trace: _Trace, node: Node) -> int:
    left, right = node.args
    number, value = (left, right) if isinstance(left, int | float) else (right, left)
    if not isinstance(number, int | float):
        raise Unsupported("a product of two tensors")
    return trace.add("scaled", trace.value[value], times=number, plus=0)


def _divided(module: fx.GraphModule, trace: _Trace, node: Node) -> int:
    value, number = node.args
    if not isinstance(number, int | float):
        raise Unsupported("a quotient of two tensors")
    return trace.add("scaled", trace.value[value], times=1 / number, plus=0)


def _matrix_product(module: fx.GraphModule, trace: _Trace, node: Node) -> int:
    matrix = _constant(module, node.args[1])
    if matrix is None:
        raise Unsupported("a product of two tensors")
    return trace.add("linear", trace.value[node.args[0]], tensors=(matrix.T, None))


def _item(module: fx.GraphModule, trace: _Trace, node: Node) -> int:
    """`w[:, :, None, None]`, or the square middle of images `x[..., a:b, a:b]`."""
    value, index = node.args
    if index == (slice(None), slice(None), None, None):
        return _as_shape(trace, node, trace.value[value])
    parts = index if isinstance(index, tuple) else ()
    height, side = _shape(value)[-1], _shape(node)[-1]
    middle = parts[-1] if parts and isinstance(parts[-1], slice) else slice(None)
    if parts != (..., middle, middle) or middle.step is not None or _shape(value)[-2] != height:
        raise Unsupported("indexing")
    return trace.add("crop", trace.value[value], first=middle.indices(height)[0], side=side)


def _concatenated(module: fx.GraphModule, trace: _Trace, node: Node) -> int:
    parts, dim = node.args[0], node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    if dim not in (1, -1) or len(parts) != 2 or any(len(_shape(each)) != 2 for each in parts):
        raise Unsupported("concatenation of maps")
    return trace.add("concat", *(trace.value[each] for each in parts))


def _lerp(module: fx.GraphModule, trace: _Trace, node: Node) -> int:
    start, end, share = node.args
    if not isinstance(share, int | float):
        raise Unsupported("the function lerp with a tensor")
    first = trace.add("scaled", trace.value[start], times=1 - share, plus=0)
    return trace.add("add", first, trace.add("scaled", trace.value[end], times=share, plus=0))


def _activation(op: str) -> Callable[[fx.GraphModule, _Trace, Node], int]:
    return lambda module, trace, node: trace.add(op, trace.value[node.args[0]])


def _leaky(module: fx.GraphModule, trace: _Trace, node: Node) -> int:
    slope = node.args[1] if len(node.args) > 1 else node.kwargs.get("negative_slope", 0.01)
    return trace.add("relu", trace.value[node.args[0]], slope=slope)


def _rectified(module: fx.GraphModule, trace: _Trace, node: Node) -> int:
    return trace.add("relu", trace.value[node.args[0]], slope=0)


def _interpolated(module: fx.GraphModule, trace: _Trace, node: Node) -> int:
    mode, factor = node.kwargs.get("mode", "nearest"), node.kwargs.get("scale_factor")
    return _upsampled(trace, mode, factor, trace.value[node.args[0]])


def _same(module: fx.GraphModule, trace: _Trace, node: Node) -> int:
    return trace.value[node.args[0]]


def _reshaped_call(module: fx.GraphModule, trace: _Trace, node: Node) -> int:
    return _as_shape(trace, node, trace.value[node.args[0]])


CALLS: Mapping[str, Callable[[fx.GraphModule, _Trace, Node], int]] = MappingProxyType({
    "add": _sum, "sub": _difference, "mul": _scaled, "truediv": _divided, "matmul": _matrix_product, "getitem": _item,
    "cat": _concatenated, "lerp": _lerp, "relu": _rectified, "leaky_relu": _leaky, "elu": _activation("elu"),
    "tanh": _activation("tanh"), "sigmoid": _activation("sigmoid"), "interpolate": _interpolated, "single_w": _same,
    "float": _same, "contiguous": _same, "view": _reshaped_call, "reshape": _reshaped_call, "flatten": _reshaped_call,
})  # fmt: skip

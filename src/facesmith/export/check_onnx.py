"""Check an ONNX file before onnxruntime opens it. Doesn't import torch, and runs nothing of the file.

Every tensor's shape is inferred first. A file that would need too much memory, loops, or contradicts its own metadata
is refused in one line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from facesmith.errors import BadModel
from facesmith.export.onnx_format import INPUTS, METADATA_KEY, ONNX_FORMAT, OUTPUTS, Metadata, missing_extra
from facesmith.export.seeded_noise import DRAWS
from facesmith.io.json_files import parse_json
from facesmith.io.memory import require_memory
from facesmith.io.messages import one_line, shorten
from facesmith.io.seeds import BATCH_SIZE

MAX_NODES = 10_000
MAX_VALUES = 2**27  # of one tensor at the batch size: 512 MiB
MAX_TOTAL_VALUES = 2**32  # of all tensors, which are not in memory at the same time
SIZE_LIMITS = {"resolution": 4096, "channels": 4, "z_dim": 2**14, "w_dim": 2**14, "num_ws": 64}
GRAPH_COPIES = 4  # of the file: its content, the graph, and the session's weights, in two layouts
FLOAT_BYTES = 4
MAX_NAME = 200
SHA256 = re.compile("[0-9a-f]{64}")


def check_onnx(content: bytes, name: str) -> Metadata:
    """Return the metadata of an exported file, after checking it and the graph.

    Args:
        content: the file.
        name: the file's name for messages.

    Raises:
        MissingExtra: onnx is not installed.
        BadModel: the file is damaged, not ours, of another format, or unsafe to run.
    """
    try:
        import onnx
    except ImportError as error:
        raise missing_extra(error) from None
    try:
        proto = onnx.load_from_string(content)
    except Exception as error:  # noqa: BLE001 - protobuf's errors have no common base class
        raise BadModel(f"{name} can't be opened as ONNX ({one_line(str(error), 120)}). Is the file complete?") from None
    metadata = _metadata(proto, name)
    _check_nodes(proto, name)
    shapes = _shapes(proto, metadata, name)
    for tensor, shape in shapes.items():
        if shape is None:
            raise BadModel(f"{name}: the size of tensor {shorten(tensor)!r} can't be determined, so it is not run.")
        if math.prod(shape) > MAX_VALUES:
            raise BadModel(f"{name}: tensor {shorten(tensor)!r} has shape {list(shape)}, which needs too much memory.")
    if sum(math.prod(shape) for shape in shapes.values() if shape is not None) > MAX_TOTAL_VALUES:
        raise BadModel(f"{name} computes too much to be a model that Facesmith exported.")
    needed = GRAPH_COPIES * len(content) + FLOAT_BYTES * _peak_live_values(proto.graph, shapes)
    require_memory(needed, f"Drawing with {name}", "Free some memory.")
    return metadata


def _peak_live_values(graph: Any, shapes: Mapping[str, tuple[int, ...] | None]) -> int:
    """The highest number of values that are needed at the same time while the graph runs, without its weights."""
    size = {name: math.prod(shapes.get(name) or ()) for node in graph.node for name in node.output}
    last_use = {name: i for i, node in enumerate(graph.node) for name in (*node.output, *node.input)}
    live = peak = 0
    for i, node in enumerate(graph.node):
        live += sum(size[name] for name in node.output)
        peak = max(peak, live)
        live -= sum(size.get(name, 0) for name in {*node.input, *node.output} if last_use[name] == i)
    return peak


def _metadata(proto: Any, name: str) -> Metadata:
    not_ours = BadModel(f"{name} is not a Facesmith model. Expected a file that facesmith export wrote.")
    try:
        metadata: Metadata = parse_json({entry.key: entry.value for entry in proto.metadata_props}[METADATA_KEY])
        if metadata["format"] != ONNX_FORMAT:
            found = shorten(repr(metadata["format"]), 40)
            raise BadModel(f"{name} has format {found}; this version reads {ONNX_FORMAT}. Update facesmith.")
        valid = all(type(metadata[key]) is int and 0 < metadata[key] <= SIZE_LIMITS[key] for key in SIZE_LIMITS)  # type: ignore[literal-required]
        texts = (metadata["header"]["recipe"], metadata["license"])
        valid = valid and isinstance(metadata["header"], dict) and all(isinstance(text, str) for text in texts)
        valid = valid and len(texts[0]) <= MAX_NAME and SHA256.fullmatch(metadata["model"]) is not None
        valid = valid and metadata.get("z", "normal") in DRAWS
    except (KeyError, ValueError, TypeError, AttributeError):
        raise not_ours from None
    names = [[each.name for each in values] for values in (proto.graph.input, proto.graph.output)]
    if not valid or names != [list(INPUTS), list(OUTPUTS)]:
        raise not_ours
    return metadata


def _check_nodes(proto: Any, name: str) -> None:
    """Refuse loops, branches, functions, operators of other domains and tensors in other files: exports have none."""
    from onnx.external_data_helper import uses_external_data

    if len(proto.graph.node) > MAX_NODES or proto.functions or proto.graph.sparse_initializer:
        raise BadModel(f"{name} has a structure that no file of facesmith export has. It is not run.")
    for node in proto.graph.node:
        has_subgraph = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
        if has_subgraph or node.domain not in ("", "ai.onnx"):
            raise BadModel(f"{name} uses {shorten(node.op_type)!r}, which no file of facesmith export does.")
    attributes = [attribute for node in proto.graph.node for attribute in node.attribute]
    if any(attribute.HasField("sparse_tensor") or attribute.sparse_tensors for attribute in attributes):
        raise BadModel(f"{name} has sparse tensors, which no file of facesmith export has. It is not run.")
    tensors = [tensor for attribute in attributes for tensor in (attribute.t, *attribute.tensors)]
    if any(uses_external_data(tensor) for tensor in (*proto.graph.initializer, *tensors)):
        raise BadModel(f"{name} refers to another file, which no file of facesmith export does. It is not run.")


def _shapes(proto: Any, metadata: Metadata, name: str) -> dict[str, tuple[int, ...] | None]:
    """The shape of every tensor at the batch size, by name; None where it depends on values.

    The metadata give the shapes of inputs and outputs, so inference fails where they contradict the graph.
    """
    import onnx

    n, side, width = BATCH_SIZE, metadata["resolution"], metadata["w_dim"]
    w_shape = [width] if metadata["num_ws"] == 1 else [metadata["num_ws"], width]
    ends = {
        "z": [n, metadata["z_dim"]], "w": [n, *w_shape], "psi": [],
        "images": [2 * n, metadata["channels"], side, side], "latents": [2 * n, *w_shape],
    }  # fmt: skip
    float32 = onnx.TensorProto.FLOAT
    for values in (proto.graph.input, proto.graph.output):
        if any(value.type.tensor_type.elem_type != float32 for value in values):
            raise BadModel(f"{name}: its inputs or outputs are not float32 tensors, unlike in exported files.")
        described = [onnx.helper.make_tensor_value_info(value.name, float32, ends[value.name]) for value in values]
        del values[:]
        values.extend(described)
    del proto.graph.value_info[:]  # these may be wrong, so they are inferred again
    try:
        onnx.checker.check_model(proto)
        proto = onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:  # noqa: BLE001 - onnx's errors have no common base class
        raise BadModel(f"{name}: its graph is invalid or contradicts its metadata ({_reason(error)}).") from None
    inferred = {value.name: value for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output)}
    constants = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
    names = {output: None for node in proto.graph.node for output in node.output if output}
    return constants | {key: _static(inferred.get(key)) for key in (*names, *INPUTS, *OUTPUTS)}


def _static(value: Any) -> tuple[int, ...] | None:
    if value is None or not value.type.tensor_type.HasField("shape"):
        return None
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value for dim in dims) if all(dim.HasField("dim_value") for dim in dims) else None


def _reason(error: Exception) -> str:
    return one_line(str(error), 150)

"""Which columns of a Parquet file are pictures, which are labels, and how labels become text."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, Any

from facesmith.io.file_kinds import HEAD_BYTES, kind_of_content

if TYPE_CHECKING:
    from pyarrow import Array, DataType, Schema
    from pyarrow.parquet import ParquetFile

Conversions = dict[str, Callable[[Any], str]]  # of values to text, by the path of their column
MAX_LABEL_BYTES = 2**27  # of a column: longer texts are not labels
SNIFFED_ROWS = 4  # of a binary column, to see whether it has pictures


def chunk_sizes(file: ParquetFile) -> dict[str, list[int]]:
    """The unpacked bytes of each column in each row group, as the file states them."""
    groups = file.metadata.num_row_groups
    sizes: dict[str, list[int]] = defaultdict(lambda: [0] * groups)
    for group in range(groups):
        row_group = file.metadata.row_group(group)
        for i in range(row_group.num_columns):
            chunk = row_group.column(i)
            sizes[chunk.path_in_schema][group] += max(0, chunk.total_uncompressed_size)
    return sizes


def dataset_features(schema: Schema) -> dict[str, Any]:
    """The types of a Hugging Face dataset by column, such as the names of classes; empty for other files."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def picture_columns(file: ParquetFile, schema: Schema, features: dict[str, Any]) -> dict[str, str]:
    """The columns with pictures by name, with the paths of their bytes."""
    from pyarrow import types

    columns = {}
    for field in schema:
        path = field.name
        if types.is_struct(field.type) and (position := field.type.get_field_index("bytes")) >= 0:
            path, kind = f"{field.name}.bytes", field.type.field(position).type
        else:
            kind = field.type
        if not (types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)):
            continue
        feature = features.get(field.name)
        if (isinstance(feature, dict) and feature.get("_type") == "Image") or _has_pictures(file, path):
            columns[field.name] = path
    return columns


def _has_pictures(file: ParquetFile, column: str) -> bool:
    """Whether one of the first values of a binary column is a picture."""
    first = next(file.iter_batches(SNIFFED_ROWS, columns=[column], use_threads=False), None)
    heads = [(value.as_py() or b"")[:HEAD_BYTES] for value in (leaf_values(first.column(0)) if first else ())]
    return any(kind_of_content(head).category == "picture" for head in heads)


def leaf_values(values: Array[Any]) -> Array[Any]:
    """The only field of a column of structs; other columns are returned unchanged."""
    from pyarrow import types

    while types.is_struct(values.type):
        (values,) = values.flatten()
    return values


def label_columns(
    schema: Schema, features: dict[str, Any], sizes: dict[str, list[int]], except_for: Container[str] = ()
) -> tuple[Conversions, list[str]]:
    """The columns that are labels, and the names of those that are not.

    Args:
        features: as `dataset_features` returns them.
        sizes: as `chunk_sizes` returns them.
        except_for: names of columns to leave out of both.
    """
    found: Conversions = {}
    unused = []
    for name, count in Counter(schema.names).items():
        if name in except_for:
            continue
        if count > 1:
            unused.append(f"{name} ({count} columns have this name)")
            continue
        conversions = _conversions(name, schema.field(name).type, features.get(name))
        labels = {path: each for path, each in conversions.items() if sum(sizes.get(path, [])) <= MAX_LABEL_BYTES}
        found |= labels
        unused += [] if labels else [name]
    return found, unused


def _conversions(name: str, kind: DataType, feature: Any) -> Conversions:
    """How the values of a label column become text, by path. Empty if the column is not a label."""
    from pyarrow import types

    feature = feature if isinstance(feature, dict) else {}
    if types.is_struct(kind):  # such as attributes.smiling
        fields = [kind.field(i) for i in range(kind.num_fields)]
        if any(types.is_binary(f.type) or types.is_large_binary(f.type) for f in fields):
            return {}  # sound or a video, with its path
        nested = [
            _conversions(f"{name}.{f.name}", f.type, feature.get(f.name)) for f in fields if f.type.num_fields == 0
        ]
        return {path: conversion for conversions in nested for path, conversion in conversions.items()}
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_integer(kind) and feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list):
        return {name: _class_name(feature["names"])}
    if types.is_boolean(kind):
        return {name: lambda value: "" if value is None else str(int(value))}
    texts = (types.is_string, types.is_large_string, types.is_string_view)
    if any(fits(kind) for fits in (types.is_integer, types.is_floating, types.is_decimal, *texts)):
        return {name: lambda value: "" if value is None or value != value else str(value)}  # NaN differs from itself
    return {}


def _class_name(names: Sequence[Any]) -> Callable[[Any], str]:
    """The conversion of a class's number to its name. Numbers without a name, such as -1, are unknown."""

    def convert(value: Any) -> str:
        return str(names[value]) if value is not None and 0 <= value < len(names) else ""

    return convert

"""Chooses the engine: processes on this machine, or a Ray cluster. Both call `extract_shard` on every slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal, get_args

from facesmith.errors import BadOption
from facesmith.io.cpus import usable_cpus
from facesmith.photos.extract_shard import PhotoSlice, Running, ShardJob
from facesmith.photos.local_engine import run_local
from facesmith.photos.ray_engine import run_ray

EngineName = Literal["local", "ray"]
Engine = Callable[[ShardJob, Iterator[PhotoSlice]], Running]


def check_engine(shards: int | None, engine: str, address: str | None) -> None:
    """Raise BadOption for options that don't fit together."""
    if engine not in get_args(EngineName):
        raise BadOption(f"--engine must be local or ray, not {engine!r}.")
    if shards is None and engine != "local":
        raise BadOption(f"--engine {engine} needs --shards N, the number of photos for each shard, such as 1000.")
    if shards is not None and shards < 1:
        raise BadOption(f"--shards must be 1 or more, not {shards}.")
    if address is not None and engine != "ray":
        raise BadOption("--address is the address of a Ray cluster. Add --engine ray --shards N.")


def choose_engine(engine: EngineName, address: str | None, workers: int | None) -> Engine:
    """The engine with its options.

    Args:
        workers: limit of slices in work; by default one per CPU of this machine or the cluster.
    """
    if engine == "ray":
        return partial(run_ray, address=address, workers=workers)
    return partial(run_local, workers=workers or usable_cpus())

"""`--engine ray`: one Ray task for each shard, on this machine or on a cluster."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from itertools import islice
from typing import Any

from facesmith.errors import BadOption, FacesmithError, MissingExtra
from facesmith.photos.extract_shard import PhotoSlice, Running, ShardJob, extract_in_worker

POLL_SECONDS = 0.5
MAX_CALLS = 64  # shards; then the worker's process is replaced, so that memory that leaks is freed
CONNECT_SECONDS = 5
ADDRESS = re.compile(r"\[?([\w.:-]+?)\]?:(\d{1,5})")
START = "Start one on its first machine: ray start --head --port 6379"


def run_ray(job: ShardJob, slices: Iterator[PhotoSlice], address: str | None, workers: int | None) -> Running:
    """Extract shards as tasks of Ray, which repeats a task if its process or its machine is lost.

    Args:
        address: of a cluster, "auto" or HOST:PORT; None starts Ray on this machine.
        workers: limit of tasks at a time; by default one per CPU of the cluster.

    Raises:
        MissingExtra: ray is not installed.
        FacesmithError: there is no cluster at this address, or as `extract_shard`.
    """
    ray, is_own = _connected(address, workers)
    running: dict[Any, int] = {}
    try:
        task = ray.remote(num_cpus=1, max_retries=-1, max_calls=MAX_CALLS)(extract_in_worker)
        job_ref = ray.put(job)
        while True:
            limit = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))  # machines may join and leave
            for part in islice(slices, max(0, limit - len(running))):
                running[task.remote(job_ref, part)] = part.number
            yield frozenset(running.values())
            if not running:
                return
            for done in ray.wait(list(running), timeout=POLL_SECONDS)[0]:
                del running[done]
                _raise_error(ray, done)
    finally:
        if is_own:
            ray.shutdown()
        else:  # the cluster keeps running, so its tasks would go on writing
            for task_ref in running:
                ray.cancel(task_ref, force=True)


def check_address(address: str | None) -> None:
    """Raise BadOption or FacesmithError for an address without a cluster. Ray itself would try for many minutes."""
    if address in (None, "auto"):
        return
    match = ADDRESS.fullmatch(address or "")
    if not match:
        raise BadOption(f"--address must be auto or HOST:PORT, such as 10.0.0.1:6379, not {address!r}.")
    try:
        socket.create_connection((match[1], int(match[2])), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise FacesmithError(f"There is no Ray cluster at {address} ({error}). {START}") from None


def _connected(address: str | None, workers: int | None) -> tuple[Any, bool]:
    """The module `ray`, connected to a cluster, and whether this call has connected it."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's future default; otherwise it warns
    try:
        import ray
    except ImportError:
        raise MissingExtra("--engine ray needs an extra. Run: pip install 'facesmith[ray]'") from None
    if ray.is_initialized():
        return ray, False
    check_address(address)
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    if address is None:
        options |= {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(address=address or "local", **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"at {address}" if address else "on this machine"
        reason = str(error).splitlines()[0].rstrip(".")
        raise FacesmithError(f"Ray can't be reached {where}: {reason}. {START}") from None
    return ray, True


def _raise_error(ray: Any, done: Any) -> None:
    """Raise the error of a task that is done, if there is one."""
    error = ray.get(done)
    if error is not None:
        raise error

"""How many CPUs this process may use. Doesn't import torch."""

from __future__ import annotations

import math
import os
from pathlib import Path

from facesmith.io.cgroups import cgroup_folders, read_number

THREADS_VARIABLE = "OMP_NUM_THREADS"


def usable_cpus() -> int:
    """The CPUs that this process may use, at least 1: by its affinity and by its container's quota.

    `os.cpu_count` counts all CPUs of the machine, so that a container with two of 64 would start 64 threads.
    """
    quotas = [quota for folder in cgroup_folders("cpu") if (quota := _quota(folder)) is not None]
    return max(1, min([_allowed_cpus(), *map(math.ceil, quotas)]))


def limit_threads(threads: int | None) -> None:
    """Set how many threads PyTorch and NumPy use. Call it before they are imported.

    Args:
        threads: None for their own default, which respects the affinity. Only a container's quota is added to it.
    """
    if threads is None and usable_cpus() < _allowed_cpus() and THREADS_VARIABLE not in os.environ:
        threads = usable_cpus()
    if threads is not None:
        os.environ[THREADS_VARIABLE] = str(threads)


def _allowed_cpus() -> int:
    """The CPUs in this process's affinity, or all CPUs of a system without affinities."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13; respects PYTHON_CPU_COUNT, too
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quota(folder: Path) -> float | None:
    """The quota of a group in CPUs, in version 2 or version 1 of cgroups. None if there is none."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = map(float, (folder / "cpu.max").read_text().split())
        else:
            quota, period = (read_number(folder / f"cpu.cfs_{name}_us") or 0 for name in ("quota", "period"))
    except (OSError, ValueError):  # "max"
        return None
    return quota / period if quota > 0 and period > 0 else None

"""Keep the memory of a long training constant.

Without this it grows by a tenth: matplotlib figures are cyclic garbage of many megabytes, which Python collects late,
and glibc keeps freed blocks between others.
"""

from __future__ import annotations

import ctypes
import gc
import sys

import psutil


def release_memory() -> None:
    """Collect cyclic garbage, and return free memory to the system where the C library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def used_mib() -> int:
    """The memory that this process has allocated, in MiB.

    Mapped files are excluded: cached faces and shared libraries change with what other programs do.
    """
    info = psutil.Process().memory_info()
    return round((info.rss - getattr(info, "shared", 0)) / 2**20)

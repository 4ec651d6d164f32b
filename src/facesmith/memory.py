"""Keep what a long training holds of the memory flat.

Without this it creeps up by a tenth: figures are cycles of many megabytes, which Python's collector finds late, and
glibc keeps freed blocks between others.
"""

from __future__ import annotations

import ctypes
import gc
import sys

import psutil


def give_back() -> None:
    """Return to the system what is free but held."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # other C libraries have none
        trim(0)


def used_mib() -> int:
    """What this process has allocated, in MiB.

    Pages of files don't count: neither mapped faces nor libraries, whose share changes as other programs come and go.
    """
    info = psutil.Process().memory_info()
    return round((info.rss - getattr(info, "shared", 0)) / 2**20)

"""Keep what a long training holds of the memory flat.

Without this it creeps up by a tenth: figures are cycles of many megabytes, which Python's collector finds late, and
glibc keeps freed blocks between others.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time

import psutil

REST_SECONDS = 5.0


class Tidier:
    """Gives back now and then: a full collection takes as long as a save of a small run."""

    def __init__(self) -> None:
        self.last = float("-inf")

    def __call__(self) -> None:
        """Give back, unless that was done in the last seconds."""
        if time.monotonic() - self.last >= REST_SECONDS:
            give_back()
            self.last = time.monotonic()


def give_back() -> None:
    """Return to the system what is free but held."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # other C libraries have none
        trim(0)


tidy = Tidier()


def used_mib() -> int:
    """What this process has allocated, in MiB.

    Pages of files don't count: neither mapped faces nor libraries, whose share changes as other programs come and go.
    """
    info = psutil.Process().memory_info()
    return round((info.rss - getattr(info, "shared", 0)) / 2**20)

"""Keep what a long training holds of the memory flat.

Two things make it creep up by a tenth to a half: figures are cycles of many megabytes, which Python's collector finds
late, and glibc keeps freed tensors between others where nothing else fits.
"""

from __future__ import annotations

import ctypes
import gc
import sys

import psutil

M_MMAP_THRESHOLD = -3
LARGE_BYTES = 2**20


def map_large_blocks() -> None:
    """Have glibc give every block of a mebibyte or more pages of its own, which go back to the system when it is freed.

    By itself it raises that threshold to 32 MiB as soon as a large block is freed. Other C libraries are left alone.
    """
    set_option = _from_glibc("mallopt")
    if set_option is not None:
        set_option(M_MMAP_THRESHOLD, LARGE_BYTES)


def give_back() -> None:
    """Return to the system what is free but held."""
    gc.collect()
    trim = _from_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def used_mib() -> int:
    """What this process alone holds, in MiB; mapped faces, which the system keeps while there is room, don't count."""
    return round(psutil.Process().memory_full_info().uss / 2**20)


def _from_glibc(name: str) -> ctypes._NamedFuncPointer | None:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None

"""How much memory this process may still use, and requests that need more. Doesn't import torch.

A process that exceeds its memory is killed without a message. Code that needs much memory therefore estimates it first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from facesmith.errors import BadOption, PictureUnavailable
from facesmith.io.cgroups import cgroup_folders, read_number

GIB, MIB = 2**30, 2**20
USABLE_SHARE = 0.9  # of the free memory; the rest is for the estimate's error and for other programs
SUGGESTED_SHARE = 0.9  # of the usable memory, for suggestions in messages: free memory changes from moment to moment
DECODING_BYTES = {"RGB": 12, "L": 12, "P": 12}  # per pixel, while a picture of this mode is decoded and converted
OTHER_DECODING_BYTES = 24  # per pixel, of any other mode
SHEET_BYTES = 16  # per pixel of a sheet: its pictures, the sheet, and the encoder's copies
ALWAYS_FREE_BYTES = 128 * MIB  # pictures that need less are not compared with the free memory, which takes time
UNLIMITED = 2**60  # version 1 of cgroups states "no limit" as a number like 2**63


def free_memory() -> int:
    """Bytes that this process may still allocate: free memory, less if its container or a `ulimit` allows less."""
    return max(0, int(min([psutil.virtual_memory().available, *_container_limits(), *_process_limits()])))


def require_memory(needed_bytes: float, subject: str, advice: str, free_bytes: int | None = None) -> None:
    """Raise BadOption if something needs more memory than is free.

    Args:
        subject: what needs it, the start of the message: "--batch 4096".
        advice: what to do, a sentence.
        free_bytes: of a device; by default `free_memory()`.
    """
    free = free_memory() if free_bytes is None else free_bytes
    if needed_bytes > USABLE_SHARE * free:
        raise BadOption(
            f"{subject} needs about {size_text(needed_bytes)} of memory, but only {size_text(free)} is free. {advice}"
        )


def require_sheet_memory(count: int, side_px: int, subject: str, advice: str) -> None:
    """Raise BadOption, as `require_memory` does, if a sheet of pictures with sides of `side_px` needs too much."""
    needed = count * side_px**2 * SHEET_BYTES
    if needed > ALWAYS_FREE_BYTES:
        require_memory(needed, subject, advice)


class _DecodingMemory:
    """Lets threads decode large pictures at the same time while the memory suffices, otherwise one after another.

    So a picture that fits alone is never refused, whatever the number of threads.
    """

    def __init__(self) -> None:
        self._changed, self._reserved_bytes = threading.Condition(), 0

    @contextmanager
    def reserve(self, width: int, height: int, mode: str) -> Iterator[None]:
        """Wait until there is memory to decode and convert a picture in the block.

        Args:
            mode: Pillow's name for its kind of pixels, such as "RGB".

        Raises:
            PictureUnavailable: there is too little, although no other large picture is being decoded.
        """
        needed = width * height * DECODING_BYTES.get(mode, OTHER_DECODING_BYTES)
        if needed <= ALWAYS_FREE_BYTES:
            yield
            return
        with self._changed:
            while self._reserved_bytes + needed > USABLE_SHARE * (free := free_memory()):
                if not self._reserved_bytes:
                    sizes = f"{size_text(needed)} of memory, but only {size_text(free)} is free"
                    raise PictureUnavailable(f"{width}x{height} pixels need {sizes}")
                self._changed.wait()
            self._reserved_bytes += needed
        try:
            yield
        finally:
            with self._changed:
                self._reserved_bytes -= needed
                self._changed.notify_all()


decoding_memory = _DecodingMemory()


def largest_fitting(needed_bytes: Callable[[int], float], max_count: int, free_bytes: int | None = None) -> int:
    """The largest count up to `max_count` whose memory is free, with some to spare; 0 if there is none.

    Args:
        needed_bytes: of a count; must not fall as the count rises.
        free_bytes: of a device; by default `free_memory()`.
    """
    limit = SUGGESTED_SHARE * USABLE_SHARE * (free_memory() if free_bytes is None else free_bytes)
    fits, fails = 0, max_count + 1
    while fails - fits > 1:
        middle = (fits + fails) // 2
        fits, fails = (middle, fails) if needed_bytes(middle) <= limit else (fits, middle)
    return fits


def size_text(number: float) -> str:
    """Bytes as text: 3.4 GiB or 120 MiB."""
    return f"{number / GIB:.1f} GiB" if number >= GIB else f"{number / MIB:.0f} MiB"


def _container_limits() -> Iterator[float]:
    """What each group of this process leaves free. Memory that only caches files counts as free."""
    for folder in cgroup_folders("memory"):
        for limit_name, used_name, cache_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, used = read_number(folder / limit_name), read_number(folder / used_name)
            if limit is not None and used is not None and limit < UNLIMITED:
                yield limit - used + _statistic(folder / "memory.stat", cache_name)


def _statistic(file: Path, name: str) -> float:
    """A value in a file of lines such as `inactive_file 4096`; 0 if it is missing."""
    try:
        values = dict(line.split(maxsplit=1) for line in file.read_text().splitlines())
        return float(values[name])
    except (OSError, ValueError, KeyError):
        return 0.0


def _process_limits() -> Iterator[int]:
    """What `ulimit -v` (address space) and `ulimit -d` (data) leave free."""
    try:
        import resource
    except ImportError:  # Windows
        return
    used = psutil.Process().memory_info()
    for name, used_bytes in (("RLIMIT_AS", used.vms), ("RLIMIT_DATA", getattr(used, "data", 0))):
        limit, _ = resource.getrlimit(getattr(resource, name))
        if limit != resource.RLIM_INFINITY:
            yield limit - used_bytes

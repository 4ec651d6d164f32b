"""Holes in a JPEG: blocks of zeros where a disk or a download lost a part.

The decoder reads on after a hole, and returns a picture whose rest is gray or shifted.
"""

from __future__ import annotations

SECTOR_BYTES = 512  # disks and downloads lose whole sectors, so holes begin and end at multiples of this
MAX_CHANCE_BYTES = 8  # zeros next to a hole that may be the picture's own
START_OF_SCAN, END_OF_IMAGE = 0xDA, b"\xff\xd9"


def has_hole(content: bytes) -> bool:
    """Whether a part of a JPEG's compressed pixels was replaced by zeros.

    Long runs of zeros also occur in intact pictures with flat areas, and in metadata. A hole, however, begins and ends
    at the border of a sector. A few zeros of the picture itself may lie next to it.
    """
    start = _start_of_pixels(content)
    end = content.find(END_OF_IMAGE, start)
    end = len(content) if end < 0 else end
    zeros = bytes(SECTOR_BYTES)
    while (first := content.find(zeros, start, end)) >= 0:
        last = first + SECTOR_BYTES
        while content.startswith(zeros, last) and last < end:
            last += SECTOR_BYTES
        rest = content[last : last + SECTOR_BYTES]
        last += len(rest) - len(rest.lstrip(b"\0"))
        if -first % SECTOR_BYTES <= MAX_CHANCE_BYTES and last % SECTOR_BYTES <= MAX_CHANCE_BYTES:
            return True
        start = last
    return False


def _start_of_pixels(content: bytes) -> int:
    """The position of the first scan. Metadata before it, such as a thumbnail, are skipped."""
    position = 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        if content[position + 1] == START_OF_SCAN:
            return position
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return len(content)

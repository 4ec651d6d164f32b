"""Finds parts of a JPEG that a disk or a download lost, and that were replaced by zeros.

The decoder reads on after a hole, and returns a picture whose rest is gray or shifted.
"""

from __future__ import annotations

from typing import NamedTuple

SECTOR_BYTES = 512  # disks and most downloads lose whole sectors
MAX_CHANCE_BYTES = 8  # zeros next to a hole that may be the picture's own
HOLE_BYTES = 64  # of zeros, where the picture's own code has no long runs of zeros
END_OF_IMAGE = b"\xff\xd9"
START_OF_SCAN, HUFFMAN_TABLES = 0xDA, 0xC4
SEQUENTIAL_FRAMES = (0xC0, 0xC1)
LUMINANCE_AC = 0x10  # class and number of its Huffman table
END_OF_BLOCK = 0


class _Header(NamedTuple):
    """What precedes the compressed pixels.

    Attributes:
        pixels: where the first scan begins.
        zeros_are_flat: whether a long run of zero bits may be the code of a flat area.
    """

    pixels: int
    zeros_are_flat: bool


def has_hole(content: bytes) -> bool:
    """Whether a part of a JPEG's compressed pixels was replaced by zeros.

    In most JPEGs of cameras, a long run of zeros can't be the code of pixels. In others, flat areas give such runs:
    there, only a run that begins and ends at the border of a sector counts. A few zeros of the picture itself may lie
    next to it.
    """
    start, zeros_are_flat = _read_header(content)
    end = content.find(END_OF_IMAGE, start)
    end = len(content) if end < 0 else end
    if not zeros_are_flat:
        return content.find(bytes(HOLE_BYTES), start, end) >= 0
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


def _read_header(content: bytes) -> _Header:
    """Skips metadata, such as a thumbnail."""
    position, is_sequential, first_symbol, n_colors = 2, False, END_OF_BLOCK, 0
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == START_OF_SCAN:
            # In canonical Huffman codes, the first symbol has the code of zeros alone. If it is not the end of a block,
            # a run of zeros would be blocks whose coefficients are all equal, which no picture has.
            # Chrominance has other codes: in scans of their own, zeros may be flat colors.
            has_more_scans = _byte(content, position + 4) < n_colors
            return _Header(position, has_more_scans or not is_sequential or first_symbol == END_OF_BLOCK)
        length = int.from_bytes(content[position + 2 : position + 4], "big")
        if marker in SEQUENTIAL_FRAMES:
            is_sequential, n_colors = True, _byte(content, position + 9)
        if marker == HUFFMAN_TABLES:
            first_symbol = _first_symbols(content[position + 4 : position + 2 + length]).get(LUMINANCE_AC, first_symbol)
        position += 2 + length
    return _Header(len(content), True)


def _byte(content: bytes, position: int) -> int:
    """One byte; 0 past the end."""
    return int.from_bytes(content[position : position + 1], "big")


def _first_symbols(tables: bytes) -> dict[int, int]:
    """The symbol with the shortest code in each Huffman table of a segment, by class and number of the table."""
    symbols: dict[int, int] = {}
    while len(tables) > 17:
        symbols[tables[0]] = tables[17]
        tables = tables[17 + sum(tables[1:17]) :]
    return symbols

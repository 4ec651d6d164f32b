"""What Pillow raises on damaged files, and its warnings, which are suppressed while pictures are read."""

from __future__ import annotations

import struct
import threading
import warnings
import zlib

from PIL import Image, PngImagePlugin

MAX_PNG_TEXT_BYTES = 16 * 2**20  # of one text or profile; Pillow's own limit of 1 MiB refuses photos of real programs
# Pillow's decoders raise any of these on a damaged file. Catch them around Pillow's calls only: from our own code,
# they are bugs.
DECODER_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, AttributeError),
    *(AssertionError, RuntimeError, struct.error, zlib.error),
)


class _QuietPillow:
    """Suppress Pillow's warnings (unusual tags, many pixels) while at least one thread reads an image.

    Meanwhile the texts of a PNG may have up to `MAX_PNG_TEXT_BYTES`.

    `warnings.catch_warnings` changes the filters of all threads. So the first thread in enters it, and the last one
    out leaves it.
    """

    def __init__(self) -> None:
        self._lock, self._threads, self._suppression = threading.Lock(), 0, warnings.catch_warnings()
        self._text_limit = PngImagePlugin.MAX_TEXT_CHUNK

    def __enter__(self) -> None:
        with self._lock:
            if self._threads == 0:
                self._suppression = warnings.catch_warnings()
                self._suppression.__enter__()
                self._text_limit, PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_CHUNK, MAX_PNG_TEXT_BYTES
                # Pillow only warns up to twice its own limit; `max_pixels` is our limit.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            self._threads += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._threads -= 1
            if self._threads == 0:
                self._suppression.__exit__(None, None, None)
                PngImagePlugin.MAX_TEXT_CHUNK = self._text_limit


quiet_pillow = _QuietPillow()

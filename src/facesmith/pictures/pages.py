"""Pages and frames of a file beyond its first picture: they are not used, and counted without decoding them."""

from __future__ import annotations

import io
from contextlib import suppress

from PIL import Image

from facesmith.pictures.pillow_guards import DECODER_ERRORS

MAX_COUNTED_PICTURES = 1000  # in one file; counting all of a hostile file could take minutes
MAX_COUNTED_GIF_BYTES = 2**24


def count_text(n_pictures: int) -> str:
    """The number of pages or frames of a file, as text."""
    return f"{n_pictures}" + (" or more" if n_pictures == MAX_COUNTED_PICTURES else "")


def count_pictures(picture: Image.Image, raw: bytes) -> int:
    """How many pages or frames a file has, without decoding them: `MAX_COUNTED_PICTURES` at most, up to any damage.

    The further pictures of an MPO don't count: they are previews, depth maps, or the same photo for the other eye. Nor
    do frames of a GIF beyond `MAX_COUNTED_GIF_BYTES`.

    Args:
        picture: as opened. Afterwards it may be at another page.
        raw: the file's content.
    """
    if picture.format == "MPO" or not getattr(picture, "is_animated", False):
        return 1
    count = 2
    with suppress(*DECODER_ERRORS):
        if picture.format == "GIF" and len(raw) > MAX_COUNTED_GIF_BYTES:
            picture = Image.open(io.BytesIO(raw[:MAX_COUNTED_GIF_BYTES]), formats=["GIF"])
        if picture.format != "TIFF":
            return min(int(getattr(picture, "n_frames", count)), MAX_COUNTED_PICTURES)
        while count < MAX_COUNTED_PICTURES:
            picture.seek(count)
            count += 1
    return count

"""Images with text on white: a caption below, a plus or minus sign on the left, or a heading on the left."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from facesmith.pictures.fonts import drawable, font_of
from facesmith.pictures.images import Pixels, as_rgb

CAPTION_PX, GUTTER_PX, GAP_PX = 14, 40, 6
STROKE_PX, HALF_SIGN_PX = 3, 9
HEADING_PX = 168
SIGN_BARS = {"+": (0,), "-": (0,), "=": (-4, 4)}  # the horizontal bars of a sign, in pixels below its center


def with_caption(picture: Pixels, caption: str, sign: str | None = None) -> Pixels:
    """Put a caption below `[H, W, C]`. Returns RGB.

    Args:
        sign: "+", "-" or "=" to draw on the left; "" leaves an empty gutter there, None leaves no gutter.
    """
    rgb = as_rgb(picture)
    height, width, left = *rgb.shape[:2], 0 if sign is None else GUTTER_PX
    sheet = Image.new("RGB", (left + width, height + CAPTION_PX + 2 * GAP_PX), "white")
    sheet.paste(Image.fromarray(rgb), (left, 0))
    pen = ImageDraw.Draw(sheet)
    if sign:
        _draw_sign(pen, sign, left // 2, height // 2)
    baseline = (left + width / 2, height + GAP_PX + CAPTION_PX)
    _draw(pen, baseline, caption, "black", width, "ms")
    return np.asarray(sheet)


def with_heading(picture: Pixels, title: str, note: str = "") -> Pixels:
    """Put a title, and a note below it, on the left of `[H, W, 3]`."""
    height, width, _ = picture.shape
    sheet = Image.new("RGB", (HEADING_PX + width, height), "white")
    sheet.paste(Image.fromarray(picture), (HEADING_PX, 0))
    pen = ImageDraw.Draw(sheet)
    room_px = HEADING_PX - 2 * GAP_PX
    _draw(pen, (GAP_PX, height / 2 - GAP_PX), title, "black", room_px, "ls")
    if note:
        _draw(pen, (GAP_PX, height / 2 + GAP_PX), note, "dimgray", room_px, "lt")
    return np.asarray(sheet)


def _draw_sign(pen: ImageDraw.ImageDraw, sign: str, x: int, y: int) -> None:
    """Draw a sign centered at (x, y) with lines, because Pillow's default font has no minus sign."""
    for below in SIGN_BARS[sign]:
        pen.line((x - HALF_SIGN_PX, y + below, x + HALF_SIGN_PX, y + below), "black", STROKE_PX)
    if sign == "+":
        pen.line((x, y - HALF_SIGN_PX, x, y + HALF_SIGN_PX), "black", STROKE_PX)


def _draw(
    pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, color: str, width_px: int, anchor: str
) -> None:
    """Draw a text in the largest font in which it fits into a width, but no smaller than half the caption size.

    A text that still does not fit is cut.
    """
    text, size_px = drawable(text), CAPTION_PX
    while size_px > CAPTION_PX / 2 and font_of(text, size_px).getlength(text) > width_px:
        size_px -= 1
    font = font_of(text, size_px)
    if font.getlength(text) > width_px:
        length = next((n for n in range(len(text), 0, -1) if font.getlength(f"{text[:n]}...") <= width_px), 0)
        text = f"{text[:length]}..."
    pen.text(place, text, color, font, anchor=anchor)

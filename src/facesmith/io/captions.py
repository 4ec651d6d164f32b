"""Pictures with words on white: captions below them, signs before them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facesmith.io.images import Pixels, as_rgb

CAPTION_PX, GUTTER_PX, GAP_PX = 14, 40, 6
STROKE_PX, HALF_SIGN_PX = 3, 9
HEAD_PX = 168
LEVELS = {"+": (0,), "-": (0,), "=": (-4, 4)}  # of a sign's level strokes, in pixels below its middle


def with_caption(picture: Pixels, words: str, sign: str | None = None) -> Pixels:
    """A picture `[H, W, C]` in RGB with words (ASCII) below it.

    Args:
        sign: +, - or =, drawn on its left; "" leaves room for one, None does not.
    """
    rgb = as_rgb(picture)
    height, width, left = *rgb.shape[:2], 0 if sign is None else GUTTER_PX
    sheet = Image.new("RGB", (left + width, height + CAPTION_PX + 2 * GAP_PX), "white")
    sheet.paste(Image.fromarray(rgb), (left, 0))
    pen = ImageDraw.Draw(sheet)
    if sign:
        _draw_sign(pen, sign, left // 2, height // 2)
    pen.text((left + width / 2, height + GAP_PX + CAPTION_PX), words, "black", _fitting(words, width), anchor="ms")
    return np.asarray(sheet)


def with_heading(picture: Pixels, title: str, note: str = "") -> Pixels:
    """A picture `[H, W, 3]` with words (ASCII) on its left: a title, and a note below it."""
    height, width, _ = picture.shape
    sheet = Image.new("RGB", (HEAD_PX + width, height), "white")
    sheet.paste(Image.fromarray(picture), (HEAD_PX, 0))
    pen = ImageDraw.Draw(sheet)
    room = HEAD_PX - 2 * GAP_PX
    pen.text((GAP_PX, height / 2 - GAP_PX), title, "black", _fitting(title, room), anchor="ls")
    if note:
        pen.text((GAP_PX, height / 2 + GAP_PX), note, "dimgray", _fitting(note, room), anchor="lt")
    return np.asarray(sheet)


def _draw_sign(pen: ImageDraw.ImageDraw, sign: str, x: int, y: int) -> None:
    """A sign around a point, in strokes: Pillow's own font lacks the minus."""
    for below in LEVELS[sign]:
        pen.line((x - HALF_SIGN_PX, y + below, x + HALF_SIGN_PX, y + below), "black", STROKE_PX)
    if sign == "+":
        pen.line((x, y - HALF_SIGN_PX, x, y + HALF_SIGN_PX), "black", STROKE_PX)


def _fitting(words: str, width_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font in a size that keeps words as narrow as their picture, but not smaller than can be read."""
    size_px = CAPTION_PX
    while size_px > CAPTION_PX / 2 and ImageFont.load_default(size_px).getlength(words) > width_px:
        size_px -= 1
    return ImageFont.load_default(size_px)

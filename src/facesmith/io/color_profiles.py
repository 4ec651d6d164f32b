"""Colors of embedded profiles, such as Adobe RGB or Display P3 -> sRGB."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

SRGB_TOLERANCE = 2  # of 255: profiles that change colors by at most this are sRGB themselves


def to_srgb(picture: Image.Image, info: Mapping[Any, Any]) -> Image.Image:
    """Convert a picture without transparency to RGB, with the colors of its embedded profile converted to sRGB.

    Args:
        info: Pillow's metadata of the file. A profile that is damaged or does not fit the picture is ignored.
    """
    with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
        transform = _srgb_transform(info.get("icc_profile") or b"", picture.mode)
        if transform is not None and (converted := ImageCms.applyTransform(picture, transform)) is not None:
            return converted
    return picture.convert("RGB")


@lru_cache(maxsize=32)
def _srgb_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The conversion from a profile to sRGB; None if the colors are sRGB already. LAB needs no profile."""
    if mode == "LAB":
        source = ImageCms.createProfile("LAB")
    elif not profile:
        return None
    else:
        source = ImageCms.getOpenProfile(io.BytesIO(profile)).profile
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    if mode == "RGB":  # the name of a profile proves nothing, so a sample of all colors is converted
        levels = np.linspace(0, 255, 8).astype(np.uint8)
        colors = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(8, 64, 3)
        converted = np.asarray(ImageCms.applyTransform(Image.fromarray(colors), transform))
        if np.abs(converted.astype(int) - colors).max() <= SRGB_TOLERANCE:
            return None
    return transform

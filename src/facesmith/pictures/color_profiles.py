"""Colors of files -> 8-bit sRGB: embedded profiles such as Adobe RGB or Display P3, and back; 16-bit and float gray."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from facesmith.errors import BadPicture

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


def can_convert_back(profile: bytes | None) -> bool:
    """Whether sRGB colors can be converted to an embedded profile."""
    return profile is not None and _profile_transform(profile) is not None


def from_srgb(pixels: NDArray[np.uint8], profile: bytes) -> NDArray[np.uint8]:
    """Convert sRGB `[H, W, 3]` to the colors of a profile for which `can_convert_back` is True."""
    transform = _profile_transform(profile)
    assert transform is not None, "the caller checks it"
    return np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), transform))


@lru_cache(maxsize=32)
def _profile_transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """The conversion from sRGB to an RGB profile; None if the profile is damaged or allows none."""
    with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
        target = ImageCms.getOpenProfile(io.BytesIO(profile)).profile
        return ImageCms.buildTransform(ImageCms.createProfile("sRGB"), target, "RGB", "RGB")
    return None


def scale_to_8_bits(values: NDArray[Any], mode: str) -> NDArray[np.uint8]:
    """Scale 16-bit, 32-bit or float gray `[H, W]` to uint8.

    Args:
        mode: Pillow's mode: "F" for floats, "I" for 32-bit integers, "I;16..." for 16-bit integers.

    Raises:
        BadPicture: the image contains NaN.
    """
    if mode == "I" and values.min(initial=0) < -(2**15):  # Pillow reads unsigned 32-bit numbers as signed ones
        values = values.astype(np.int32).view(np.uint32)
    values = values.astype(np.float64)
    highest = values.max(initial=0)
    if np.isnan(highest):
        raise BadPicture("damaged: contains NaN")
    return (values / _white_level(mode, highest) * 255).round().clip(0, 255).astype(np.uint8)


def _white_level(mode: str, highest: float) -> float:
    """The value that means white. Files don't state it, so it is guessed from their highest value."""
    if mode == "F":
        return 1.0 if highest <= 1 else 255.0 if highest <= 255 else 65535.0
    if mode == "I":  # images stored as 32-bit integers often use only 8 or 16 bits
        bits = next(bits for bits in (8, 16, *range(17, 33)) if highest < 2**bits)
        return float(2**bits - 1)
    return 65535.0

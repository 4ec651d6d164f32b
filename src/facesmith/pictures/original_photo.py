"""Read a photo together with what sRGB pixels alone lose: its own colors, its color profile and its transparency."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from facesmith.pictures.color_profiles import can_convert_back
from facesmith.pictures.images import MAX_PIXELS, Pixels, as_8bit_rgb, is_transparent, opaque_srgb, read_converted


@dataclass(frozen=True)
class OriginalPhoto:
    """A photo to paste a face into, so that all other pixels stay as they are in the file.

    Attributes:
        pixels: upright sRGB `[H, W, 3]`, as from `read_picture`.
        stored: upright `[H, W, 3]` in the colors of the profile, without regard to transparency.
        profile: the embedded ICC profile; None for sRGB without a profile, and for color modes other than RGB, whose
            colors are converted.
        alpha: opacity `[H, W]`; None without transparency.
        n_pictures: how many pages or frames the file has; see `pages.count_pictures`.
    """

    pixels: Pixels
    stored: Pixels
    profile: bytes | None = None
    alpha: Pixels | None = None
    n_pictures: int = 1


def read_original(source: Path | bytes, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> OriginalPhoto:
    """Read a photo like `read_picture`, and keep its own colors, profile and transparency."""
    original, n_pictures, _ = read_converted(source, name, max_pixels, _as_original)
    return replace(original, n_pictures=n_pictures)


def _as_original(picture: Image.Image) -> OriginalPhoto:
    pixels = np.asarray(as_8bit_rgb(picture))
    alpha = np.asarray(picture.convert("RGBA").getchannel("A")) if is_transparent(picture) else None
    profile = picture.info.get("icc_profile") or None
    if picture.mode not in ("RGB", "RGBA", "P", "PA") or not can_convert_back(profile):
        profile = None
    has_rgb = alpha is not None or profile is not None
    stored = np.asarray((picture if profile else opaque_srgb(picture)).convert("RGB")) if has_rgb else pixels
    return OriginalPhoto(pixels, stored, profile, alpha)

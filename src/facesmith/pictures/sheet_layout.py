"""How faces are arranged on a sheet: columns, gap, enlargement. Stored in the metadata of the sheet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, get_args

import numpy as np
from msgspec import Meta
from PIL import Image

from facesmith.errors import BadOption
from facesmith.io.json_files import parse_as
from facesmith.pictures.images import SHEET_GAP_PX, Pixels, as_rgb, enlarge, grid

ENTRY = "Layout"  # of the metadata
MAX_COLUMNS, MAX_GAP_PX, MAX_SCALE = 1000, 64, 32
MAX_ENTRY_LENGTH = 200
Filter = Literal["nearest", "bilinear", "bicubic", "lanczos"]  # the names of Pillow's resampling filters
FILTERS: tuple[str, ...] = get_args(Filter)


@dataclass(frozen=True)
class SheetLayout:
    """The arrangement of a sheet.

    Attributes:
        columns: None for a sheet that is about square.
        gap_px: white pixels between faces.
        scale: the factor by which each face is enlarged.
        filter: how it is enlarged; "nearest" shows each pixel as a block.
    """

    columns: Annotated[int, Meta(ge=1, le=MAX_COLUMNS)] | None = None
    gap_px: Annotated[int, Meta(ge=0, le=MAX_GAP_PX)] = SHEET_GAP_PX
    scale: Annotated[int, Meta(ge=1, le=MAX_SCALE)] = 1
    filter: Filter = "nearest"

    def metadata(self) -> dict[str, str]:
        """The entry of a sheet's metadata; no entry for the default layout."""
        return {} if self == SheetLayout() else {ENTRY: json.dumps(asdict(self))}

    def enlarged(self, faces: Pixels) -> Pixels:
        """Faces `[N, H, W, C]`, enlarged."""
        if self.filter == "nearest" or self.scale == 1 or not len(faces):
            return enlarge(faces, self.scale)
        return np.stack([self._interpolated(face) for face in faces])

    def _interpolated(self, face: Pixels) -> Pixels:
        """A face `[H, W, C]`, enlarged by a filter that interpolates between pixels."""
        height, width, channels = face.shape
        picture, size = Image.fromarray(as_rgb(face)), (width * self.scale, height * self.scale)
        return np.asarray(picture.resize(size, Image.Resampling[self.filter.upper()]))[..., :channels]

    def arranged(self, faces: Pixels) -> Pixels:
        """Faces `[N, H, W, C]`, enlarged, on a sheet `[H, W, 3]`."""
        return grid(self.enlarged(faces), self.columns, self.gap_px)


def parse_filter(name: str) -> Filter:
    """The filter of that name.

    Raises:
        BadOption: there is none.
    """
    if name not in FILTERS:
        raise BadOption(f"--filter {name!r} is not one of {', '.join(FILTERS)}.")
    return name  # type: ignore[return-value]


def stored_layout(metadata: Mapping[str, str]) -> SheetLayout:
    """The layout that a picture's metadata describes; the default one if the entry is missing or invalid."""
    entry = metadata.get(ENTRY, "")
    if not entry or len(entry) > MAX_ENTRY_LENGTH:
        return SheetLayout()
    try:
        return parse_as(entry, SheetLayout)
    except ValueError:
        return SheetLayout()

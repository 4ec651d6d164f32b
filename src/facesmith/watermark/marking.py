"""How a command marks the pictures that it writes as synthetic: by a watermark, by signed credentials, by metadata."""

from __future__ import annotations

from dataclasses import dataclass

from facesmith.pictures.images import Pixels
from facesmith.pictures.provenance import Sign
from facesmith.watermark.embed import MIN_SIDE_PX, watermarked
from facesmith.watermark.key import PUBLIC_KEY

ENTRY = "Watermark"  # of the metadata: "yes" or "no"


@dataclass(frozen=True)
class Marking:
    """The marks of a command's pictures.

    Attributes:
        watermark: whether faces get the watermark.
        sign: adds signed content credentials to a file; None for none.
        own_key: a second key of the watermark, besides the public one; None for none.
    """

    watermark: bool = True
    sign: Sign | None = None
    own_key: str | None = None

    def marked(self, faces: Pixels) -> Pixels:
        """Return faces uint8 `[N, S, S, C]` with the watermark, unless it is turned off."""
        return watermarked(faces, self.keys) if self.keys else faces

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that find the watermark; none if it is turned off."""
        if not self.watermark:
            return ()
        return (PUBLIC_KEY,) if self.own_key is None else (PUBLIC_KEY, self.own_key)

    def metadata(self, side_px: int) -> dict[str, str]:
        """Return the entry that says whether a picture of faces with this side has a watermark."""
        return {ENTRY: "yes" if self.watermark and side_px >= MIN_SIDE_PX else "no"}


DEFAULT_MARKING = Marking()

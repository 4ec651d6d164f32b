"""Photos for the tests of extraction: a public-domain face and ways to damage it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageCms
from skimage.data import astronaut

from facesmith.pictures.images import Pixels

SHARED = Path(__file__).parents[2] / "shared" / "data"

FACE_BOX = (180, 62, 88, 112)  # left, top, width, height of the astronaut's face
EYES = np.array([(204.3, 101.1), (247.3, 103.2)])


def shared(name: str) -> Path:
    """A file or folder of the shared photos. Skips the test on a machine that has none."""
    if not SHARED.exists():
        pytest.skip(f"this machine has no {SHARED}")
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is missing")
    return path


@cache
def photo() -> Image.Image:
    """Eileen Collins, 512x512, public domain."""
    return Image.fromarray(astronaut())


@cache
def portrait() -> Image.Image:
    """Her face with some background, 200x200: fast to search."""
    return photo().crop((124, 20, 324, 220))


def without_face() -> Image.Image:
    """A part of the photo without a face."""
    return photo().crop((300, 300, 500, 500))


def swapped_profile() -> bytes:
    """A profile like sRGB that exchanges red and blue, but says that it is sRGB."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


def bomb() -> bytes:
    """A small PNG file whose header states 50,000 x 50,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def write_video(path: Path, frames: Iterable[Pixels], pixel_shape: str = "1/1") -> Path:
    """A film. `pixel_shape` is the width of a pixel by its height."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, options={"crf": "10"})
        video.pix_fmt = "yuv420p"
        video.codec_context.sample_aspect_ratio = Fraction(pixel_shape)
        for number, pixels in enumerate(frames):
            if number == 0:
                video.height, video.width = pixels.shape[:2]
            for packet in video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")):
                container.mux(packet)
        for packet in video.encode():
            container.mux(packet)
    return path


def different_faces(folder, count):
    """Photos of one face on backgrounds so different that the crops are not near-duplicates."""
    folder.mkdir()
    mask = Image.new("L", (200, 200))
    mask.paste(255, (62, 44, 138, 150))
    for i in range(count):
        blocks = np.random.default_rng(i).integers(0, 256, (14, 14, 3), np.uint8)
        background = Image.fromarray(blocks).resize((200, 200), Image.Resampling.BILINEAR)
        Image.composite(portrait(), background, mask).save(folder / f"{i:03d}.png")
    return folder

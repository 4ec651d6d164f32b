"""Pictures of every supported format are read in the same way by every command."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from pictures import portrait
from PIL import Image, ImageCms
from rich.console import Console

from facesmith.errors import BadPicture
from facesmith.faces import open_faces
from facesmith.io.images import read_picture
from facesmith.photos.extract import extract
from facesmith.photos.sources import iterate_photos, open_source

FACE = portrait().resize((100, 100))
GRAY = np.asarray(FACE.convert("L"))


def encoded(picture, file_format, **options):
    stream = io.BytesIO()
    picture.copy().save(stream, file_format, **options)  # copied, because saving changes a picture
    return stream.getvalue()


def tiff(values, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **options)
    return stream.getvalue()


def with_second(file_format):
    """The face, and a red second page or frame that must not be read."""
    return encoded(FACE, file_format, save_all=True, append_images=[Image.new("RGB", FACE.size, "red")])


def lab():
    profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
    return ImageCms.profileToProfile(FACE, *profiles, outputMode="LAB")


def samples():
    """The same face by the name of its format."""
    pytest.importorskip("pillow_heif").register_heif_opener()
    pytest.importorskip("pillow_jxl")
    sixteen = GRAY.astype(np.uint16) * 257
    colors = np.asarray(FACE)
    return {
        "avif": encoded(FACE, "AVIF"),
        "heic": encoded(FACE, "HEIF"),
        "jpeg-xl": encoded(FACE, "JXL"),
        "jpeg-xl-transparent": encoded(FACE.convert("RGBA"), "JXL"),
        "mpo": with_second("MPO"),
        "apng": with_second("PNG"),
        "webp-animated": with_second("WEBP"),
        "tiff-pages": with_second("TIFF"),
        "tiff-16-gray": encoded(Image.fromarray(sixteen), "TIFF"),
        "tiff-16-big-endian": tiff(sixteen, byteorder=">"),
        "tiff-16-color": tiff(colors.astype(np.uint16) * 257, photometric="rgb"),
        "tiff-16-planes-deflate": tiff(
            np.moveaxis(colors, -1, 0).astype(np.uint16) * 257,
            photometric="rgb",
            planarconfig="separate",
            compression="zlib",
        ),
        "tiff-32-gray": tiff(GRAY.astype(np.uint32) * 0x1010101, photometric="minisblack"),
        "tiff-20-gray": tiff(GRAY.astype(np.uint32) * 0x1010, photometric="minisblack"),
        "tiff-float": encoded(Image.fromarray(GRAY.astype(np.float32) / 255), "TIFF"),
        "tiff-big": tiff(colors, photometric="rgb", bigtiff=True),
        "tiff-jpeg": encoded(FACE, "TIFF", compression="jpeg"),
        "tiff-lab": encoded(lab(), "TIFF"),
        "tiff-cmyk": encoded(FACE.convert("CMYK"), "TIFF"),
        "tiff-white-is-zero": tiff(255 - GRAY, photometric="miniswhite"),
        "jpeg-cmyk": encoded(FACE.convert("CMYK"), "JPEG", quality=95),
        "png-16": encoded(Image.fromarray(sixteen), "PNG"),
        "png-palette": encoded(FACE.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        "png-palette-transparent": encoded(FACE.quantize(255), "PNG", transparency=255),
        "png-gray-transparent": encoded(FACE.convert("LA"), "PNG"),
        "pgm-16": encoded(Image.fromarray(sixteen), "PPM"),
        "gif": encoded(FACE.quantize(256), "GIF"),
    }


ONE_BIT = {
    "tiff-1-fax": ("TIFF", {"compression": "group4"}),
    "png-1": ("PNG", {}),
    "pbm": ("PPM", {}),
    "bmp-1": ("BMP", {}),
}


@pytest.fixture
def folder(tmp_path):
    """One file of each format, none with a suffix."""
    root = tmp_path / "photos"
    root.mkdir()
    for name, content in samples().items():
        (root / name).write_bytes(content)
    for name, (file_format, options) in ONE_BIT.items():
        (root / name).write_bytes(encoded(FACE.convert("1"), file_format, **options))
    return root


def test_every_format_shows_the_same_face(folder):
    expected = {3: np.asarray(FACE).astype(float), 1: np.repeat(GRAY[..., None], 3, axis=2).astype(float)}
    for photo in iterate_photos(open_source(folder), 1):
        pixels = photo.load()
        is_gray = not np.ptp(pixels, axis=2).any()
        reference = (
            np.asarray(FACE.convert("1").convert("RGB")) if photo.source in ONE_BIT else expected[1 + 2 * (not is_gray)]
        )
        assert np.abs(pixels - reference).mean() < 6, photo.source


def test_every_command_reads_every_format(folder, tmp_path):
    names = sorted(path.name for path in folder.iterdir())
    report = extract(folder, tmp_path / "faces", size=64, crop=100, console=Console(quiet=True))
    assert (report.photos, report.unreadable, report.ignored) == (len(names), 0, {})
    faces = open_faces(folder, 64)
    assert faces.names == names
    assert not any("skipped" in notice for notice in faces.notices)


def test_variant_that_would_show_another_picture_is_refused():
    planes = np.moveaxis(np.asarray(FACE), -1, 0).astype(np.uint16) * 257
    with pytest.raises(BadPicture, match="rare variant of TIFF"):
        read_picture(tiff(planes, photometric="rgb", planarconfig="separate"))
    eight_bits = tiff(np.moveaxis(np.asarray(FACE), -1, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_picture(eight_bits), np.asarray(FACE))

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
from facesmith.explore.detect_marks import detect
from facesmith.faces import open_faces
from facesmith.photos.extract import extract
from facesmith.photos.sources import iterate_photos, open_source
from facesmith.pictures import pages
from facesmith.pictures.images import read_first_picture, read_picture
from facesmith.pictures.pages import count_text

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


GRAY_SAMPLES = {
    *("tiff-16-gray", "tiff-16-big-endian", "tiff-32-gray", "tiff-20-gray", "tiff-float", "tiff-white-is-zero"),
    *("png-16", "png-gray-transparent", "pgm-16"),
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
    photos = {photo.source: photo.load() for photo in iterate_photos(open_source(folder), 1)}
    assert set(photos) == {path.name for path in folder.iterdir()}
    for name, pixels in photos.items():
        face = FACE.convert("1") if name in ONE_BIT else FACE.convert("L") if name in GRAY_SAMPLES else FACE
        reference = np.asarray(face.convert("RGB")).astype(float)
        assert np.abs(pixels - reference).mean() < 6, name


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


def several(file_format, count):
    """The face, and further pages or frames."""
    further = [Image.new("RGB", FACE.size, (number * 25, 255 - number * 25, 0)) for number in range(1, count)]
    return encoded(FACE, file_format, save_all=True, append_images=further)


@pytest.mark.parametrize("file_format", ["TIFF", "GIF", "WEBP", "PNG"])
def test_pages_and_frames_after_the_first_are_counted(file_format):
    assert read_first_picture(several(file_format, 4)).n_pictures == 4
    assert read_first_picture(encoded(FACE, file_format)).n_pictures == 1


def test_the_further_pictures_of_a_phone_photo_are_no_pages():
    """Phones store previews and depth maps in MPO, which is a JPEG with further pictures."""
    assert read_first_picture(several("MPO", 2)).n_pictures == 1


def test_a_damaged_page_leaves_those_before_it():
    content = several("TIFF", 5)
    assert read_first_picture(content[: len(content) * 3 // 5]).n_pictures == 3


def test_pages_that_never_end_are_not_counted_to_the_end(monkeypatch):
    monkeypatch.setattr(pages, "MAX_COUNTED_PICTURES", 3)
    assert count_text(read_first_picture(several("TIFF", 9)).n_pictures) == "3 or more"
    monkeypatch.setattr(pages, "MAX_COUNTED_GIF_BYTES", len(several("GIF", 3)) - 1)
    monkeypatch.setattr(pages, "MAX_COUNTED_PICTURES", 100)
    assert read_first_picture(several("GIF", 9)).n_pictures < 9


def test_extract_and_faces_name_the_files_with_further_pages(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "scan.tif").write_bytes(several("TIFF", 3))
    (photos / "b.png").write_bytes(encoded(portrait().rotate(5), "PNG"))
    for options in ({}, {"crop": 90}):
        report = extract(photos, tmp_path / f"out{len(options)}", size=32, console=Console(quiet=True), **options)
        assert report.rejected["further pages or frames of a file"] == 1
        rejected = (tmp_path / f"out{len(options)}" / "rejected.csv").read_text()
        assert "scan.tif,further pages or frames of a file: only the first of 3 is used" in rejected
    notice = "1 pictures have several pages or frames, and only the first is used: scan.tif (3)"
    assert notice in open_faces(photos, 32).notices
    assert notice in open_faces(photos, 32).notices, "also from the cache"


def test_detect_says_that_it_examines_the_first_frame(tmp_path):
    (tmp_path / "a.gif").write_bytes(several("GIF", 3))
    console = Console(record=True, file=io.StringIO(), width=200)
    list(detect([tmp_path / "a.gif"], console))
    assert "a.gif has 3 pages or frames: only the first is examined" in console.export_text()

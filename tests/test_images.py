"""Photos are read whatever their format, and damaged ones are refused with a reason."""

from __future__ import annotations

import io
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import swapped_profile
from PIL import Image, ImageCms, PngImagePlugin, features
from skimage.data import astronaut

from facesmith.errors import BadPicture, FacesmithError, PictureUnavailable
from facesmith.pictures import images
from facesmith.pictures.images import (
    center_square,
    grid,
    read_file,
    read_picture,
    read_provenance,
    resize,
    to_float,
    to_gray,
    to_uint8,
    write_png,
)

PHOTO = Image.fromarray(astronaut()).resize((60, 40))  # not square, so that a rotation changes its shape
assert features.check("webp")
FORMATS = ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000"]
FORMATS += ["AVIF"] if features.check("avif") else []


def encoded(picture: Image.Image, file_format: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, file_format, **options)
    return stream.getvalue()


def mean_difference(a, b) -> float:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


SAMPLES = {file_format: encoded(PHOTO, file_format) for file_format in FORMATS} | {
    "palette": encoded(PHOTO.convert("P"), "PNG", transparency=3),
    "16 bits": encoded(Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60)), "PNG"),
    "float": encoded(Image.fromarray(np.linspace(0, 1, 2400, dtype=np.float32).reshape(40, 60)), "TIFF"),
}


@given(st.integers(0, 255), st.integers(0, 255))
def test_uint8_survives_conversion_to_float_and_back(a, b):
    pixels = torch.tensor([a, b, 255] * 4, dtype=torch.uint8).view(1, 2, 2, 3)
    assert torch.equal(to_uint8(to_float(pixels)), pixels)


def test_values_outside_the_range_are_clipped():
    assert to_uint8(torch.tensor([-9.0, 9.0]).view(1, 1, 1, 2)).flatten().tolist() == [0, 255]


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_common_format_is_read(file_format):
    read = read_picture(encoded(PHOTO, file_format))
    assert read.shape == (40, 60, 3)
    assert read.dtype == np.uint8
    assert mean_difference(read, PHOTO) < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    stored_as = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # EXIF 6 says: rotate by 270 degrees to view
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = PHOTO.transpose(stored_as[orientation]) if orientation in stored_as else PHOTO
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(read_picture(encoded(stored, "PNG", exif=exif)), np.asarray(PHOTO))


def test_damaged_exif_is_ignored():
    assert read_picture(encoded(PHOTO, "JPEG", exif=b"Exif\0\0 nonsense")).shape == (40, 60, 3)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1", "YCbCr"])
def test_every_color_mode_becomes_rgb(mode):
    file_format = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    read = read_picture(encoded(PHOTO.convert(mode), file_format))
    assert mean_difference(read, PHOTO.convert(mode).convert("RGB")) < 2


def test_transparency_is_composited_on_white():
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert (read_picture(encoded(clear)) == 255).all()
    palette = Image.new("P", (8, 8), 0)
    assert (read_picture(encoded(palette, "PNG", transparency=0)) == 255).all()


def test_sixteen_bit_gray_is_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    expected = np.rint(ramp / 65535 * 255)
    for file_format in ("PNG", "TIFF"):
        read = read_picture(encoded(Image.fromarray(ramp), file_format))
        assert np.abs(read[..., 0] - expected).max() <= 1


def test_a_dark_sixteen_bit_image_stays_dark():
    dark = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8))
    assert read_picture(encoded(dark, "TIFF")).max() == 0


def test_float_images_are_scaled_and_nan_is_refused():
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    assert read_picture(encoded(Image.fromarray(values), "TIFF"))[-1, -1, 0] == 255
    values[0, 0] = np.nan
    with pytest.raises(BadPicture, match="contains NaN"):
        read_picture(encoded(Image.fromarray(values), "TIFF"))


def test_colors_of_an_embedded_profile_are_converted_to_srgb():
    red, green, blue = PHOTO.split()
    swapped = Image.merge("RGB", (blue, green, red))
    read = read_picture(encoded(swapped, "PNG", icc_profile=swapped_profile()))
    assert mean_difference(read, PHOTO) < 2
    with_alpha = swapped.copy()
    with_alpha.putalpha(255)
    assert mean_difference(read_picture(encoded(with_alpha, "PNG", icc_profile=swapped_profile())), PHOTO) < 2


def test_srgb_profile_changes_no_pixel_and_a_damaged_or_unfitting_one_is_ignored():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, srgb[:100], b"nonsense"):
        assert np.array_equal(read_picture(encoded(PHOTO, "PNG", icc_profile=profile)), np.asarray(PHOTO))
    gray = PHOTO.convert("L")
    assert mean_difference(read_picture(encoded(gray, "PNG", icc_profile=srgb)), gray.convert("RGB")) == 0


def test_lab_is_converted_to_rgb():
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    picture = ImageCms.applyTransform(PHOTO, ImageCms.buildTransform(srgb, lab, "RGB", "LAB"))
    assert mean_difference(read_picture(encoded(picture, "TIFF")), PHOTO) < 4


def test_first_picture_of_mpo_and_apng_is_read():
    second = Image.new("RGB", PHOTO.size)
    for file_format in ("MPO", "PNG"):
        read = read_picture(encoded(PHOTO, file_format, save_all=True, append_images=[second, second]))
        assert mean_difference(read, PHOTO) < 12


def test_reason_says_what_an_unreadable_file_is():
    for raw, reason in (
        (b"<!DOCTYPE html><p>404", "not a picture but: web page"),
        (b"PK\3\4", "not a picture but: zip"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (encoded(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF")[:30], "a rare variant of TIFF"),
    ):
        with pytest.raises(BadPicture, match=reason):
            read_picture(raw)


def test_heic_is_recognized_by_content_not_by_name(tmp_path, monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    raw = io.BytesIO()
    heif.from_pillow(PHOTO).save(raw)
    for name in ("photo.heic", "photo.jpg"):
        (tmp_path / name).write_bytes(raw.getvalue())
        assert mean_difference(read_picture(tmp_path / name), PHOTO) < 8
    (tmp_path / "really_a.heic").write_bytes(encoded(PHOTO, "JPEG"))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if the extra were not installed
    assert read_picture(tmp_path / "really_a.heic").shape == (40, 60, 3)
    with pytest.raises(PictureUnavailable, match="pip install"):
        read_picture(tmp_path / "photo.heic")


def test_jpeg_xl_is_recognized_by_content_not_by_name(tmp_path, monkeypatch):
    pytest.importorskip("pillow_jxl")
    bare = encoded(PHOTO, "JXL", quality=90)
    container = encoded(PHOTO, "JXL", quality=90, use_container=True)
    assert bare[:2] == b"\xff\x0a"
    assert container[4:8] == b"JXL "
    for raw in (bare, container):
        (tmp_path / "photo.jpg").write_bytes(raw)
        assert mean_difference(read_picture(tmp_path / "photo.jpg"), PHOTO) < 8
    with pytest.raises(BadPicture, match="damaged"):
        read_picture(bare[: len(bare) // 2])
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)  # as if the extra were not installed
    with pytest.raises(PictureUnavailable, match=r"pip install 'facesmith\[jxl\]'"):
        read_picture(tmp_path / "photo.jpg")


def test_the_first_frame_of_an_animation_is_read():
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    read = read_picture(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert read[0, 0].tolist() == [255, 0, 0]


def test_unreadable_files_are_refused_with_a_reason(tmp_path):
    cases = {
        "empty": b"",
        "not a picture": b"hello, this is text",
        "damaged": encoded(PHOTO, "JPEG")[:600],
        "million pixels": encoded(Image.new("1", (20_000, 10_000))),
    }
    for reason, raw in cases.items():
        with pytest.raises(BadPicture, match=reason):
            read_picture(raw)
    with pytest.raises(PictureUnavailable, match="can't be read: No such file"):
        read_picture(tmp_path / "gone.png")
    with open(tmp_path / "huge.png", "wb") as stream:
        stream.truncate(images.MAX_FILE_BYTES + 1)  # a sparse file
    with pytest.raises(BadPicture, match="MiB"):
        read_picture(tmp_path / "huge.png")


def test_a_decompression_bomb_below_pillows_limit_is_refused_without_warning():
    with pytest.raises(BadPicture, match="11000x10000 pixels, more than 100 million; make it smaller first"):
        read_picture(encoded(Image.new("1", (11_000, 10_000))))


def test_postscript_is_refused_even_if_named_jpg():
    with pytest.raises(BadPicture, match="not a picture"):
        read_picture(encoded(PHOTO, "EPS"), name="photo.jpg")


@settings(max_examples=150, deadline=None)
@given(data=st.data(), sample=st.sampled_from(list(SAMPLES)))
def test_damaged_files_are_read_or_refused_with_a_reason(data, sample):
    whole = SAMPLES[sample]
    raw = bytearray(whole[: data.draw(st.integers(1, len(whole)))])
    for _ in range(data.draw(st.integers(0, 8))):
        raw[data.draw(st.integers(0, min(len(raw) - 1, 400)))] = data.draw(st.integers(0, 255))
    reason = "none"
    try:
        assert read_picture(bytes(raw)).dtype == np.uint8
    except BadPicture as error:
        reason = str(error)
    assert reason
    assert "\n" not in reason


@pytest.mark.parametrize("bug", [TypeError("bug"), AttributeError("bug"), AssertionError("bug"), ValueError("bug")])
@pytest.mark.parametrize("function", ["_formats", "as_8bit_rgb", "scale_to_8_bits"])
def test_bugs_of_our_own_code_are_raised_not_reported_as_damaged_photos(monkeypatch, function, bug):
    def with_bug(*_):
        raise bug

    monkeypatch.setattr(images, function, with_bug)
    gray = Image.fromarray(np.zeros((8, 8), np.uint16))
    with pytest.raises(type(bug), match="bug"):
        read_picture(encoded(gray))


def test_too_little_memory_is_no_damage(monkeypatch):
    def too_large(*_, **__):
        raise MemoryError

    for owner, function in ((images, "as_8bit_rgb"), (Image, "open")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, function, too_large)
            with pytest.raises(PictureUnavailable, match="memory"):
                read_picture(encoded(PHOTO))


def test_reading_in_many_threads_restores_the_warning_filters():
    before = list(warnings.filters)
    with_odd_exif = encoded(PHOTO, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read_picture, [with_odd_exif] * 64))
    assert warnings.filters == before


def test_grids_are_nearly_square_and_in_color():
    assert grid(np.zeros((5, 4, 4, 1), np.uint8), gap_px=2).shape == (10, 16, 3)
    assert grid(np.zeros((1, 4, 4, 3), np.uint8)).shape == (4, 4, 3)


def test_center_square_resize_and_gray():
    square = center_square(np.asarray(PHOTO))
    assert np.array_equal(square, np.asarray(PHOTO)[:, 10:50])
    assert resize(square, 16).shape == (16, 16, 3)
    assert resize(to_gray(square), 16).shape == (16, 16, 1)
    assert resize(square, 40) is square
    assert mean_difference(to_gray(square)[..., 0], np.asarray(Image.fromarray(square).convert("L"))) < 0.6


def test_provenance_survives_a_png(tmp_path):
    path = write_png(tmp_path / "a.png", np.zeros((2, 2, 1), np.uint8), {"Seeds": "[1]", "Who": "ü"})
    assert read_provenance(path) == {"Seeds": "[1]", "Who": "ü"}
    path.write_text("no picture")
    with pytest.raises(FacesmithError, match="can't be read"):
        read_provenance(path)


def test_a_folder_in_place_of_a_picture_is_named(tmp_path):
    with pytest.raises(PictureUnavailable, match="can't be read: this is a folder"):
        read_file(tmp_path)


def test_a_long_text_in_a_png_is_no_damage_and_a_bomb_is_named():
    for megabytes, expected in ((2, None), (20, "texts or color profile unpack to more than 16 MiB")):
        info, stream = PngImagePlugin.PngInfo(), io.BytesIO()
        info.add_text("XML:com.adobe.xmp", "x" * (megabytes << 20), zip=True)
        Image.new("RGB", (4, 4)).save(stream, "PNG", pnginfo=info)
        if expected is None:
            assert read_picture(stream.getvalue()).shape == (4, 4, 3)
        else:
            with pytest.raises(BadPicture, match=expected):
                read_picture(stream.getvalue())
    assert PngImagePlugin.MAX_TEXT_CHUNK == 2**20  # of other readers


def test_a_jpeg_with_a_lost_part_is_refused():
    content = encoded(Image.fromarray(astronaut()), "JPEG", quality=95)
    start = len(content) // 3 // 512 * 512
    with pytest.raises(BadPicture, match="a part of the file is lost"):
        read_picture(content[:start] + bytes(4096) + content[start + 4096 :])
    with pytest.raises(BadPicture, match="a part of the file is lost"):  # to the end, as after an aborted download
        read_picture(content[:start] + bytes(len(content) // 512 * 512 - start))


@pytest.mark.parametrize("size_bytes", [100, 1000, 5001])
@pytest.mark.parametrize("options", [{"quality": 95}, {"quality": 30}, {"subsampling": 0}])
def test_a_lost_part_may_begin_and_end_at_any_byte(options, size_bytes):
    content = encoded(Image.fromarray(astronaut()), "JPEG", **options)
    for start in range(len(content) // 4 + 1, len(content) - size_bytes, len(content) // 5):
        with pytest.raises(BadPicture, match="a part of the file is lost"):
            read_picture(content[:start] + bytes(size_bytes) + content[start + size_bytes :])


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}])
def test_flat_areas_and_metadata_of_zeros_are_not_taken_for_damage(options):
    flat = Image.new("RGB", (3000, 2000), "white")  # its compressed pixels are long runs of equal bytes
    flat.paste(PHOTO, (1000, 700))
    exif = Image.Exif()
    exif[0x9286] = bytes(8192)  # padding, as photo editors leave it
    content = encoded(flat, "JPEG", exif=exif, **options)
    assert read_picture(content).shape == (2000, 3000, 3)
    assert read_picture(content + bytes(8192)).shape == (2000, 3000, 3)  # behind the picture


def test_flat_colors_in_scans_of_their_own_are_not_taken_for_damage():
    gray = Image.fromarray(astronaut()).convert("L")
    n_blocks = gray.width * gray.height // 64
    color, luminance = encoded(gray.convert("RGB"), "JPEG", subsampling=0), encoded(gray, "JPEG")
    content = color[: color.index(b"\xff\xda")] + luminance[luminance.index(b"\xff\xda") : -2]
    for component in (2, 3):  # a block without any color is four bits of zeros in the usual tables
        content += b"\xff\xda\0\10\1" + bytes([component, 0x11]) + b"\0\x3f\0" + bytes(n_blocks // 2)
    pixels = read_picture(content + b"\xff\xd9")
    assert mean_difference(pixels, gray.convert("RGB")) < 4


def test_pictures_that_facesmith_drew_are_recognized_by_their_metadata(tmp_path):
    pixels = np.asarray(PHOTO)
    for name, entries in (("drawn", {"Synthetic": "true"}), ("pasted", {"Synthetic": "in part"}), ("photo", {})):
        for suffix in (".png", ".jpg"):
            file = images.write_picture(tmp_path / f"{name}{suffix}", pixels, entries)
            assert images.read_first_picture(file).is_generated == (name != "photo")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (bytes(3000), "not a picture but: zeros, as after a failed copy"),
        (b'{"error": "not found"}', "not a picture but: JSON"),
        (b"<?xml version='1.0'?><Error/>", "not a picture but: XML"),
        (b"404: Not Found", "not a picture but: text"),
        ("ä".encode() * 400, "not a picture but: text"),
        (b"data:image/jpeg;base64,QUJD", r"not a picture but: Base64 text of a picture \(decode it first\)"),
        (bytes(range(1, 256)) * 2, "not a picture"),
    ],
)
def test_what_is_no_picture_is_named(content, reason):
    with pytest.raises(BadPicture, match=f"^{reason}$"):
        read_picture(content, name="a.jpg")

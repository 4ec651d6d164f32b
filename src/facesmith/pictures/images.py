"""Read, write and convert images. Only this module converts between value ranges.

On disk and in datasets: uint8 `[N, H, W, C]`. In networks: float32 `[N, C, H, W]` in `[-1, 1]`.
Input files are untrusted, so they are read defensively. Output files carry their provenance as metadata.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from facesmith.errors import BadOption, BadPicture, PictureUnavailable
from facesmith.io.file_kinds import HEAD_BYTES, HEIC_SUFFIXES, UNKNOWN, FileKind, describe_text, kind_of_content
from facesmith.io.files import atomic_write, open_regular_file
from facesmith.io.memory import decoding_memory
from facesmith.pictures.color_profiles import scale_to_8_bits, to_srgb
from facesmith.pictures.jpeg_data import has_hole
from facesmith.pictures.pages import count_pictures
from facesmith.pictures.pillow_guards import DECODER_ERRORS, MAX_PNG_TEXT_BYTES, quiet_pillow
from facesmith.pictures.provenance import Sign, parse_comment, source_type, xmp

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]
T = TypeVar("T")

# Pillow would run Ghostscript on an EPS.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "MPO", "HEIF", "JXL", "JPEG2000")
MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}  # of the formats that we write
PNG_XMP = "XML:com.adobe.xmp"
JPEG_QUALITY = 95
MAX_COMMENT_BYTES = 65_533  # of a JPEG
SHEET_GAP_PX = 2
TOO_LARGE_ADVICE = "make it smaller first"
MAX_PIXELS = 100_000_000  # larger images are refused: a small file can unpack to more than the machine's memory
MAX_FILE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class FirstPicture:
    """The first picture in a file, or the main one that the format names.

    Attributes:
        pixels: upright sRGB `[H, W, 3]`.
        n_pictures: how many pages or frames the file has; see `count_pictures`.
        is_generated: whether its metadata say that Facesmith drew it, at least in part.
    """

    pixels: Pixels
    n_pictures: int = 1
    is_generated: bool = False


def to_float(pixels: Tensor) -> Tensor:
    """Convert uint8 `[N, H, W, C]` to float32 `[N, C, H, W]` in `[-1, 1]`, in channels-last memory format."""
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Convert float `[N, C, H, W]` in `[-1, 1]` to uint8 `[N, H, W, C]`. Values outside the range are clipped."""
    scaled = images.detach().float().add(1.0).mul_(127.5).round_().clamp_(0, 255)
    return scaled.byte().permute(0, 2, 3, 1).contiguous()


def as_rgb(pixels: Pixels) -> Pixels:
    """Repeat the channel of grayscale `[..., 1]` three times. RGB is returned unchanged."""
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def grid(pictures: Pixels, columns: int | None = None, gap_px: int = SHEET_GAP_PX) -> Pixels:
    """Arrange uint8 `[N, h, w, C]` row by row on white, as one image `[H, W, 3]`.

    Args:
        columns: by default, the grid is as square as N allows.
        gap_px: white pixels between images.
    """
    pictures = as_rgb(pictures)
    count, height, width, _ = pictures.shape
    columns = max(1, min(columns or int(np.ceil(np.sqrt(count))), count))
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap_px) - gap_px, columns * (width + gap_px) - gap_px, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = (i // columns) * (height + gap_px), (i % columns) * (width + gap_px)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def read_picture(source: Path | bytes, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Read a photo upright, as uint8 sRGB `[H, W, 3]`, whatever its format and color mode.

    The EXIF orientation is applied. Transparency is composited on white. 16-bit gray is scaled to 8 bits. CMYK, LAB
    and palettes are converted to RGB, and the colors of an embedded profile to sRGB. An animation gives its first
    frame.

    Args:
        source: a file's path or its content.
        name: the file's name if `source` is its content; only the suffix matters.
        max_pixels: larger images are refused before they are decoded.

    Raises:
        BadPicture: empty, too large, truncated or not an image. The message is the reason.
        PictureUnavailable: unreadable for a reason outside the file, such as missing permissions or memory.
    """
    return read_first_picture(source, name=name, max_pixels=max_pixels).pixels


def read_first_picture(source: Path | bytes, *, name: str | None = None, max_pixels: int = MAX_PIXELS) -> FirstPicture:
    """Read a photo like `read_picture`, with the number of pages or frames, and whether Facesmith generated it."""
    return FirstPicture(*read_converted(source, name, max_pixels, lambda picture: np.asarray(as_8bit_rgb(picture))))


def read_converted(
    source: Path | bytes, name: str | None, max_pixels: int, convert: Callable[[Image.Image], T]
) -> tuple[T, int, bool]:
    """Read and convert the first picture in a file.

    Returns:
        The result of `convert` for the upright picture, the number of pictures in the file, and whether its metadata
        say that Facesmith generated it.
    """
    suffix = Path(name if name is not None else source if isinstance(source, Path) else "").suffix.lower()
    try:
        raw = source if isinstance(source, bytes) else read_file(source)
        if not raw:
            raise BadPicture("empty file")
        kind = kind_of_content(raw[:HEAD_BYTES])
        formats = _formats(kind, suffix)
        with quiet_pillow:
            with _bad_picture_if_damaged(kind, raw[:HEAD_BYTES]):
                picture = Image.open(io.BytesIO(raw), formats=formats)
            with picture:
                if picture.width * picture.height > max_pixels:
                    limit = f"{max_pixels // 10**6} million"
                    raise BadPicture(f"{picture.width}x{picture.height} pixels, more than {limit}; {TOO_LARGE_ADVICE}")
                _check_variant(picture)
                if kind.name == "JPEG" and has_hole(raw):
                    raise BadPicture("damaged: a part of the file is lost, and zeros are in its place")
                with decoding_memory.reserve(picture.width, picture.height, picture.mode):
                    with _bad_picture_if_damaged():
                        picture.load()
                    is_generated = source_type(_entries(picture)) is not None
                    return convert(_upright(picture)), count_pictures(picture, raw), is_generated
    except MemoryError:
        raise PictureUnavailable("too large for this machine's memory") from None


@contextmanager
def _bad_picture_if_damaged(kind: FileKind = UNKNOWN, head: bytes = b"") -> Iterator[None]:
    """Turn what Pillow raises on a damaged file into `BadPicture`. The block may call Pillow only.

    Args:
        kind: what the file is by its first bytes.
        head: these bytes.
    """
    try:
        yield
    except UnidentifiedImageError:
        raise BadPicture(_unidentified_reason(kind, head)) from None
    except Image.DecompressionBombError:
        raise BadPicture(f"more than {MAX_PIXELS // 10**6} million pixels; {TOO_LARGE_ADVICE}") from None
    except DECODER_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "MAX_TEXT" in reason:  # Pillow names its own variable
            reason = f"its texts or color profile unpack to more than {MAX_PNG_TEXT_BYTES >> 20} MiB"
        raise BadPicture(f"damaged: {reason[:120]}") from None


def _unidentified_reason(kind: FileKind, head: bytes) -> str:
    """Why Pillow does not recognize a picture whose first bytes are `head`."""
    if kind.category == "picture":
        return f"damaged, or a rare variant of {kind.name} that can't be read; convert it to PNG"
    if kind.category != "other":
        return f"not a picture but: {kind.name}; rename it with the suffix of that kind, and it is read"
    content = kind.name or describe_text(head)
    return f"not a picture but: {content}" if content else "not a picture"


def _check_variant(picture: Image.Image) -> None:
    """Raise BadPicture for a variant that Pillow reads wrongly: uncompressed 16-bit TIFF with one plane per color."""
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        tags = picture.tag_v2
        bits, compression = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,)), tags.get(TiffImagePlugin.COMPRESSION, 1)
        if tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2 and max(bits) > 8 and compression == 1:
            raise BadPicture("a rare variant of TIFF that can't be read; convert it to PNG")


def read_file(path: Path) -> bytes:
    """Read a file of at most `MAX_FILE_BYTES`.

    Raises:
        BadPicture: the file is larger.
        PictureUnavailable: the disk or the file's permissions prevent reading.
    """
    try:
        with open_regular_file(path) as stream:
            if (size_bytes := os.fstat(stream.fileno()).st_size) > MAX_FILE_BYTES:
                raise BadPicture(f"file of {size_bytes / 2**20:.0f} MiB, more than {MAX_FILE_BYTES // 2**20} MiB")
            return stream.read()
    except OSError as error:
        raise PictureUnavailable(f"can't be read: {error.strerror or error}") from None


def _formats(kind: FileKind, suffix: str) -> list[str]:
    """The formats that Pillow may try. The content decides: some phones name HEIC files .jpg, or JPEGs .heic.

    Raises:
        PictureUnavailable: the picture is in HEIC or JPEG XL, and the package that reads it is not installed.
    """
    if kind.name == "HEIC" or (suffix in HEIC_SUFFIXES and kind.category == "video"):
        try:
            import pillow_heif
        except ImportError:
            raise PictureUnavailable("HEIC needs an extra: pip install 'facesmith[heic]'") from None
        pillow_heif.register_heif_opener()
    if kind.name == "JPEG XL":
        try:
            import pillow_jxl  # noqa: F401 (importing it registers the format)
        except ImportError:
            raise PictureUnavailable("JPEG XL needs an extra: pip install 'facesmith[jxl]'") from None
    Image.init()
    if kind.name == "AVIF" and "AVIF" not in Image.OPEN:
        raise PictureUnavailable("AVIF needs a newer Pillow: pip install 'pillow>=11.3'")
    return [name for name in FORMATS if name in Image.OPEN]


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except DECODER_ERRORS:  # damaged EXIF leaves the pixels intact
        return picture


def as_8bit_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):  # Pillow's own conversion clips these values instead of scaling them
        return Image.fromarray(scale_to_8_bits(np.asarray(picture), picture.mode)).convert("RGB")
    with _bad_picture_if_damaged():  # a damaged palette or transparency entry shows up only here
        color = opaque_srgb(picture)
        if not is_transparent(picture):
            return color
        color.putalpha(picture.convert("RGBA").getchannel("A"))
        return Image.alpha_composite(Image.new("RGBA", color.size, "white"), color).convert("RGB")


def is_transparent(picture: Image.Image) -> bool:
    return picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info


def opaque_srgb(picture: Image.Image) -> Image.Image:
    """The colors of a picture in sRGB, without regard to transparency."""
    if picture.mode in ("LA", "La"):
        picture = picture.convert("L")
    elif picture.mode == "P" or is_transparent(picture):
        picture = picture.convert("RGB")
    return to_srgb(picture, picture.info)


def resize(pixels: Pixels, size_px: int) -> Pixels:
    """Resize `[H, W, C]` to `[size_px, size_px, C]` with an antialiasing Lanczos filter."""
    if pixels.shape[0] == pixels.shape[1] == size_px:
        return pixels
    resized = np.asarray(_to_pillow(pixels).resize((size_px, size_px), Image.Resampling.LANCZOS))
    return resized[..., None] if pixels.shape[-1] == 1 else resized


def center_square(pixels: Pixels, side_px: int | None = None) -> Pixels:
    """Cut the central square out of `[H, W, C]`.

    Args:
        side_px: at most the shorter side, which is the default.
    """
    height, width = pixels.shape[:2]
    side = side_px or min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def enlarge(pictures: Pixels, times: int) -> Pixels:
    """Show each pixel of `[..., H, W, C]` as a block of `times` by `times` pixels (nearest-neighbor upsampling)."""
    return pictures.repeat(times, axis=-3).repeat(times, axis=-2)


def crop_and_resize(picture: Pixels, resolution: int, channels: int) -> Pixels:
    """Cut the central square out of `[H, W, 3]`, shrink it to `[resolution, resolution, channels]`, in RGB or gray.

    Raises:
        BadPicture: the image is smaller than `resolution`; images are never enlarged.
    """
    height, width = picture.shape[:2]
    if min(height, width) < resolution:
        raise BadPicture(f"{width}x{height}, smaller than {resolution}x{resolution}")
    square = resize(center_square(picture), resolution)
    return to_gray(square) if channels == 1 else square


def to_gray(pixels: Pixels) -> Pixels:
    """Convert RGB `[..., 3]` to luma `[..., 1]` (ITU-R 601, as in Pillow)."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    gray: Pixels = np.rint(pixels.astype(np.float32) @ weights).astype(np.uint8)[..., None]
    return gray


def to_uint8_numpy(images: NDArray[np.float32]) -> Pixels:
    """`to_uint8` for NumPy arrays: float `[N, C, H, W]` in `[-1, 1]` to uint8 `[N, H, W, C]`."""
    scaled = np.rint((images + np.float32(1)) * np.float32(127.5)).clip(0, 255)
    return np.ascontiguousarray(scaled.astype(np.uint8).transpose(0, 2, 3, 1))


def write_png(
    path: Path, pixels: Pixels, provenance: Mapping[str, str] | None = None, profile: bytes | None = None
) -> Path:
    """Write uint8 `[H, W, C]` as PNG; see `png_bytes`."""
    with atomic_write(path) as stream:
        stream.write(png_bytes(pixels, provenance, profile))
    return path


def write_picture(
    path: Path,
    pixels: Pixels,
    provenance: Mapping[str, str],
    sign: Sign | None = None,
    profile: bytes | None = None,
) -> Path:
    """Write uint8 `[H, W, C]` with its provenance as PNG or JPEG, depending on the path's suffix.

    Args:
        sign: adds signed content credentials.
        profile: an ICC profile to embed in a PNG; None means sRGB.

    Raises:
        BadOption: the provenance is too long for a JPEG.
    """
    is_png = MEDIA_TYPES[path.suffix.lower()] == "image/png"
    content = png_bytes(pixels, provenance, profile, sign) if is_png else _jpeg_bytes(path, pixels, provenance, sign)
    with atomic_write(path) as stream:
        stream.write(content)
    return path


def png_bytes(
    pixels: Pixels,
    provenance: Mapping[str, str] | None = None,
    profile: bytes | None = None,
    sign: Sign | None = None,
) -> bytes:
    """Encode uint8 `[H, W, C]` as PNG, with its provenance in text chunks.

    Args:
        profile: an ICC profile to embed; None means sRGB.
        sign: adds signed content credentials.
    """
    provenance = provenance or {}
    chunks = PngImagePlugin.PngInfo()
    for key, value in provenance.items():
        chunks.add_text(key, value)
    if packet := xmp(provenance):
        chunks.add_itxt(PNG_XMP, packet)
    content = io.BytesIO()
    _to_pillow(pixels).save(content, "PNG", pnginfo=chunks, icc_profile=profile)
    return content.getvalue() if sign is None else sign(content.getvalue(), MEDIA_TYPES[".png"], provenance)


def _jpeg_bytes(path: Path, pixels: Pixels, provenance: Mapping[str, str], sign: Sign | None) -> bytes:
    comment = json.dumps(dict(provenance)).encode()
    if len(comment) > MAX_COMMENT_BYTES:
        raise BadOption(f"{path}: a JPEG has no room for the seeds of so many faces. Write a .png.")
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = provenance.get("Software", "")
    exif[ExifTags.Base.ImageDescription] = provenance.get("Description", "")
    content = io.BytesIO()
    packet = xmp(provenance)
    _to_pillow(pixels).save(
        content, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4", comment=comment, exif=exif,
        xmp=packet.encode() if packet else None,
    )  # fmt: skip
    return content.getvalue() if sign is None else sign(content.getvalue(), MEDIA_TYPES[".jpg"], provenance)


def _to_pillow(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def read_provenance(path: Path | io.BytesIO) -> dict[str, str]:
    """Read the metadata in a PNG's text chunks, or in the comment of a JPEG or GIF. Empty if there is none.

    Raises:
        BadPicture: `path` is not a readable image.
    """
    formats = _formats(UNKNOWN, "")
    with quiet_pillow:
        try:
            stream = open_regular_file(path) if isinstance(path, Path) else path
            with stream, Image.open(stream, formats=formats) as picture:
                return _entries(picture)
        except (*DECODER_ERRORS, Image.DecompressionBombError) as error:
            raise BadPicture(f"{path} can't be read as a picture ({type(error).__name__})") from None


def _entries(picture: Image.Image) -> dict[str, str]:
    """The texts in a picture's metadata: those that Facesmith wrote, or all of a PNG."""
    entries = parse_comment(picture.info.get("comment", b"")) if picture.format in ("JPEG", "GIF") else picture.info
    return {str(key): value for key, value in entries.items() if isinstance(value, str) and key != PNG_XMP}

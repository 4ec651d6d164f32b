"""The one place where pixels change form.

On disk and in datasets: uint8 `[N, H, W, C]`. In networks: float32 `[N, C, H, W]` in `[-1, 1]`.
Files are read defensively, since photos come from anywhere, and written with their provenance.
"""

from __future__ import annotations

import io
import json
import struct
import threading
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from facesmith.errors import BadOption, BadPicture, PictureUnavailable
from facesmith.io.files import atomic_write
from facesmith.io.provenance import Sign, xmp

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]

HEIC_SUFFIXES = frozenset({".heic", ".heif"})
PICTURE_SUFFIXES = HEIC_SUFFIXES.union(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
)
HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "HEIF")  # Pillow would run Ghostscript on an EPS
MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
PNG_XMP = "XML:com.adobe.xmp"
JPEG_QUALITY = 95
MOST_COMMENT_BYTES = 65_533
MAX_PIXELS = 100_000_000  # larger ones are refused: a small file can unpack into all of a machine's memory
MAX_FILE_BYTES = 256 * 1024 * 1024
# What Pillow's decoders raise, each by its own format's code, where a file is damaged.
DAMAGED = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, AttributeError),
    *(AssertionError, RuntimeError, struct.error, zlib.error),
)


def to_float(pixels: Tensor) -> Tensor:
    """Networks' form of uint8 `[N, H, W, C]`: float32 `[N, C, H, W]` in `[-1, 1]`, stored channels last."""
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Files' form of float `[N, C, H, W]` in `[-1, 1]`: uint8 `[N, H, W, C]`; what lies outside is clipped."""
    scaled = images.detach().float().add(1.0).mul_(127.5).round_().clamp_(0, 255)
    return scaled.byte().permute(0, 2, 3, 1).contiguous()


def as_rgb(pixels: Pixels) -> Pixels:
    """Three equal channels for grey `[..., 1]`; RGB passes unchanged."""
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels


def grid(pictures: Pixels, columns: int | None = None, gap_px: int = 2) -> Pixels:
    """One picture `[H, W, 3]` of many uint8 `[N, h, w, C]`, row by row on white.

    Args:
        columns: by default as square as N allows.
        gap_px: white pixels between neighbours.
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
    """The upright photo as uint8 RGB `[H, W, 3]`, whatever form it has on disk.

    EXIF rotation is obeyed, transparency is laid on white, 16-bit greys are scaled to 8, CMYK and palettes are
    converted, and of an animation the first frame is taken.

    Args:
        source: a file, or the bytes of one.
        name: how to know the kind of a file given as bytes (only its ending counts).
        max_pixels: larger ones are refused before they are decoded.

    Raises:
        BadPicture: empty, too large, truncated, or no picture at all; the message is the reason.
        PictureUnavailable: another try may succeed, with an extra installed, other rights or more memory.
    """
    suffix = Path(name if name is not None else source if isinstance(source, Path) else "").suffix.lower()
    try:
        raw = source if isinstance(source, bytes) else read_file(source)
        if not raw:
            raise BadPicture("empty file")
        with _quiet_pillow, Image.open(io.BytesIO(raw), formats=_formats(raw, suffix)) as picture:
            if picture.width * picture.height > max_pixels:
                raise BadPicture(f"{picture.width}x{picture.height} pixels, more than {max_pixels // 10**6} million")
            picture.load()
            return np.asarray(_as_8bit_rgb(_upright(picture)))
    except UnidentifiedImageError:
        raise BadPicture("not a picture") from None
    except Image.DecompressionBombError:
        raise BadPicture(f"more than {MAX_PIXELS // 10**6} million pixels") from None
    except MemoryError:
        raise PictureUnavailable("too large for this machine's memory") from None
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadPicture(f"damaged: {reason[:120]}") from None


def read_file(path: Path) -> bytes:
    """The bytes of a file of bearable size.

    Raises:
        BadPicture: it is too large.
        PictureUnavailable: the disk, or the rights to it, don't let us.
    """
    try:
        if (size_bytes := path.stat().st_size) > MAX_FILE_BYTES:
            raise BadPicture(f"file of {size_bytes / 2**20:.0f} MiB, more than {MAX_FILE_BYTES // 2**20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise PictureUnavailable(f"can't be read: {error.strerror or error}") from None


class _QuietPillow:
    """Pillow's warnings (odd tags, many pixels) unheard while any thread reads a picture.

    `warnings.catch_warnings` changes what all threads share, so it is entered by the first and left by the last.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._kept = threading.Lock(), 0, warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._kept = warnings.catch_warnings()
                self._kept.__enter__()
                # It only warns between one and two times its own limit, and we have one of our own.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._kept.__exit__(None, None, None)


_quiet_pillow = _QuietPillow()


def _formats(raw: bytes, suffix: str) -> list[str]:
    """What Pillow may take a file for. HEIC is told by content, since phones name such files .jpg and the reverse."""
    if raw[4:8] == b"ftyp" and (suffix in HEIC_SUFFIXES or raw[8:12] in HEIC_BRANDS):
        try:
            import pillow_heif
        except ImportError:
            raise PictureUnavailable("HEIC needs an extra: pip install 'facesmith[heic]'") from None
        pillow_heif.register_heif_opener()
    Image.init()
    return [each for each in FORMATS if each in Image.OPEN]


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except DAMAGED:  # broken EXIF spoils no pixel
        return picture


def _as_8bit_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):  # 16- or 32-bit grey: Pillow would clip it, not scale it
        values = np.asarray(picture).astype(np.float64)
        highest = values.max(initial=0)
        if np.isnan(highest):
            raise BadPicture("damaged: holds values that are no numbers")
        if picture.mode == "F":
            top = 1.0 if highest <= 1 else 255.0
        else:  # of 32 bits, pictures use 8 or 16
            top = 65535.0 if picture.mode != "I" or highest > 255 else 255.0
        return Image.fromarray((values / top * 255).round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return picture.convert("RGB")


def resize(pixels: Pixels, size_px: int) -> Pixels:
    """A square picture `[S, S, C]` of `[S', S', C]`, made smaller (or larger) by Lanczos with antialiasing."""
    if pixels.shape[0] == pixels.shape[1] == size_px:
        return pixels
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    resized = np.asarray(picture.resize((size_px, size_px), Image.Resampling.LANCZOS))
    return resized[..., None] if pixels.shape[-1] == 1 else resized


def limit_width(pixels: Pixels, width_px: int) -> Pixels:
    """A picture `[H, W, 3]` no wider than that, in its proportions; larger ones are made smaller by Lanczos."""
    height, width, _ = pixels.shape
    if width <= width_px:
        return pixels
    size = (width_px, max(1, round(height * width_px / width)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def center_square(pixels: Pixels, side_px: int | None = None) -> Pixels:
    """The centred square of `[H, W, C]`, by default the largest; a picture's shorter side must hold it."""
    height, width = pixels.shape[:2]
    side = side_px or min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def enlarge(pictures: Pixels, times: int) -> Pixels:
    """Each pixel of `[..., H, W, C]` as a block of `times` by `times`: larger to look at, with nothing made up."""
    return pictures.repeat(times, axis=-3).repeat(times, axis=-2)


def crop_and_resize(picture: Pixels, resolution: int, channels: int) -> Pixels:
    """What a network takes of a picture `[H, W, 3]`: its middle square, made smaller, in colour or grey.

    Raises:
        BadPicture: it is too small; pictures are never enlarged.
    """
    height, width = picture.shape[:2]
    if min(height, width) < resolution:
        raise BadPicture(f"{width}x{height}, smaller than {resolution}x{resolution}")
    square = resize(center_square(picture), resolution)
    return to_gray(square) if channels == 1 else square


def to_gray(pixels: Pixels) -> Pixels:
    """Luma `[..., 1]` (ITU-R 601, as in Pillow) of RGB `[..., 3]`."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    grey: Pixels = np.rint(pixels.astype(np.float32) @ weights).astype(np.uint8)[..., None]
    return grey


def to_uint8_numpy(images: NDArray[np.float32]) -> Pixels:
    """As `to_uint8`, of numpy's arrays: uint8 `[N, H, W, C]` of float `[N, C, H, W]` in `[-1, 1]`."""
    scaled = np.rint((images + np.float32(1)) * np.float32(127.5)).clip(0, 255)
    return np.ascontiguousarray(scaled.astype(np.uint8).transpose(0, 2, 3, 1))


def write_png(path: Path, pixels: Pixels, provenance: Mapping[str, str] | None = None) -> Path:
    """Write uint8 `[H, W, C]` as PNG, with its provenance as text chunks."""
    with atomic_write(path) as stream:
        stream.write(png_bytes(pixels, provenance))
    return path


def write_picture(path: Path, pixels: Pixels, told: Mapping[str, str], sign: Sign | None = None) -> Path:
    """Write uint8 `[H, W, C]` as PNG or, by the path's ending, as JPEG, with its provenance and, if asked, signed.

    Raises:
        BadOption: the provenance is too long for a JPEG.
    """
    media_type = MEDIA_TYPES[path.suffix.lower()]
    content = png_bytes(pixels, told) if media_type == "image/png" else _jpeg(path, pixels, told)
    with atomic_write(path) as stream:
        stream.write(content if sign is None else sign(content, media_type, told))
    return path


def png_bytes(pixels: Pixels, provenance: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a PNG of uint8 `[H, W, C]`, with its provenance as text chunks."""
    chunks, told = PngImagePlugin.PngInfo(), provenance or {}
    for key, value in told.items():
        chunks.add_text(key, value)
    if packet := xmp(told):
        chunks.add_itxt(PNG_XMP, packet)
    content = io.BytesIO()
    _picture(pixels).save(content, "PNG", pnginfo=chunks)
    return content.getvalue()


def _jpeg(path: Path, pixels: Pixels, told: Mapping[str, str]) -> bytes:
    comment = json.dumps(dict(told)).encode()
    if len(comment) > MOST_COMMENT_BYTES:
        raise BadOption(f"{path}: a JPEG can't hold the names of so many faces; write a .png.")
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = told.get("Software", "")
    exif[ExifTags.Base.ImageDescription] = told.get("Description", "")
    content = io.BytesIO()
    packet = xmp(told)
    _picture(pixels).save(
        content, "JPEG", quality=JPEG_QUALITY, subsampling="4:4:4", comment=comment, exif=exif,
        xmp=packet.encode() if packet else None,
    )  # fmt: skip
    return content.getvalue()


def _picture(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def read_provenance(path: Path) -> dict[str, str]:
    """The words of a PNG's text chunks or of a JPEG's comment, empty where there are none.

    Raises:
        BadPicture: `path` is no readable picture.
    """
    try:
        with _quiet_pillow, Image.open(path, formats=_formats(b"", "")) as picture:
            told = _comment(picture.info.get("comment", b"")) if picture.format == "JPEG" else picture.info
            return {str(key): value for key, value in told.items() if isinstance(value, str) and key != PNG_XMP}
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise BadPicture(f"{path} can't be read as a picture ({type(error).__name__})") from None


def _comment(raw: bytes) -> dict[Any, Any]:
    """The words of a JPEG's comment; other programs write other comments."""
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}

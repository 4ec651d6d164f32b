"""The one place where pixels change form.

On disk and in datasets: uint8 `[N, H, W, C]`. In networks: float32 `[N, C, H, W]` in `[-1, 1]`.
Files are read defensively, since photos come from anywhere, and written with their provenance.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from facesmith.errors import BadPicture, OutputExists

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

Pixels = NDArray[np.uint8]

PICTURE_SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".heic",
        ".heif",
    }
)
HEIC_SUFFIXES = frozenset({".heic", ".heif"})
MAX_PIXELS = 100_000_000  # larger ones are refused: a small file can unpack into all of a machine's memory
MAX_FILE_BYTES = 256 * 1024 * 1024


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


def read_picture(source: Path | bytes, *, name: str | None = None) -> Pixels:
    """The upright photo as uint8 RGB `[H, W, 3]`, whatever form it has on disk.

    EXIF rotation is obeyed, transparency is laid on white, 16-bit greys are scaled to 8, CMYK and palettes are
    converted, and of an animation the first frame is taken.

    Args:
        source: a file, or the bytes of one.
        name: how to know the kind of a file given as bytes (only its ending counts).

    Raises:
        BadPicture: empty, too large, truncated, or no picture at all; the message is the reason.
    """
    suffix = Path(name if name is not None else source if isinstance(source, Path) else "").suffix.lower()
    if suffix in HEIC_SUFFIXES:
        _register_heic()
    try:
        size_bytes = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size_bytes == 0:
            raise BadPicture("empty file")
        if size_bytes > MAX_FILE_BYTES:
            raise BadPicture(f"file of {size_bytes / 2**20:.0f} MiB, more than {MAX_FILE_BYTES // 2**20} MiB")
        with warnings.catch_warnings():
            # Pillow only warns between one and two times its own limit, and we set our own limit below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # odd EXIF or TIFF tags
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise BadPicture(
                        f"{picture.width}x{picture.height} pixels, more than {MAX_PIXELS // 10**6} million"
                    )
                picture.load()
                return np.asarray(_as_8bit_rgb(ImageOps.exif_transpose(picture)))
    except BadPicture:
        raise
    except UnidentifiedImageError:
        raise BadPicture("not a picture") from None
    except Image.DecompressionBombError:
        raise BadPicture(f"more than {MAX_PIXELS // 10**6} million pixels") from None
    except MemoryError:
        raise BadPicture("too large for this machine's memory") from None
    # Decoders raise whatever their format's code runs into; each of these means a damaged file.
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BadPicture(f"damaged: {reason[:120]}") from None


def _as_8bit_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16- or 32-bit grey: Pillow would clip it, not scale it
        values = np.asarray(picture).astype(np.float64)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        return Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        values = np.asarray(picture).astype(np.float64)
        top = 1.0 if values.max(initial=0) <= 1 else 255.0
        return Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return picture.convert("RGB")


def _register_heic() -> None:
    try:
        import pillow_heif
    except ImportError:
        raise BadPicture("HEIC needs an extra: pip install 'facesmith[heic]'") from None
    pillow_heif.register_heif_opener()


def resize(pixels: Pixels, size_px: int) -> Pixels:
    """A square picture `[S, S, C]` of `[S', S', C]`, made smaller (or larger) by Lanczos with antialiasing."""
    if pixels.shape[0] == pixels.shape[1] == size_px:
        return pixels
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    resized = np.asarray(picture.resize((size_px, size_px), Image.Resampling.LANCZOS))
    return resized[..., None] if pixels.shape[-1] == 1 else resized


def center_square(pixels: Pixels) -> Pixels:
    """The largest centred square of `[H, W, C]`."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def to_grey(pixels: Pixels) -> Pixels:
    """Luma `[..., 1]` (ITU-R 601, as in Pillow) of RGB `[..., 3]`."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    grey: Pixels = np.rint(pixels.astype(np.float32) @ weights).astype(np.uint8)[..., None]
    return grey


@contextmanager
def written_beside(path: Path, mode: str = "wb", *, durable: bool = False) -> Iterator[IO[Any]]:
    """A file that appears at `path` whole or not at all: written beside it, then renamed.

    Args:
        durable: wait until the disk holds it, so that it survives a power cut; slow for many small files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(beside, mode, newline="" if "b" not in mode else None) as stream:
            yield stream
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_png(path: Path, pixels: Pixels, provenance: Mapping[str, str] | None = None) -> Path:
    """Write uint8 `[H, W, C]` as PNG, with its provenance as text chunks."""
    chunks = PngImagePlugin.PngInfo()
    for key, value in (provenance or {}).items():
        chunks.add_text(key, value)
    with written_beside(path) as stream:
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, "PNG", pnginfo=chunks)
    return path


def read_provenance(path: Path) -> dict[str, str]:
    """The text chunks of a PNG, empty where there are none.

    Raises:
        BadPicture: `path` is no readable picture.
    """
    try:
        with Image.open(path) as picture:
            return {str(key): value for key, value in picture.info.items() if isinstance(value, str)}
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadPicture(f"{path} can't be read as a picture ({type(error).__name__})") from None


def write_film(path: Path, frames: Iterable[Pixels], frames_per_second: int) -> Path:
    """Write uint8 `[H, W, 3]` frames of one size as an H.264 film that every browser and phone plays."""
    import av

    with written_beside(path) as stream, av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=frames_per_second, options={"crf": "18", "preset": "medium"})
        video.pix_fmt = "yuv420p"
        for pixels in frames:
            # The colour format keeps one colour sample for 2x2 pixels, so sides must be even.
            even = np.pad(pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)), mode="edge")
            video.height, video.width = even.shape[:2]
            for packet in video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")):
                container.mux(packet)
        for packet in video.encode():
            container.mux(packet)
    return path


def refuse_to_overwrite(path: Path, force: bool) -> None:
    """Raise `OutputExists` where an output is in the way (an empty folder is not)."""
    in_the_way = any(path.iterdir()) if path.is_dir() else path.exists()
    if in_the_way and not force:
        raise OutputExists(f"{path} exists already. Choose another --out, or add --force to replace it.")

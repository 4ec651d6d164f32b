"""Write image sequences as MP4 or GIF, depending on the file's suffix."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from PIL import Image

from facesmith.errors import BadOption
from facesmith.io.cpus import usable_cpus
from facesmith.io.files import atomic_write
from facesmith.io.memory import require_memory
from facesmith.pictures.images import Pixels
from facesmith.pictures.provenance import Sign, parse_comment

if TYPE_CHECKING:
    from av.container import InputContainer

MEDIA_TYPES = {".mp4": "video/mp4", ".gif": "image/gif"}
FILM_SUFFIXES = tuple(MEDIA_TYPES)
MAX_GIF_FPS = 50  # browsers slow down GIFs whose frames last less than 20 ms
MAX_GIF_BYTES = 2**30  # Pillow keeps all frames of a GIF in memory until it is written
MAX_SIDE_PX = 4096  # the limit of H.264 decoders in phones and browsers
ENCODER_BYTES = 260  # per pixel of a frame: the encoder looks ahead at 40 frames, and keeps others to refer to
THREAD_BYTES = 6  # of these, per thread
MAX_THREADS = 16
GIF_COLORS = 256


def check_film(path: Path, frames_per_second: int, option: str = "--out") -> None:
    """Raise BadOption if the suffix is neither .mp4 nor .gif, or the frame rate is too high for a GIF.

    Args:
        option: the option that gives the path, for the message.
    """
    if path.suffix.lower() not in FILM_SUFFIXES:
        raise BadOption(f"{option} {path}: expected a name that ends in {' or '.join(FILM_SUFFIXES)}.")
    if path.suffix.lower() == ".gif" and frames_per_second > MAX_GIF_FPS:
        raise BadOption(f"A GIF shows at most {MAX_GIF_FPS} frames a second, not {frames_per_second}.")


def require_film_memory(
    path: Path, count: int, height: int, width: int, advice: str, *, drawing_bytes: int = 0
) -> None:
    """Raise BadOption if a film of `count` frames needs more memory than is free. Call it before frames are drawn.

    Args:
        drawing_bytes: for drawing the frames.
    """
    per_pixel = count if path.suffix.lower() == ".gif" else ENCODER_BYTES + THREAD_BYTES * _threads()
    subject = f"The film {path.name} ({width}x{height}, {count} frames)"
    require_memory(height * width * per_pixel + drawing_bytes, subject, advice)


def write_film(
    path: Path,
    frames: Iterable[Pixels],
    frames_per_second: int,
    provenance: Mapping[str, str] | None = None,
    sign: Sign | None = None,
) -> Path:
    """Write uint8 frames `[H, W, 3]` of equal size. The provenance is stored as JSON in the file's comment.

    An MP4 uses H.264, which all browsers and phones play. A GIF repeats forever and has its own palette per frame.

    Args:
        sign: adds signed content credentials.

    Raises:
        BadOption: the suffix is unknown, or the GIF would be too large or too fast.
    """
    check_film(path, frames_per_second)
    comment = json.dumps(dict(provenance)) if provenance else ""
    write = _write_gif if path.suffix.lower() == ".gif" else _write_mp4
    with atomic_write(path) as stream:
        if sign is None:
            write(stream, frames, frames_per_second, comment)
        else:
            content = io.BytesIO()
            write(content, frames, frames_per_second, comment)
            stream.write(sign(content.getvalue(), MEDIA_TYPES[path.suffix.lower()], provenance or {}))
    return path


def film_provenance(container: InputContainer) -> dict[str, str]:
    """The metadata of an opened film. Empty if Facesmith did not write it."""
    return parse_comment(container.metadata.get("comment", ""))


def _write_mp4(stream: IO[bytes], frames: Iterable[Pixels], frames_per_second: int, comment: str) -> None:
    import av

    film = _FilmFile(stream)
    with av.open(film, "w", format="mp4") as container:
        if comment:
            container.metadata["comment"] = comment
        video = container.add_stream("libx264", rate=frames_per_second, options={"crf": "18", "preset": "medium"})
        video.pix_fmt = "yuv420p"
        for pixels in frames:
            # yuv420p stores one color sample per 2x2 pixels, so height and width must be even.
            even = np.pad(pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)), mode="edge")
            if not video.codec_context.is_open:
                video.codec_context.thread_count = _threads()
                video.height, video.width = even.shape[:2]
            for packet in video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")):
                container.mux(packet)
            film.raise_error()
        for packet in video.encode():
            container.mux(packet)
    film.raise_error()


class _FilmFile:
    """A file for PyAV, which would print a traceback for each failed write. `raise_error` raises the first error.

    After an error, everything that PyAV writes is dropped.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._error: OSError | None = None

    def write(self, content: bytes) -> int:
        return self._attempt(lambda: self._stream.write(content), len(content))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._attempt(lambda: self._stream.seek(offset, whence), offset)

    def tell(self) -> int:
        return self._attempt(self._stream.tell, 0)

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _attempt(self, operation: Callable[[], int], otherwise: int) -> int:
        if self._error is None:
            try:
                return operation()
            except OSError as error:
                self._error = error
        return otherwise


def _threads() -> int:
    return min(usable_cpus(), MAX_THREADS)


def _write_gif(stream: IO[bytes], frames: Iterable[Pixels], frames_per_second: int, comment: str) -> None:
    images = _gif_frames(frames, frames_per_second)
    first = next(images)
    metadata = {"comment": comment.encode()} if comment else {}
    first.save(stream, "GIF", save_all=True, append_images=images, loop=0, **metadata)


def _gif_frames(frames: Iterable[Pixels], frames_per_second: int) -> Iterator[Image.Image]:
    """Frames with a palette of 256 colors each and a duration in whole hundredths of a second.

    If the frame rate doesn't divide 100, durations differ by one hundredth, so that the whole film keeps its length.
    """
    total_bytes = 0
    for number, pixels in enumerate(frames):
        total_bytes += pixels.shape[0] * pixels.shape[1]
        if total_bytes > MAX_GIF_BYTES:
            raise BadOption("This is too long for a GIF. Write an .mp4, or make the film shorter or smaller.")
        image = Image.fromarray(pixels).quantize(GIF_COLORS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        start, end = (round(100 * frame / frames_per_second) for frame in (number, number + 1))
        image.info["duration"] = 10 * (end - start)
        yield image

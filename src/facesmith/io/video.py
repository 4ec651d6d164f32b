"""Pictures one after the other as a film: an MP4 or a GIF, by the ending of its name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from facesmith.errors import BadOption
from facesmith.io.files import atomic_write
from facesmith.io.images import Pixels

FILM_SUFFIXES = (".mp4", ".gif")
MAX_GIF_FPS = 50  # browsers show frames of less than two hundredths of a second slowly
MAX_GIF_BYTES = 2**30  # all frames of a GIF are held until it is written
MAX_SIDE_PX = 4096  # what H.264 decoders of phones and browsers take
COLOURS = 256


def check_film(path: Path, frames_per_second: int) -> None:
    """Raise BadOption where a film of that name can't be written."""
    if path.suffix.lower() not in FILM_SUFFIXES:
        raise BadOption(f"--out {path}: a film is written as {' or '.join(FILM_SUFFIXES)}.")
    if path.suffix.lower() == ".gif" and frames_per_second > MAX_GIF_FPS:
        raise BadOption(f"A GIF shows {MAX_GIF_FPS} frames a second at most, not {frames_per_second}.")


def write_film(
    path: Path, frames: Iterable[Pixels], frames_per_second: int, provenance: Mapping[str, str] | None = None
) -> Path:
    """Write uint8 `[H, W, 3]` frames of one size; their provenance, as JSON, becomes the film's comment.

    An MP4 is H.264 that every browser and phone plays. A GIF is played for ever, with a palette for each frame.

    Raises:
        BadOption: another ending, or a GIF that is too large or too fast.
    """
    check_film(path, frames_per_second)
    comment = json.dumps(dict(provenance)) if provenance else ""
    write = _write_gif if path.suffix.lower() == ".gif" else _write_mp4
    write(path, frames, frames_per_second, comment)
    return path


def _write_mp4(path: Path, frames: Iterable[Pixels], frames_per_second: int, comment: str) -> None:
    import av

    with atomic_write(path) as stream, av.open(stream, "w", format="mp4") as container:
        if comment:
            container.metadata["comment"] = comment
        video = container.add_stream("libx264", rate=frames_per_second, options={"crf": "18", "preset": "medium"})
        video.pix_fmt = "yuv420p"
        for pixels in frames:
            # The colour format keeps one colour sample for 2x2 pixels, so sides must be even.
            even = np.pad(pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)), mode="edge")
            if not video.codec_context.is_open:
                video.height, video.width = even.shape[:2]
            for packet in video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")):
                container.mux(packet)
        for packet in video.encode():
            container.mux(packet)


def _write_gif(path: Path, frames: Iterable[Pixels], frames_per_second: int, comment: str) -> None:
    pictures = _palettes(frames, frames_per_second)
    first = next(pictures)
    told = {"comment": comment.encode()} if comment else {}
    with atomic_write(path) as stream:
        first.save(stream, "GIF", save_all=True, append_images=pictures, loop=0, **told)


def _palettes(frames: Iterable[Pixels], frames_per_second: int) -> Iterator[Image.Image]:
    """Frames in 256 colours of their own, each to be shown for a whole number of hundredths of a second.

    Where the rate is no such number they differ in length, so that the film as a whole keeps its time.
    """
    held_bytes = 0
    for number, pixels in enumerate(frames):
        held_bytes += pixels.shape[0] * pixels.shape[1]
        if held_bytes > MAX_GIF_BYTES:
            raise BadOption("This is too long for a GIF. Write an .mp4, or a shorter or smaller film.")
        picture = Image.fromarray(pixels).quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        start, end = (round(100 * each / frames_per_second) for each in (number, number + 1))
        picture.info["duration"] = 10 * (end - start)
        yield picture

"""The photos to search: a folder with its subfolders, a zip, one picture or one video.

`open_source` lists the files in a stable order; `iterate_photos` yields pictures and video frames one by one.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol

import av
import numpy as np

from facesmith.errors import BadData, BadPicture
from facesmith.io.images import MAX_FILE_BYTES, MAX_PIXELS, PICTURE_SUFFIXES, Pixels, read_picture

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".3gp"})
# What zipfile and its decompressors raise for damaged entries and for compression methods that they don't support.
ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(OSError, EOFError, NotImplementedError, ValueError),
)


@dataclass(frozen=True)
class Photo:
    """One photo or video frame, not decoded yet.

    Attributes:
        source: its path inside PHOTOS, with `/` as separator; frames are called `video.mp4#000120`.
        load: returns the pixels, or raises BadPicture with the reason. Call it once, from any thread.
        pixels_in_memory: number of pixels that the photo already occupies; 0 except for video frames.
    """

    source: str
    load: Callable[[], Pixels]
    pixels_in_memory: int = 0


@dataclass(frozen=True)
class PhotoFile:
    """A picture or video by its path inside PHOTOS. A changed size shows that the file was changed."""

    name: str
    size_bytes: int

    @property
    def is_video(self) -> bool:
        return PurePosixPath(self.name).suffix.lower() in VIDEO_SUFFIXES


class PhotoSource(Protocol):
    """An opened PHOTOS.

    Attributes:
        name: name of the folder, zip or file, without its path.
        files: pictures and videos, sorted by name.
        ignored: number of other files by suffix.
    """

    name: str
    files: list[PhotoFile]
    ignored: Counter[str]

    def load(self, file: PhotoFile) -> Pixels:
        """The pixels of a picture. Raises BadPicture."""
        ...

    def video_path(self, file: PhotoFile) -> Path:
        """The path of a video. Raises BadPicture."""
        ...

    def close(self) -> None: ...


@dataclass
class PhotoFolder:
    """A folder, or a single file in one."""

    root: Path
    name: str
    files: list[PhotoFile] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def load(self, file: PhotoFile) -> Pixels:
        return read_picture(self.root / file.name)

    def video_path(self, file: PhotoFile) -> Path:
        return self.root / file.name

    def close(self) -> None:
        pass


@dataclass
class PhotoZip:
    """A zip file, read in place: nothing is unpacked to disk."""

    archive: zipfile.ZipFile
    name: str
    files: list[PhotoFile] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def load(self, file: PhotoFile) -> Pixels:
        if file.size_bytes > MAX_FILE_BYTES:
            raise BadPicture(f"file of {file.size_bytes / 2**20:.0f} MiB, more than {MAX_FILE_BYTES // 2**20} MiB")
        try:
            content = self.archive.read(file.name)
        except ZIP_ERRORS as error:
            raise BadPicture(f"damaged in the zip: {error}") from None
        except RuntimeError:
            raise BadPicture("encrypted in the zip; unpack it first") from None
        return read_picture(content, name=file.name)

    def video_path(self, file: PhotoFile) -> Path:
        raise BadPicture("video inside a zip; unpack it first")

    def close(self) -> None:
        self.archive.close()


def open_source(photos: Path, *, outside: Path | None = None) -> PhotoSource:
    """List the pictures and videos of PHOTOS; hidden files, `__MACOSX` and all other suffixes are ignored.

    Args:
        outside: a folder to leave out because it is the output.

    Raises:
        BadData: PHOTOS does not exist, can't be opened, or contains no picture and no video.
    """
    source: PhotoSource
    if photos.is_dir():
        source = PhotoFolder(photos, photos.resolve().name)
        _list_folder(source, outside)
    elif photos.suffix.lower() == ".zip" and photos.is_file():
        source = PhotoZip(_open_zip(photos), photos.name)
        _list_zip(source)
    elif photos.is_file():
        source = PhotoFolder(photos.parent, photos.name)
        _add_file(source, photos.name, photos.stat().st_size)
    else:
        raise BadData(f"{photos} does not exist. Give a folder, a zip, a picture or a video.")
    source.files.sort(key=lambda file: file.name)
    if not source.files:
        others = ", ".join(f"{count} {suffix}" for suffix, count in source.ignored.most_common(5)) or "no files"
        raise BadData(f"{photos} contains no pictures or videos, only: {others}. Give a folder or zip of photos.")
    return source


def iterate_photos(source: PhotoSource, every: int) -> Iterator[Photo]:
    """All photos of a source in order, and every n-th frame of its videos."""
    for file in source.files:
        if file.is_video:
            yield from _frames(source, file, every)
        else:
            yield Photo(file.name, partial(source.load, file))


def count_photos(source: PhotoSource, every: int) -> int | None:
    """How many photos `iterate_photos` will yield; None if a video does not state its length."""
    count = 0
    for file in source.files:
        frames = _frame_count(source, file) if file.is_video else 1
        if frames == 0:
            return None
        count += -(-frames // every) if file.is_video else 1
    return count


def source_fingerprint(source: PhotoSource) -> str:
    """A hash of all file names and sizes. It changes when a file is added, removed or renamed, or changes its size."""
    digest = hashlib.sha256()
    for file in source.files:
        digest.update(f"{file.name}\0{file.size_bytes}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _frame_count(source: PhotoSource, file: PhotoFile) -> int:
    """The number of frames that a video states, or 0."""
    try:
        with closing(av.open(str(source.video_path(file)))) as container:
            return container.streams.video[0].frames
    except (BadPicture, av.FFmpegError, OSError, IndexError):
        return 1  # `_frames` yields one photo that fails with the reason


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise BadData(f"{path} can't be read as a zip ({error}). Is the copy or download complete?") from None


def _list_folder(source: PhotoFolder, outside: Path | None) -> None:
    skipped = outside.resolve() if outside is not None else None

    def list_unreadable(error: OSError) -> None:  # as if it were a picture: reading it then gives the reason
        source.files.append(PhotoFile(Path(error.filename).relative_to(source.root).as_posix(), 0))

    for folder, folders, names in os.walk(source.root, onerror=list_unreadable):
        here = Path(folder)
        folders[:] = [n for n in folders if not _is_hidden(n) and (here / n).resolve() != skipped]
        for name in names:
            path = here / name
            try:
                status = path.stat()
            except OSError:  # a broken link: reading it gives the reason
                _add_file(source, path.relative_to(source.root).as_posix(), 0)
                continue
            if stat.S_ISREG(status.st_mode):  # reading a pipe would block forever
                _add_file(source, path.relative_to(source.root).as_posix(), status.st_size)


def _list_zip(source: PhotoZip) -> None:
    names: set[str] = set()
    for entry in source.archive.infolist():
        # Of several entries with one name, reading returns the last, so each name is listed once.
        if not entry.is_dir() and entry.filename not in names:
            names.add(entry.filename)
            _add_file(source, entry.filename, entry.file_size)


def _add_file(source: PhotoFolder | PhotoZip, name: str, size_bytes: int) -> None:
    """Add a file to the source's pictures and videos, or count it as ignored."""
    path = PurePosixPath(name)
    if any(_is_hidden(part) for part in path.parts):
        return
    if path.suffix.lower() in PICTURE_SUFFIXES | VIDEO_SUFFIXES:
        source.files.append(PhotoFile(name, size_bytes))
    else:
        source.ignored[path.suffix.lower() or "no suffix"] += 1


def _is_hidden(part: str) -> bool:
    return (part.startswith(".") and part not in (".", "..")) or part == "__MACOSX"


def _frames(source: PhotoSource, file: PhotoFile, every: int) -> Iterator[Photo]:
    """Every n-th frame of a video. Where decoding fails, the last photo raises the reason when it is loaded."""
    number = -1
    try:
        with closing(av.open(str(source.video_path(file)))) as container:
            container.streams.video[0].thread_type = "AUTO"
            for number, frame in enumerate(container.decode(video=0)):
                if number % every == 0:
                    yield Photo(f"{file.name}#{number:06d}", *_frame_loader(frame))
        if number < 0:
            yield Photo(file.name, _failing_loader("video without frames"))
    except BadPicture as error:
        yield Photo(file.name, _failing_loader(str(error)))
    except IndexError:
        yield Photo(file.name, _failing_loader("video without a picture track"))
    except (av.FFmpegError, OSError) as error:
        reason = f"damaged video: {error.strerror or error}"
        yield Photo(f"{file.name}#{number + 1:06d}", _failing_loader(reason))


def _frame_loader(frame: av.VideoFrame) -> tuple[Callable[[], Pixels], int]:
    n_pixels = frame.width * frame.height
    if n_pixels > MAX_PIXELS:
        return _failing_loader(f"{frame.width}x{frame.height} pixels, more than {MAX_PIXELS // 10**6} million"), 0
    return partial(_upright_pixels, frame), n_pixels


def _upright_pixels(frame: av.VideoFrame) -> Pixels:
    """The pixels of a frame, upright. Phones store frames as the sensor saw them, with a rotation to apply."""
    try:
        pixels = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BadPicture(f"damaged frame: {error}") from None
    quarter_turns = round(getattr(frame, "rotation", 0) / 90)  # counter-clockwise; old releases of av lack it
    return np.ascontiguousarray(np.rot90(pixels, quarter_turns))


def _failing_loader(reason: str) -> Callable[[], Pixels]:
    def fail() -> Pixels:
        raise BadPicture(reason)

    return fail

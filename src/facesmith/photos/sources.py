"""The photos to search: folders, archives, Parquet files, pictures, videos, lists of paths, and addresses.

`open_source` lists the files in a stable order; `iterate_photos` yields pictures and video frames one by one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path
from typing import IO

import av
import numpy as np
from av.container import InputContainer

from facesmith.errors import BadData, BadPicture
from facesmith.io.files import open_regular_file
from facesmith.io.messages import as_typed
from facesmith.pictures.images import MAX_PIXELS, FirstPicture, Pixels, read_first_picture
from facesmith.pictures.original_photo import OriginalPhoto, read_original
from facesmith.storage.open_store import NestedStore, open_store
from facesmith.storage.store import Store, StoredFile, check_still_there, kinds_text, sort_by_kind

VIDEO_FORMATS = "mov,matroska,avi,mpeg,mpegvideo,mpegts,asf,flv,ogg"  # playlists would open other files or the network


@dataclass(frozen=True)
class Photo:
    """One photo or video frame, not decoded yet.

    Attributes:
        source: its path inside PHOTOS, with `/` as separator; frames are called `video.mp4#000120`.
        read: returns the pixels, or raises BadPicture with the reason. Call it once, from any thread.
        read_original: loads a picture with its own colors; None for video frames.
        pixels_in_memory: number of pixels whose memory the photo already occupies; 0 if it is not read yet.
    """

    source: str
    read: Callable[[], FirstPicture]
    pixels_in_memory: int = 0
    read_original: Callable[[], OriginalPhoto] | None = None

    def load(self) -> Pixels:
        """The pixels. Raises BadPicture with the reason."""
        return self.read().pixels

    def load_original(self) -> OriginalPhoto:
        """Like `load`, with the colors and transparency of the file. Frames of videos have only pixels."""
        if self.read_original is not None:
            return self.read_original()
        pixels = self.load()
        return OriginalPhoto(pixels, pixels)


@dataclass(frozen=True)
class PhotoFile:
    """A picture or video by its path inside PHOTOS. A changed size shows that the file was changed."""

    name: str
    size_bytes: int
    is_video: bool


@dataclass
class PhotoSource:
    """An opened PHOTOS.

    Attributes:
        name: name of the folder, archive or file, without its path.
        files: pictures and videos, sorted by name.
        others: the other files, among which label tables are found.
        kinds: their suffixes or kinds, by name.
    """

    store: Store
    name: str
    files: list[PhotoFile]
    others: list[StoredFile]
    kinds: dict[str, str]

    @property
    def ignored(self) -> Counter[str]:
        """The number of other files by suffix or kind."""
        return Counter(self.kinds.values())

    def read(self, file: PhotoFile) -> FirstPicture:
        """The pixels of a picture. Raises BadPicture."""
        return read_first_picture(self.store.read(file.name), name=file.name)

    def load_original(self, file: PhotoFile) -> OriginalPhoto:
        """A picture with its own colors. Raises BadPicture."""
        return read_original(self.store.read(file.name), name=file.name)

    @contextmanager
    def open_content(self, file: PhotoFile) -> Iterator[IO[bytes]]:
        """The content of a file, also of an archive. Raises BadData or OSError."""
        path = self.store.local_path(file.name)
        with self.store.unpack(file.name) if path is None else open_regular_file(path) as stream:
            yield stream

    @contextmanager
    def open_video(self, file: PhotoFile) -> Iterator[InputContainer]:
        """A video, also of an archive. Raises BadPicture, Unreachable, or what PyAV raises for damaged videos."""
        path = self.store.local_path(file.name)
        with ExitStack() as stack:
            if path is None:
                try:
                    video: _VideoContent | str = _VideoContent(stack.enter_context(self.store.unpack(file.name)))
                except BadData as reason:
                    raise BadPicture(str(reason)) from None
            else:
                video = str(path.absolute())  # FFmpeg would read `12:30.mp4` as an address of the kind `12`
            options = {"format_whitelist": VIDEO_FORMATS}
            container = av.open(video, "r", metadata_errors="replace", options=options)
            yield stack.enter_context(closing(container))

    def close(self) -> None:
        self.store.close()


class _VideoContent:
    """The content of a video for PyAV. After an error, it returns no more bytes: PyAV would print further errors."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._has_failed = stream, False
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size_bytes: int) -> bytes:
        if self._has_failed:
            return b""
        try:
            return self._stream.read(size_bytes)
        except Exception:
            self._has_failed = True
            raise


def open_source(photos: Path, *, outside: Path | None = None) -> PhotoSource:
    """List the pictures and videos of PHOTOS. `storage/store.py` has the rules for folders, links and names.

    Args:
        outside: the output of `extract`, which is left out. Its earlier outputs inside PHOTOS are left out, too.

    Raises:
        BadData: PHOTOS does not exist, can't be opened, or contains no picture and no video.
    """
    store = open_store(photos, exclude=outside)
    sorted_files = sort_by_kind(store, without_extractions=outside is not None)
    files = [PhotoFile(file.name, file.size_bytes, False) for file in sorted_files.pictures]
    files += [PhotoFile(file.name, file.size_bytes, True) for file in sorted_files.videos]
    files.sort(key=lambda file: file.name)
    if not files:
        others = kinds_text(sorted_files.ignored) or "no files"
        raise BadData(f"{as_typed(photos)} contains no pictures or videos ({others}). Give a folder or zip of photos.")
    name = photos.resolve().name if photos.is_dir() else photos.name
    return PhotoSource(store, name, files, sorted_files.others, sorted_files.kinds)


def reopen_source(photos: Path, files: list[PhotoFile], archives: Sequence[str]) -> PhotoSource:
    """Some files of a source that another process has listed. The store stays open for the next call.

    Args:
        files: as listed.
        archives: of `archives_of`.

    Raises:
        BadData: PHOTOS can't be opened on this machine.
    """
    store = _opened(photos)
    if isinstance(store, NestedStore):
        store.open_archives(archives)
    return PhotoSource(store, photos.name, files, [], {})


@lru_cache(maxsize=1)
def _opened(photos: Path) -> Store:
    return open_store(photos)


def archives_of(source: PhotoSource, files: Sequence[PhotoFile]) -> list[str]:
    """The archives in a source that contain some of the files, by name."""
    if not isinstance(source.store, NestedStore):
        return []
    return sorted({prefix for file in files if (prefix := source.store.archive_of(file.name)) is not None})


def iterate_photos(source: PhotoSource, every: int) -> Iterator[Photo]:
    """All photos of a source in order, and every n-th frame of its videos."""
    for file in source.files:
        if file.is_video:
            yield from _frames(source, file, every)
        elif source.store.forward_only(file.name):
            yield _read_now(source, file)
        else:
            yield Photo(file.name, partial(source.read, file), read_original=partial(source.load_original, file))


def read_pictures(source: PhotoSource, threads: int) -> list[Photo]:
    """All pictures of a source, which has no videos, with their bytes in memory; several are read at a time."""
    with ThreadPoolExecutor(threads) as pool:
        return [replace(photo, pixels_in_memory=0) for photo in pool.map(partial(_read_now, source), source.files)]


def _read_now(source: PhotoSource, file: PhotoFile) -> Photo:
    """A picture whose bytes are in memory, because threads would read its store in a slow order."""
    try:
        content = source.store.read(file.name)
    except BadPicture as reason:
        return Photo(file.name, _failing_loader(str(reason)))
    original = partial(read_original, content, name=file.name)
    return Photo(file.name, partial(read_first_picture, content, name=file.name), len(content) // 3, original)


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
    """The number of frames that a video states, or 0. A video in an archive is not unpacked only to count."""
    if source.store.local_path(file.name) is None:
        return 0
    try:
        with source.open_video(file) as container:
            return container.streams.video[0].frames
    except (BadPicture, av.FFmpegError, OSError, IndexError):
        return 1  # `_frames` yields one photo that fails with the reason


def _frames(source: PhotoSource, file: PhotoFile, every: int) -> Iterator[Photo]:
    """Every n-th frame of a video. Where decoding fails, the last photo raises the reason when it is loaded."""
    number = -1
    try:
        with source.open_video(file) as container:
            video = container.streams.video[0]
            video.thread_type = "AUTO"
            for number, frame in enumerate(container.decode(video)):
                if number % every == 0:
                    yield Photo(f"{file.name}#{number:06d}", *_frame_loader(frame, video.sample_aspect_ratio))
        if number < 0:
            yield Photo(file.name, _failing_loader("video without frames"))
    except BadPicture as error:
        yield Photo(file.name, _failing_loader(str(error)))
    except IndexError:
        yield Photo(file.name, _failing_loader("video without a picture track"))
    except (av.FFmpegError, OSError) as error:
        if not source.store.is_remote:
            check_still_there(source.store.path)
        reason = "empty file" if number < 0 and not file.size_bytes else f"damaged video: {error.strerror or error}"
        yield Photo(f"{file.name}#{number + 1:06d}", _failing_loader(reason))


def _frame_loader(frame: av.VideoFrame, pixel_shape: Fraction | None) -> tuple[Callable[[], FirstPicture], int]:
    """What loads a frame, and its number of pixels.

    Args:
        pixel_shape: width of a pixel divided by its height; not 1 on DVDs and in many camcorders. None counts as 1.
    """
    width = max(1, round(frame.width * (pixel_shape or 1)))
    n_pixels = width * frame.height
    if n_pixels > MAX_PIXELS:
        return _failing_loader(f"{width}x{frame.height} pixels, more than {MAX_PIXELS // 10**6} million"), 0
    return partial(_upright_picture, frame, width), n_pixels


def _upright_picture(frame: av.VideoFrame, width: int) -> FirstPicture:
    """A frame of this width, upright. Phones store frames as the sensor saw them, with a rotation to apply."""
    try:
        pixels = frame.to_ndarray(format="rgb24", width=width).astype(np.uint8, copy=False)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BadPicture(f"damaged frame: {error}") from None
    quarter_turns = round(getattr(frame, "rotation", 0) / 90)  # counter-clockwise; old releases of av lack it
    return FirstPicture(np.ascontiguousarray(np.rot90(pixels, quarter_turns)))


def _failing_loader(reason: str) -> Callable[[], FirstPicture]:
    def fail() -> FirstPicture:
        raise BadPicture(reason)

    return fail
